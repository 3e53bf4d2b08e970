//! Reading a document: what it is, and each passkey in it.

use core::fmt;

use handfast_proto::ctap2::truncate_name;
use handfast_proto::extension::cred_blob::CredBlob;
use handfast_proto::extension::large_blob::LargeBlob;
use handfast_proto::extension::prf::Seeds;
use handfast_proto::ids::{CredentialId, IdError, RpId, UserHandle};
use serde_json::value::RawValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::LARGEST;
use super::json::{self, LONGEST_LIST, Part};
use super::key::{self, KeyFault};
use crate::vault::Passkey;

/// Lists and objects lie no deeper in each other than this.
const DEEPEST: usize = 64;
/// The version of the format, by its first number; the second only adds.
const VERSION: u64 = 1;

/// Why bytes are no document.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum DocumentError {
    /// It ends before it is complete.
    #[error("it is cut off")]
    CutOff,
    /// JSON, but not with the members of a CXF document.
    #[error("it is JSON, but no document of the Credential Exchange Format (line {line})")]
    NotCxf {
        /// Where that became clear, from 1.
        line: usize,
    },
    /// Not JSON.
    #[error("it is no JSON (line {line}, column {column})")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Not UTF-8.
    #[error("it is no text")]
    NotText,
    /// Lists and objects lie more than 64 deep.
    #[error("its parts lie too deep in each other")]
    TooDeep,
    /// More than 64 MiB.
    #[error("it is larger than 64 MiB")]
    TooLarge,
    /// A list, or all credentials together, have more than 100,000 entries.
    #[error("it has more than {LONGEST_LIST} entries")]
    TooMany,
    /// Of a version with another first number.
    #[error("it is of version {0} of the Credential Exchange Format, and version 1 is read here")]
    Version(u64),
}

impl DocumentError {
    /// Says where, and never what: the parser's own words may hold a secret.
    fn from_json(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let line = error.line().max(1);
        match error.classify() {
            Category::Eof => Self::CutOff,
            Category::Data => Self::NotCxf { line },
            Category::Syntax | Category::Io => Self::NotJson {
                line,
                column: error.column().max(1),
            },
        }
    }
}

/// Why a passkey of a document cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing, or more bytes than WebAuthn allows.
    #[error("its credential ID cannot be one: {0}")]
    CredentialId(IdError),
    /// Its private key.
    #[error("{0}")]
    Key(#[from] KeyFault),
    /// A part that is not what it must be: an object with each member once.
    #[error("it is malformed")]
    Malformed,
    /// A member is not there.
    #[error("its member {0} is missing")]
    Missing(&'static str),
    /// A member that is no base64url.
    #[error("its member {0} is not in base64url")]
    NotBase64(&'static str),
    /// A member that is no text.
    #[error("its member {0} is no text")]
    NotText(&'static str),
    /// No domain name.
    #[error("its RP ID cannot be one: {0}")]
    RpId(IdError),
    /// Nothing, or more bytes than WebAuthn allows.
    #[error("its user handle cannot be one: {0}")]
    UserHandle(IdError),
}

/// What came with a passkey and cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Lost {
    /// What the site left with it when it was made (extension `credBlob`).
    CredBlob,
    /// What the site stored with it (extension `largeBlob`).
    LargeBlob,
    /// What it makes secrets with (extension `prf`): whatever a site encrypted with them is lost
    /// without.
    Prf,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CredBlob => "what the site left with it (credBlob)",
            Self::LargeBlob => "what the site stored with it (largeBlob)",
            Self::Prf => "the keys of its secrets (prf)",
        })
    }
}

/// Where in a document something is; each counts from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The account of the program that made the document.
    pub account: usize,
    /// The item in it.
    pub item: usize,
    /// The credential in that; nothing if it is about the item.
    pub credential: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}, item {}", self.account, self.item)?;
        match self.credential {
            Some(credential) => write!(f, ", credential {credential}"),
            None => Ok(()),
        }
    }
}

/// A passkey that was read.
#[derive(Debug)]
pub struct Found {
    /// It.
    pub passkey: Passkey,
    /// What came with it and is not in it.
    pub lost: Vec<Lost>,
}

/// What a document has in one place: a passkey, or why it is none.
#[derive(Debug)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// For which site, as the document has it.
    pub site: Option<String>,
    /// The passkey.
    pub found: Result<Found, Fault>,
}

