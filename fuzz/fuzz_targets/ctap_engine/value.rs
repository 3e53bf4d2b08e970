//! Values of CBOR, and what may be wrong with a request that is otherwise as it should be.

use handfast_proto::cbor::{self, Map, Value};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};

/// Draws a number below another; 0 where nothing is left to draw from, which is the usual case
/// everywhere: short inputs are plain requests.
pub(crate) fn below(many: u8, u: &mut Unstructured<'_>) -> Result<u8> {
    u.int_in_range(0..=many.saturating_sub(1))
}

/// Something that is seldom there.
#[derive(Debug)]
pub(crate) struct Rare<T>(pub(crate) Option<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rare<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let there = below(16, u)? == 15;
        there.then(|| u.arbitrary()).transpose().map(Self)
    }
}

/// Up to four of something.
#[derive(Debug)]
pub(crate) struct Few<T>(pub(crate) Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Few<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let many = below(5, u)?;
        (0..many)
            .map(|_| u.arbitrary())
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// A byte string, of which the length matters more than the content.
#[derive(Arbitrary, Debug)]
pub(crate) enum Bytes {
    Few(Few<u8>),
    Filled { byte: u8, length: u8 },
    Many { byte: u8, length: u16 },
}

impl Bytes {
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Few(bytes) => bytes.0.clone(),
            Self::Filled { byte, length } => vec![*byte; usize::from(*length)],
            Self::Many { byte, length } => vec![*byte; usize::from(*length)],
        }
    }
}

/// A text, which may be longer than anybody keeps.
#[derive(Arbitrary, Debug)]
pub(crate) enum Text {
    Any(String),
    Repeated { letter: char, times: u8 },
}

impl Text {
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Any(text) => text.clone(),
            Self::Repeated { letter, times } => letter.to_string().repeat(usize::from(*times)),
        }
    }
}

/// Any value, a small one mostly.
#[derive(Arbitrary, Debug)]
pub(crate) enum Small {
    Bool(bool),
    Bytes(Bytes),
    Deep { lists: u8 },
    EmptyMap,
    Negative(u64),
    Null,
    Text(Text),
    Unsigned(u64),
}

impl Small {
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Bool(bool) => (*bool).into(),
            Self::Bytes(bytes) => bytes.to_vec().into(),
            Self::Deep { lists } => {
                (0..lists % 8).fold(Value::Array(Vec::new()), |inner, _| vec![inner].into())
            }
            Self::EmptyMap => Map::new().into(),
            Self::Negative(n) => Value::Negative(*n),
            Self::Null => Value::Null,
            Self::Text(text) => text.to_text().into(),
            Self::Unsigned(n) => (*n).into(),
        }
    }
}

/// What is wrong with a request.
#[derive(Arbitrary, Debug)]
pub(crate) enum Fault {
    /// It has a member more.
    Added(Small, Small),
    /// One byte is another.
    Byte { at: u16, difference: u8 },
    /// Something else, or nothing, is where this way through maps and lists leads.
    Changed {
        way: Few<u8>,
        instead: Option<Small>,
    },
    /// Its end is missing.
    Cut { at: u16 },
    /// Something follows.
    Longer(Bytes),
}

/// What is wrong with a request; mostly nothing is.
#[derive(Debug)]
pub(crate) struct Faults(Vec<Fault>);

impl<'a> Arbitrary<'a> for Faults {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match below(16, u)? {
            15 => u.arbitrary::<Few<Fault>>()?.0,
            14 => vec![u.arbitrary()?],
            _ => Vec::new(),
        }))
    }
}

impl Faults {
    /// Writes a request with its faults: command byte, then CBOR.
    pub(crate) fn write(&self, command: u8, cbor: Option<Map>) -> Vec<u8> {
        let cbor = cbor.map(Value::from);
        let spoilt = self.0.iter().fold(cbor, |value, fault| match fault {
            Fault::Added(key, of) => value.map(|value| match value {
                Value::Map(map) => map.with(key.to_value(), of.to_value()).into(),
                other => other,
            }),
            Fault::Changed { way, instead } => {
                value.and_then(|value| changed(value, &way.0, instead.as_ref()))
            }
            _ => value,
        });
        let mut bytes = vec![command];
        bytes.extend(spoilt.iter().flat_map(Value::encode));
        self.0.iter().for_each(|fault| fault.spoil(&mut bytes));
        bytes
    }

    /// Writes a request again with its faults.
    pub(crate) fn rewrite(&self, request: &[u8]) -> Vec<u8> {
        let (command, cbor) = request.split_first().expect("a command");
        let cbor = cbor::decode(cbor).expect("canonical CBOR");
        self.write(*command, cbor.into_map())
    }
}

impl Fault {
    fn spoil(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Byte { at, difference } => {
                let at = usize::from(*at) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= difference;
                }
            }
            Self::Cut { at } => bytes.truncate(usize::from(*at) % bytes.len().max(1)),
            Self::Longer(more) => bytes.extend(more.to_vec()),
            Self::Added(..) | Self::Changed { .. } => {}
        }
    }
}

/// Goes a way through maps and lists, and puts something else, or nothing, where it ends.
fn changed(value: Value, way: &[u8], instead: Option<&Small>) -> Option<Value> {
    let Some((turn, way)) = way.split_first() else {
        return instead.map(Small::to_value);
    };
    let turn = usize::from(*turn);
    match value {
        Value::Map(map) if !map.is_empty() => {
            let entries = map.iter().enumerate();
            let map = entries.fold(Map::new(), |to, (at, (key, value))| {
                let value = match at == turn % map.len() {
                    true => changed(value.clone(), way, instead),
                    false => Some(value.clone()),
                };
                to.with_some(key.clone(), value)
            });
            Some(map.into())
        }
        Value::Array(items) if !items.is_empty() => {
            let length = items.len();
            let items = items.into_iter().enumerate();
            let items = items.filter_map(|(at, item)| match at == turn % length {
                true => changed(item, way, instead),
                false => Some(item),
            });
            Some(items.collect::<Vec<Value>>().into())
        }
        _ => instead.map(Small::to_value),
    }
}
