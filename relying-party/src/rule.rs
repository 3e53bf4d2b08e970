//! The rules of both ceremonies, as the reasons why a response is rejected.

use thiserror::Error;

/// Makes the enum, and with it the list of its variants, which then cannot be incomplete.
macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// Why a ceremony fails: the rule that was broken (`passkeys-and-ctap2.md` §4).
        #[derive(Clone, Copy, Debug, Eq, Error, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$meta])* $name,)+
        }

        impl Rule {
            /// Every rule, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the rule's name, as logs and answers have it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

rules! {
    /// The algorithm is not one of those that were offered.
    #[error("the passkey's algorithm was not offered")]
    AlgorithmNotOffered,
    /// The attestation statement does not hold.
    #[error("the attestation does not hold")]
    AttestationInvalid,
    /// The attestation's format is not accepted here.
    #[error("the attestation's format is not accepted")]
    AttestationUnsupported,
    /// The authenticator data cannot be read.
    #[error("the authenticator data cannot be read")]
    AuthenticatorData,
    /// The passkey said it can be on several devices, and now that it cannot, or the reverse.
    #[error("the passkey changed whether it can be backed up")]
    BackupEligibilityChanged,
    /// Backed up, but not able to be.
    #[error("the passkey is backed up without being able to be")]
    BackupStateImpossible,
    /// Another challenge than the one issued.
    #[error("the challenge is not the one that was issued")]
    Challenge,
    /// The client data cannot be read.
    #[error("the client data cannot be read")]
    ClientData,
    /// Another kind of ceremony.
    #[error("the response is of another kind of ceremony")]
    ClientDataType,
    /// The credential is registered already.
    #[error("this passkey is registered already")]
    CredentialAlreadyRegistered,
    /// The identifiers of the response do not agree.
    #[error("the response names two different passkeys")]
    CredentialIdMismatch,
    /// The credential is not one of those that were listed.
    #[error("this passkey was not asked for")]
    CredentialNotAllowed,
    /// The credential is not known.
    #[error("this passkey is not known here")]
    CredentialUnknown,
    /// The page was embedded in another site.
    #[error("the request came from a page embedded in another site")]
    CrossOrigin,
    /// The response is not of the form that it must have.
    #[error("the response cannot be read")]
    Malformed,
    /// Another origin.
    #[error("the request came from another origin")]
    Origin,
    /// The public key cannot be used.
    #[error("the passkey's public key is not valid")]
    PublicKey,
    /// Another site.
    #[error("the response is for another site")]
    RpIdHash,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// The signature counter did not grow.
    #[error("the signature counter went back")]
    SignatureCounter,
    /// The trust-group key is not valid.
    #[error("the trust-group key is not valid")]
    TrustGroupKey,
    /// The account of the response is not the passkey's.
    #[error("the passkey belongs to another account")]
    UserHandle,
    /// Nobody was present.
    #[error("nobody was present")]
    UserPresence,
    /// Nobody was verified.
    #[error("the user was not verified")]
    UserVerification,
}