/// A document that was read.
#[derive(Debug)]
pub struct Document {
    /// What the program that made it calls itself.
    pub exporter: Option<String>,
    /// Its passkeys, in its order.
    pub entries: Vec<Entry>,
    /// How many credentials of other kinds it has.
    pub others: usize,
}

impl Document {
    /// Reads a document: JSON, unsealed. Times that are missing, unreadable or still to come are
    /// `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. A passkey that cannot be used is no error, but an [`Entry`].
    pub fn parse(bytes: &[u8], now: u64) -> Result<Self, DocumentError> {
        if bytes.len() > LARGEST {
            return Err(DocumentError::TooLarge);
        }
        let json = core::str::from_utf8(bytes).map_err(|_| DocumentError::NotText)?;
        let json = json.trim_start_matches('\u{feff}');
        if json::is_deeper(json, DEEPEST) {
            return Err(DocumentError::TooDeep);
        }
        let header: json::Header<'_> =
            serde_json::from_str(json).map_err(|error| DocumentError::from_json(&error))?;
        // Drafts had a number where there are two now.
        let levels = json::object(header.version).map(|version: json::Version| version.major);
        match levels.or_else(|| json::read::<u64>(header.version)) {
            Some(VERSION) if levels.is_some() => {}
            Some(major) if levels.is_some() => return Err(DocumentError::Version(major)),
            Some(_) => return Err(DocumentError::Version(0)),
            None => return Err(DocumentError::NotCxf { line: 1 }),
        }
        let mut reader = Reader {
            now,
            count: 0,
            document: Self {
                exporter: header.exporter_display_name.and_then(name),
                entries: Vec::new(),
                others: 0,
            },
        };
        for (account, index) in bounded(&header.accounts)?.iter().zip(1..) {
            let account = json::object(account).ok_or(DocumentError::NotCxf { line: 1 })?;
            reader.account(&account, index)?;
        }
        Ok(reader.document)
    }

    /// Returns the passkeys that can be used.
    pub fn passkeys(&self) -> impl Iterator<Item = &Passkey> {
        self.entries
            .iter()
            .filter_map(|entry| entry.found.as_ref().ok())
            .map(|found| &found.passkey)
    }
}

fn bounded<'a, 'b>(list: &'b json::List<'a>) -> Result<&'b [&'a RawValue], DocumentError> {
    match list.too_long {
        true => Err(DocumentError::TooMany),
        false => Ok(&list.parts),
    }
}

struct Reader {
    now: u64,
    count: usize,
    document: Document,
}

impl Reader {
    fn account(&mut self, account: &json::Account<'_>, index: usize) -> Result<(), DocumentError> {
        for (part, item) in bounded(&account.items)?.iter().zip(1..) {
            let mut place = Place {
                account: index,
                item,
                credential: None,
            };
            let Some(item) = json::object::<json::Item<'_>>(part) else {
                self.put(place, None, Err(Fault::Malformed))?;
                continue;
            };
            for (credential, index) in bounded(&item.credentials)?.iter().zip(1..) {
                place.credential = Some(index);
                self.credential(credential, &item, place)?;
            }
        }
        Ok(())
    }

    fn credential(
        &mut self,
        part: &RawValue,
        item: &json::Item<'_>,
        place: Place,
    ) -> Result<(), DocumentError> {
        let kind = json::object::<json::Kind<'_>>(part);
        let Some(kind) = kind.and_then(|kind| json::text(kind.kind?)) else {
            return self.put(place, None, Err(Fault::Malformed));
        };
        if kind != "passkey" {
            self.document.others += 1;
            return self.counted();
        }
        let Some(passkey) = json::object::<json::Passkey<'_>>(part) else {
            return self.put(place, None, Err(Fault::Malformed));
        };
        let site = passkey.rp_id.and_then(name);
        self.put(place, site, read_passkey(&passkey, item, self.now))
    }

    fn put(
        &mut self,
        place: Place,
        site: Option<String>,
        found: Result<Found, Fault>,
    ) -> Result<(), DocumentError> {
        self.document.entries.push(Entry { place, site, found });
        self.counted()
    }

    fn counted(&mut self) -> Result<(), DocumentError> {
        self.count += 1;
        match self.count > LONGEST_LIST {
            true => Err(DocumentError::TooMany),
            false => Ok(()),
        }
    }
}

/// A text to be shown, or nothing; cut to what CTAP keeps of a name.
fn name(part: &RawValue) -> Option<String> {
    let text = json::text(part)?;
    Some(truncate_name(&text).to_owned()).filter(|name| !name.is_empty())
}

