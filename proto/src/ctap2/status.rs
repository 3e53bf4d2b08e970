//! Status codes (CTAP 2.3 §8.2).

use core::fmt;

/// The first byte of a reply.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Status(pub u8);

macro_rules! statuses {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        impl Status {
            $(#[doc = concat!("0x", stringify!($code), ": ", $meaning, ".")]
            pub const $name: Self = Self($code);)*

            /// Returns the standard's name, if the code has one.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    OK = 0x00, "done";
    INVALID_COMMAND = 0x01, "the command is unknown";
    INVALID_PARAMETER = 0x02, "a parameter has an impossible value";
    INVALID_LENGTH = 0x03, "a parameter has an impossible length";
    TIMEOUT = 0x05, "the time is over";
    CHANNEL_BUSY = 0x06, "another request is being answered";
    CBOR_UNEXPECTED_TYPE = 0x11, "a member has the wrong type";
    INVALID_CBOR = 0x12, "the request is not canonical CBOR";
    MISSING_PARAMETER = 0x14, "a member is missing";
    LIMIT_EXCEEDED = 0x15, "a limit is exceeded";
    LARGE_BLOB_STORAGE_FULL = 0x18, "there is no room for a large blob";
    CREDENTIAL_EXCLUDED = 0x19, "a credential of the exclude list is here";
    PROCESSING = 0x21, "the request takes longer";
    INVALID_CREDENTIAL = 0x22, "the credential is not valid here";
    USER_ACTION_PENDING = 0x23, "a person must act first";
    OPERATION_PENDING = 0x24, "an operation is under way";
    NO_OPERATIONS = 0x25, "no operation is under way";
    UNSUPPORTED_ALGORITHM = 0x26, "none of the algorithms is supported";
    OPERATION_DENIED = 0x27, "the person refused";
    KEY_STORE_FULL = 0x28, "there is no room for a credential";
    UNSUPPORTED_OPTION = 0x2b, "an option is not supported";
    INVALID_OPTION = 0x2c, "an option is not possible here";
    KEEPALIVE_CANCEL = 0x2d, "the client cancelled";
    NO_CREDENTIALS = 0x2e, "there is no credential for this";
    USER_ACTION_TIMEOUT = 0x2f, "nobody answered";
    NOT_ALLOWED = 0x30, "the command is not allowed now";
    PIN_INVALID = 0x31, "the PIN is wrong";
    PIN_BLOCKED = 0x32, "the PIN is blocked";
    PIN_AUTH_INVALID = 0x33, "the PIN token is not valid";
    PIN_AUTH_BLOCKED = 0x34, "PIN entry is blocked until a restart";
    PIN_NOT_SET = 0x35, "no PIN is set";
    PUAT_REQUIRED = 0x36, "a PIN token is required";
    PIN_POLICY_VIOLATION = 0x37, "the PIN is not long enough";
    REQUEST_TOO_LARGE = 0x39, "the request is too large";
    ACTION_TIMEOUT = 0x3a, "the time for the action is over";
    UP_REQUIRED = 0x3b, "a person must be present";
    UV_BLOCKED = 0x3c, "user verification is blocked";
    INTEGRITY_FAILURE = 0x3d, "data are damaged";
    INVALID_SUBCOMMAND = 0x3e, "the subcommand is unknown";
    UV_INVALID = 0x3f, "user verification failed";
    UNAUTHORIZED_PERMISSION = 0x40, "the PIN token has not this permission";
    OTHER = 0x7f, "something else";
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "Status({name})"),
            None => write!(f, "Status(0x{:02x})", self.0),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:02x})", self.0),
            None => write!(f, "0x{:02x}", self.0),
        }
    }
}
