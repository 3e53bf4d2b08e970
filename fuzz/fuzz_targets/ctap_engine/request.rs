//! Requests as computers send them, and others.

use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::command::{
    CLIENT_PIN, GET_ASSERTION, GET_INFO, GET_NEXT_ASSERTION, MAKE_CREDENTIAL, RESET, SELECTION,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};

use crate::client::Client;
use crate::extension::{Extension, For, Format};
use crate::newcomer::Step;
use crate::value::{Bytes, Faults, Few, Rare, Text, below};

/// What the sites ask to be signed; a phone does not look at it.
const CLIENT_DATA_HASH: [u8; 32] = [7; 32];

/// A request.
#[derive(Debug)]
pub(crate) enum Request {
    ClientPin(ClientPin, Faults),
    GetAssertion(GetAssertion, Faults),
    GetInfo(Faults),
    GetNextAssertion(Faults),
    MakeCredential(Box<MakeCredential>, Faults),
    Raw(Vec<u8>),
    Reset(Faults),
    Selection(Faults),
    TrustGroup(Step, Faults),
}

impl<'a> Arbitrary<'a> for Request {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(20, u)? {
            0..=4 => Self::MakeCredential(u.arbitrary()?, u.arbitrary()?),
            5..=11 => Self::GetAssertion(u.arbitrary()?, u.arbitrary()?),
            12 | 13 => Self::GetNextAssertion(u.arbitrary()?),
            14 => Self::ClientPin(u.arbitrary()?, u.arbitrary()?),
            15 => match below(8, u)? {
                0..=3 => Self::Selection(u.arbitrary()?),
                4..=6 => Self::GetInfo(u.arbitrary()?),
                _ => Self::Reset(u.arbitrary()?),
            },
            16 => {
                let most = usize::from(below(64, u)?);
                Self::Raw(u.bytes(most.min(u.len()))?.to_vec())
            }
            _ => Self::TrustGroup(u.arbitrary()?, u.arbitrary()?),
        })
    }
}

impl Request {
    /// Writes the request of a client; nothing for steps of the trust group, which a
    /// [`crate::newcomer::Newcomer`] writes.
    pub(crate) fn write(&self, client: &mut Client) -> Option<Vec<u8>> {
        Some(match self {
            Self::ClientPin(pin, faults) => faults.write(CLIENT_PIN, Some(pin.to_map())),
            Self::GetAssertion(get, faults) => {
                faults.write(GET_ASSERTION, Some(get.to_map(client)))
            }
            Self::GetInfo(faults) => faults.write(GET_INFO, None),
            Self::GetNextAssertion(faults) => faults.write(GET_NEXT_ASSERTION, None),
            Self::MakeCredential(make, faults) => {
                faults.write(MAKE_CREDENTIAL, Some(make.to_map(client)))
            }
            Self::Raw(bytes) => bytes.clone(),
            Self::Reset(faults) => faults.write(RESET, None),
            Self::Selection(faults) => faults.write(SELECTION, None),
            Self::TrustGroup(..) => return None,
        })
    }
}

/// A site.
#[derive(Debug)]
enum Site {
    Usual,
    UsualInCapitals,
    Other,
    Any(Text),
}

impl<'a> Arbitrary<'a> for Site {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(16, u)? {
            0..=11 => Self::Usual,
            12 => Self::UsualInCapitals,
            13 | 14 => Self::Other,
            _ => Self::Any(u.arbitrary()?),
        })
    }
}

impl Site {
    fn id(&self) -> String {
        match self {
            Self::Usual => "example.org".to_owned(),
            Self::UsualInCapitals => "Example.ORG".to_owned(),
            Self::Other => "login.example.net".to_owned(),
            Self::Any(text) => text.to_text(),
        }
    }
}

/// Who has an account.
#[derive(Arbitrary, Debug)]
enum User {
    Ana,
    Ben,
    Numbered(u8),
    Odd(Rare<Bytes>),
}

impl User {
    fn handle(&self) -> Vec<u8> {
        match self {
            Self::Ana | Self::Odd(Rare(None)) => b"ana".to_vec(),
            Self::Ben => b"ben".to_vec(),
            Self::Numbered(number) => vec![*number],
            Self::Odd(Rare(Some(bytes))) => bytes.to_vec(),
        }
    }
}

/// A credential that a site names.
#[derive(Debug)]
pub(crate) enum Credential {
    /// One that was made earlier, by how many came after it.
    Made { newer: u8 },
    /// Any bytes, which may be too few or too many.
    Stranger(Bytes),
}

impl<'a> Arbitrary<'a> for Credential {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(16, u)? {
            15 => Self::Stranger(u.arbitrary()?),
            choice => Self::Made {
                newer: choice.saturating_sub(8),
            },
        })
    }
}

/// The credentials one of which must sign: none, one or a few.
#[derive(Debug)]
struct Allowed(Option<Few<Credential>>);

impl<'a> Arbitrary<'a> for Allowed {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match below(8, u)? {
            0..=3 => None,
            4..=6 => Some(Few(vec![u.arbitrary()?])),
            _ => Some(u.arbitrary()?),
        }))
    }
}