fn read_passkey(
    passkey: &json::Passkey<'_>,
    item: &json::Item<'_>,
    now: u64,
) -> Result<Found, Fault> {
    let rp_id = passkey.rp_id.ok_or(Fault::Missing("rpId"))?;
    let rp_id = json::text(rp_id).ok_or(Fault::NotText("rpId"))?;
    let rp_id = RpId::parse(&rp_id).map_err(Fault::RpId)?;
    let id = bytes(passkey.credential_id, "credentialId")?;
    let user = bytes(passkey.user_handle, "userHandle")?;
    let key = key::read(&bytes(passkey.key, "key")?)?;
    let user_name = passkey.username.or(passkey.draft_user_name);
    let mut made = Passkey::new(
        CredentialId::from_bytes(&id).map_err(Fault::CredentialId)?,
        rp_id,
        UserHandle::from_bytes(&user).map_err(Fault::UserHandle)?,
        &key,
        now,
    )
    .map_err(|_| KeyFault::Broken)?;
    made.user_name = optional_name(user_name, "username")?;
    made.display_name = optional_name(passkey.user_display_name, "userDisplayName")?;
    made.created_at = time(item.creation_at, now).unwrap_or(now);
    made.changed_at = time(item.modified_at, now).unwrap_or(made.created_at);
    let mut found = Found {
        passkey: made,
        lost: Vec::new(),
    };
    if let Some(extensions) = passkey.fido2_extensions {
        found.take_extensions(extensions);
    }
    Ok(found)
}

fn bytes(part: Part<'_>, member: &'static str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let part = part.ok_or(Fault::Missing(member))?;
    json::bytes(part).ok_or(Fault::NotBase64(member))
}

fn optional_name(part: Part<'_>, member: &'static str) -> Result<Option<String>, Fault> {
    let Some(part) = part else {
        return Ok(None);
    };
    json::text(part).ok_or(Fault::NotText(member))?;
    Ok(name(part))
}

/// A time that was; what is still to come would make names newer than any that are typed here.
fn time(part: Part<'_>, now: u64) -> Option<u64> {
    json::read(part?).filter(|time: &u64| *time <= now)
}

impl Found {
    fn take_extensions(&mut self, part: &RawValue) {
        // What they would have been nobody knows.
        let Some(extensions) = json::object::<json::Extensions<'_>>(part) else {
            self.lost
                .extend([Lost::Prf, Lost::CredBlob, Lost::LargeBlob]);
            return;
        };
        // The one secret of the drafts is not the two that are needed.
        let draft = extensions.hmac_secret.map(|_| Lost::Prf);
        let hmac = extensions.hmac_credentials;
        self.lost.extend(draft.filter(|_| hmac.is_none()));
        self.passkey.prf = self.kept(hmac, read_seeds, Lost::Prf);
        let blob = |part: &RawValue| CredBlob::from_bytes(&json::bytes(part)?);
        self.passkey.cred_blob = self.kept(extensions.cred_blob, blob, Lost::CredBlob);
        let at = self.passkey.changed_at;
        let large = self.kept(extensions.large_blob, read_large_blob, Lost::LargeBlob);
        self.passkey.large_blob = large.map(|blob| (blob, at));
    }

    /// Reads what is there; what cannot be read is lost.
    fn kept<T>(
        &mut self,
        part: Part<'_>,
        read: impl FnOnce(&RawValue) -> Option<T>,
        lost: Lost,
    ) -> Option<T> {
        let read = read(part?);
        if read.is_none() {
            self.lost.push(lost);
        }
        read
    }
}

fn read_large_blob(part: &RawValue) -> Option<LargeBlob> {
    let blob: json::LargeBlob<'_> = json::object(part)?;
    LargeBlob::new(
        &json::bytes(blob.data?)?,
        json::read(blob.uncompressed_size?)?,
    )
}

fn read_seeds(part: &RawValue) -> Option<Seeds> {
    let credentials: json::HmacCredentials<'_> = json::object(part)?;
    (json::text(credentials.algorithm?)? == "hmac-sha256").then_some(())?;
    let half = |part: Part<'_>| json::bytes(part?).filter(|bytes| bytes.len() == 32);
    let mut seeds = Zeroizing::new([0; 64]);
    let (with_uv, without_uv) = seeds.split_at_mut(32);
    with_uv.copy_from_slice(&half(credentials.with_uv)?);
    without_uv.copy_from_slice(&half(credentials.without_uv)?);
    Seeds::from_bytes(seeds.as_ref())
}
