//! Where values come from: the table's defaults, under the file, under the environment. Every problem says where it is.

use std::collections::BTreeMap;
use std::fmt;

use matron_matrix::digest;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::keys::{self, Form, Key, PREFIX};

/// Variables that begin like ours and are no keys: the program's own, and that of the client tests.
const NO_KEYS: [&str; 2] = ["MATRON_CONFIG", "MATRON_BIN"];

/// Something wrong with the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file:line`, or the variable's name.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What the file says.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl File<'_> {
    fn place(&self, offset: usize) -> String {
        let before = self.text.as_bytes().iter().take(offset);
        format!("{}:{}", self.name, before.filter(|byte| **byte == b'\n').count() + 1)
    }
}

enum Origin {
    Default,
    File,
    Variable(String),
}

struct Setting<'a> {
    value: Spanned<DeValue<'a>>,
    origin: Origin,
}

/// All values, not yet typed.
pub struct Source<'a> {
    file: Option<File<'a>>,
    settings: BTreeMap<&'static str, Setting<'a>>,
    /// What was read in files that keys name.
    held: BTreeMap<&'static str, Vec<Mark>>,
    /// What was found wrong so far.
    pub problems: Vec<Problem>,
}

/// A digest that tells a value from others and does not say what it is.
pub type Mark = [u8; 32];

impl<'a> Source<'a> {
    /// Collects all values and finds unknown keys.
    pub fn new(file: Option<File<'a>>, variables: &'a [(String, String)]) -> Self {
        let mut source = Self { file, settings: BTreeMap::new(), held: BTreeMap::new(), problems: Vec::new() };
        for key in keys::all() {
            if let Some(default) = key.default {
                source.parse(key, default, Origin::Default);
            }
        }
        if let Some(file) = file {
            match DeTable::parse(file.text) {
                Ok(table) => source.table(&Origin::File, "", table.into_inner()),
                Err(error) => source.problems.push(Problem {
                    place: file.place(error.span().map_or(0, |span| span.start)),
                    message: error.message().to_owned(),
                }),
            }
        }
        for (name, text) in variables {
            source.variable(name, text);
        }
        source
    }

    /// Notes that something is wrong with a key.
    pub fn wrong(&mut self, name: &'static str, message: impl fmt::Display) {
        let place = self.place(name, None);
        self.problems.push(Problem { place, message: format!("`{name}`: {message}") });
    }

    /// Whether a key has a value at all.
    pub fn has(&self, name: &'static str) -> bool {
        self.settings.contains_key(name)
    }

