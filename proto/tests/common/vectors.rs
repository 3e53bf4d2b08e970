//! A file of vectors that knows which of its values a test has looked at, so that a test can tell
//! which nobody did.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Values that are for a reader of the file, wherever they stand.
const FOR_READERS: [&str; 8] = [
    "about",
    "confirmed_by",
    "description",
    "generator",
    "name",
    "note",
    "transport_confirmed_by",
    "what",
];

/// A file of vectors.
pub(crate) struct Vectors {
    all: Value,
    seen: RefCell<BTreeSet<String>>,
    /// Paths, with what they are called for a reader, and why.
    skipped: RefCell<BTreeMap<String, (String, &'static str)>>,
}

impl Vectors {
    pub(crate) fn read(name: &str) -> Self {
        let path = format!("{}/../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        Self {
            all: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(),
            seen: RefCell::default(),
            skipped: RefCell::default(),
        }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node {
            file: self,
            value: &self.all,
            path: String::new(),
        }
    }

    /// Asserts that every value was looked at, is for readers, or was skipped with a reason, and
    /// prints the skipped.
    pub(crate) fn assert_all_seen(&self) {
        let (seen, skipped) = (self.seen.borrow(), self.skipped.borrow());
        let mut told: BTreeMap<&(String, &str), usize> = BTreeMap::new();
        for entry in skipped.values() {
            *told.entry(entry).or_default() += 1;
        }
        for ((entry, reason), count) in told {
            println!("skipped: {entry} ({count}): {reason}");
        }
        let mut leaves = Vec::new();
        collect(&self.all, String::new(), &mut leaves);
        let unseen: Vec<&String> = leaves
            .iter()
            .filter(|path| !seen.contains(*path))
            .filter(|path| !skipped.keys().any(|skipped| within(path, skipped)))
            .collect();
        assert!(unseen.is_empty(), "neither checked nor named: {unseen:#?}");
        let needless = |skipped: &&String| seen.iter().any(|path| within(path, skipped));
        let needless: Vec<&String> = skipped.keys().filter(needless).collect();
        assert!(needless.is_empty(), "skipped and checked: {needless:#?}");
    }
}

/// A path without the places in lists, so that what is skipped in each item is told once. An item
/// that is skipped as a whole keeps its own.
fn alike(path: &str) -> String {
    let mut parts = path.split('.').peekable();
    let mut alike = Vec::new();
    while let Some(part) = parts.next() {
        let list = part.split('[').next().unwrap_or(part);
        match parts.peek().is_some() && list != part {
            true => alike.push(format!("{list}[..]")),
            false => alike.push(part.to_owned()),
        }
    }
    alike.join(".")
}

fn within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn collect(value: &Value, path: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if !FOR_READERS.contains(&name.as_str()) {
                    collect(value, join(&path, name), leaves);
                }
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(value, format!("{path}[{at}]"), leaves);
            }
        }
        _ => leaves.push(path),
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A value in a file of vectors. Reading what it holds marks it as seen.
#[derive(Clone)]
pub(crate) struct Node<'v> {
    file: &'v Vectors,
    value: &'v Value,
    path: String,
}

impl<'v> Node<'v> {
    /// Where the value stands, for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    pub(crate) fn at(&self, name: &str) -> Self {
        let value = self.value.get(name);
        Self {
            value: value.unwrap_or_else(|| panic!("{}: no {name}", self.path)),
            path: join(&self.path, name),
            file: self.file,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.has(name).then(|| self.at(name))
    }

    /// A text that tells only whether the rest is to be looked at; it is not marked as seen.
    pub(crate) fn kind(&self, name: &str) -> &'v str {
        self.at(name).value.as_str().unwrap()
    }

    /// The items of the list of this name.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        let list = self.at(name);
        let items = list.value.as_array();
        let items = items.unwrap_or_else(|| panic!("{}: no list", list.path));
        let node = |(at, value): (usize, &'v Value)| Node {
            value,
            path: format!("{}[{at}]", list.path),
            file: self.file,
        };
        items.iter().enumerate().map(node).collect()
    }

    /// The members of a map.
    pub(crate) fn members(&self) -> Vec<(&'v str, Self)> {
        let members = self.value.as_object();
        let members = members.unwrap_or_else(|| panic!("{}: no map", self.path));
        members
            .keys()
            .map(|name| (name.as_str(), self.at(name)))
            .collect()
    }

    /// Names a value, with all that is in it, as not checked.
    pub(crate) fn skip(&self, reason: &'static str) {
        let names = ["id", "name"].map(|name| self.value.get(name)?.as_str());
        let name = names.into_iter().flatten().next();
        let called = match name {
            Some(name) => format!("{} {name:?}", self.path),
            None => alike(&self.path),
        };
        let mut skipped = self.file.skipped.borrow_mut();
        skipped.insert(self.path.clone(), (called, reason));
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &'v Value {
        let mut leaves = Vec::new();
        collect(self.value, self.path.clone(), &mut leaves);
        self.file.seen.borrow_mut().extend(leaves);
        self.value
    }

    fn typed<T>(&self, read: impl FnOnce(&'v Value) -> Option<T>) -> T {
        read(self.value()).unwrap_or_else(|| panic!("{}: another type", self.path))
    }

    pub(crate) fn text(&self, name: &str) -> &'v str {
        self.at(name).typed(Value::as_str)
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<&'v str> {
        let texts = self.at(name).typed(Value::as_array).iter();
        texts.map(|text| text.as_str().unwrap()).collect()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.at(name).typed(Value::as_u64)
    }

    pub(crate) fn integer(&self, name: &str) -> i64 {
        self.at(name).typed(Value::as_i64)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.at(name).typed(Value::as_bool)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap()
    }
}