/// A signature algorithm, by its COSE number.
#[derive(Debug)]
struct Algorithm(i64);

impl<'a> Arbitrary<'a> for Algorithm {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match below(16, u)? {
            0..=8 => -7,
            9..=13 => -8,
            14 => -257,
            _ => u.arbitrary()?,
        }))
    }
}

impl Algorithm {
    fn to_value(&self) -> Value {
        Map::new()
            .with("alg", self.0)
            .with("type", "public-key")
            .into()
    }
}

/// The proof of a PIN that the client asked for, which no phone here has.
#[derive(Arbitrary, Debug)]
struct Proof {
    proof: Option<Bytes>,
    protocol: Option<u8>,
}

impl Rare<Proof> {
    fn add(&self, map: Map, proof: u8, protocol: u8) -> Map {
        let given = self.0.as_ref();
        let bytes = given.and_then(|it| it.proof.as_ref()).map(Bytes::to_vec);
        map.with_some(proof, bytes)
            .with_some(protocol, given.and_then(|it| it.protocol))
    }
}

/// Options of a request.
#[derive(Arbitrary, Debug)]
struct Options {
    resident_key: Option<bool>,
    presence: Rare<bool>,
    verification: Option<bool>,
}

impl Options {
    fn to_map(&self) -> Option<Map> {
        let map = Map::new()
            .with_some("rk", self.resident_key)
            .with_some("up", self.presence.0)
            .with_some("uv", self.verification);
        (!map.is_empty()).then_some(map)
    }
}

fn extensions(wanted: &Few<Extension>, of: For, client: &mut Client) -> Option<Map> {
    let wanted = wanted.0.iter();
    let inputs = wanted.fold(Map::new(), |map, one| one.add(map, of, client));
    (!inputs.is_empty()).then_some(inputs)
}

/// authenticatorMakeCredential.
#[derive(Arbitrary, Debug)]
pub(crate) struct MakeCredential {
    site: Site,
    site_name: Rare<Text>,
    user: User,
    user_name: Option<Text>,
    display_name: Option<Text>,
    algorithm: Algorithm,
    more_algorithms: Few<Algorithm>,
    exclude: Rare<Few<Credential>>,
    extensions: Few<Extension>,
    options: Options,
    proof: Rare<Proof>,
    enterprise: Rare<u8>,
    formats: Option<Few<Format>>,
}

impl MakeCredential {
    fn to_map(&self, client: &mut Client) -> Map {
        let rp = Map::new()
            .with("id", self.site.id())
            .with_some("name", self.site_name.0.as_ref().map(Text::to_text));
        let user = Map::new()
            .with("id", self.user.handle())
            .with_some("name", self.user_name.as_ref().map(Text::to_text))
            .with_some("displayName", self.display_name.as_ref().map(Text::to_text));
        let algorithms = std::iter::once(&self.algorithm).chain(&self.more_algorithms.0);
        let algorithms: Vec<Value> = algorithms.map(Algorithm::to_value).collect();
        let exclude = self.exclude.0.as_ref();
        let map = Map::new()
            .with(0x01, CLIENT_DATA_HASH)
            .with(0x02, rp)
            .with(0x03, user)
            .with(0x04, algorithms)
            .with_some(0x05, exclude.map(|list| client.list(list)))
            .with_some(0x06, extensions(&self.extensions, For::Creation, client))
            .with_some(0x07, self.options.to_map())
            .with_some(0x0a, self.enterprise.0)
            .with_some(0x0b, self.formats.as_ref().map(Format::list));
        self.proof.add(map, 0x08, 0x09)
    }
}

/// authenticatorGetAssertion.
#[derive(Arbitrary, Debug)]
pub(crate) struct GetAssertion {
    site: Site,
    allow: Allowed,
    extensions: Few<Extension>,
    options: Options,
    proof: Rare<Proof>,
}

impl GetAssertion {
    fn to_map(&self, client: &mut Client) -> Map {
        let allow = self.allow.0.as_ref();
        let map = Map::new()
            .with(0x01, self.site.id())
            .with(0x02, CLIENT_DATA_HASH)
            .with_some(0x03, allow.map(|list| client.list(list)))
            .with_some(0x04, extensions(&self.extensions, For::SignIn, client))
            .with_some(0x05, self.options.to_map());
        self.proof.add(map, 0x06, 0x07)
    }
}

/// authenticatorClientPIN.
#[derive(Arbitrary, Debug)]
pub(crate) enum ClientPin {
    KeyAgreement,
    Other {
        protocol: Option<u8>,
        subcommand: u8,
    },
    UvRetries,
}

impl ClientPin {
    fn to_map(&self) -> Map {
        match self {
            Self::KeyAgreement => Map::new().with(0x01, 2).with(0x02, 2),
            Self::Other {
                protocol,
                subcommand,
            } => Map::new()
                .with_some(0x01, *protocol)
                .with(0x02, *subcommand),
            Self::UvRetries => Map::new().with(0x02, 7),
        }
    }
}