    /// A key's value; nothing where it is absent or of the wrong type, and then the problem is noted.
    pub fn get<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let value = self.settings.get(name)?.value.clone();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                let place = self.place(name, error.span().map(|span| span.start));
                self.problems.push(Problem { place, message: format!("`{name}`: {}", error.message()) });
                None
            }
        }
    }

    /// All values as they are in force, in TOML, without what nobody may see.
    pub fn shown(&self) -> BTreeMap<&'static str, String> {
        let show = |(name, setting): (&&'static str, &Setting<'_>)| {
            let value = toml::Value::deserialize(ValueDeserializer::from(setting.value.clone())).ok()?;
            let text = match &value {
                _ if keys::find(name).is_some_and(|key| key.secret) && !is_empty(&value) => "\"(hidden)\"".to_owned(),
                value => value.to_string(),
            };
            Some((*name, text))
        };
        self.settings.iter().filter_map(show).collect()
    }

    /// Notes what the file holds that a key names, where it is read once: another content is another value.
    pub fn note(&mut self, name: &'static str, content: &[u8]) {
        self.held.entry(name).or_default().push(digest::of(content));
    }

    /// What tells all values as they are in force from others, what nobody may see included.
    pub fn marks(&self) -> BTreeMap<&'static str, Mark> {
        let mark = |(name, setting): (&&'static str, &Setting<'_>)| {
            let value = toml::Value::deserialize(ValueDeserializer::from(setting.value.clone())).ok()?.to_string();
            let held = self.held.get(name).into_iter().flatten().map(Mark::as_slice);
            Some((*name, digest::of_parts(std::iter::once(value.as_bytes()).chain(held))))
        };
        self.settings.iter().filter_map(mark).collect()
    }

    fn place(&self, name: &str, offset: Option<usize>) -> String {
        let Some(setting) = self.settings.get(name) else { return "configuration".to_owned() };
        match (&setting.origin, self.file) {
            (Origin::Variable(variable), _) => variable.clone(),
            (Origin::File, Some(file)) => file.place(offset.unwrap_or(setting.value.span().start)),
            _ => "default".to_owned(),
        }
    }

    fn variable(&mut self, name: &str, text: &'a str) {
        let Some(rest) = name.strip_prefix(PREFIX) else { return };
        // An orchestrator that runs a service called "matron" sets these for every program beside it.
        if NO_KEYS.contains(&name) || rest.starts_with("PORT") || rest.starts_with("SERVICE_") {
            return;
        }
        if let Some(key) = keys::all().find(|key| key.variable().as_deref() == Some(name)) {
            self.parse(key, text, Origin::Variable(name.to_owned()));
        } else {
            let message = format!("unknown key{}", did_you_mean(name, keys::all().filter_map(Key::variable)));
            self.problems.push(Problem { place: name.to_owned(), message });
        }
    }

    /// Takes a value over from text that is not in the file.
    fn parse(&mut self, key: &'static Key, text: &'a str, origin: Origin) {
        let value = match (&origin, key.form) {
            (Origin::Variable(_), Form::Text) => Ok(Spanned::new(0..0, DeValue::String(text.into()))),
            _ => DeValue::parse(text),
        };
        match (value, &origin) {
            (Ok(value), _) => self.leaf(key, value, origin),
            (Err(error), Origin::Variable(name)) => self.problems.push(Problem {
                place: name.clone(),
                message: format!("{} (the value is read as TOML: `{}`)", error.message(), key.example),
            }),
            (Err(error), _) => {
                let message = format!("`{}`: {}", key.name, error.message());
                self.problems.push(Problem { place: "default".to_owned(), message });
            }
        }
    }

    fn leaf(&mut self, key: &'static Key, value: Spanned<DeValue<'a>>, origin: Origin) {
        let entries = format!("{}[]", key.name);
        if let DeValue::Array(array) = value.get_ref()
            && keys::all().any(|key| key.name.starts_with(&entries))
        {
            for entry in array {
                if let DeValue::Table(table) = entry.get_ref() {
                    self.table(&origin, &format!("{entries}."), table.clone());
                }
            }
        }
        self.settings.insert(key.name, Setting { value, origin });
    }

    /// Takes a table's values over; in a list's entries it only looks whether the keys are known.
    fn table(&mut self, origin: &Origin, prefix: &str, table: DeTable<'a>) {
        for (name, value) in table {
            let path = format!("{prefix}{}", name.get_ref());
            let section = format!("{path}.");
            match (keys::find(&path), value.get_ref()) {
                (Some(_), _) if prefix.contains('[') => {}
                (Some(key), _) => self.leaf(key, value, Origin::File),
                (None, DeValue::Table(_)) if keys::all().any(|key| key.name.starts_with(&section)) => {
                    if let DeValue::Table(table) = value.into_inner() {
                        self.table(origin, &section, table);
                    }
                }
                (None, _) => {
                    let place = match (origin, self.file) {
                        (Origin::Variable(variable), _) => variable.clone(),
                        (_, Some(file)) => file.place(name.span().start),
                        _ => "default".to_owned(),
                    };
                    let message = if keys::all().any(|key| key.name.starts_with(&section)) {
                        format!("`{path}` is a section: write `[{path}]`, and its keys below")
                    } else {
                        let sections =
                            keys::all().filter_map(|key| key.name.split_once('.')).map(|(section, _)| section);
                        let known = keys::all().map(|key| key.name).chain(sections).map(ToOwned::to_owned);
                        format!("unknown key `{path}`{}", did_you_mean(&path, known))
                    };
                    self.problems.push(Problem { place, message });
                }
            }
        }
    }
}

fn is_empty(value: &toml::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty)
}

/// The nearest known name, if one is near: one that goes on as this one does, or ends so, or is spelt nearly so.
fn did_you_mean(name: &str, known: impl Iterator<Item = String>) -> String {
    let nearness = |known: &str| {
        if known.starts_with(name) {
            1.0
        } else if known.ends_with(&format!(".{name}")) {
            0.99
        } else {
            strsim::jaro_winkler(name, known)
        }
    };
    let near = known
        .map(|known| (nearness(&known), known))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    near.map_or_else(String::new, |(_, known)| format!("; did you mean `{known}`?"))
}
