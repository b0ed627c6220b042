//! The one table of keys: what each is called, means and is by default. Reading, `config show` and the docs all use it.

mod limits;
mod media;
mod operation;
mod people;
mod server;
mod service;
mod support;

/// How a key's value is written in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is, without quotes.
    Text,
    /// As in the file: a number, `true`, a list.
    Toml,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted name; `listeners[].bind` is a key of each entry of a list.
    pub name: &'static str,
    /// How the environment has it.
    pub form: Form,
    /// What it is where nobody says otherwise, in TOML; nothing where it is then absent.
    pub default: Option<&'static str>,
    /// A value to start from, in TOML.
    pub example: &'static str,
    /// Whether nobody may see it.
    pub secret: bool,
    /// Whether a reload takes it over.
    pub reload: bool,
    /// What it means.
    pub doc: &'static str,
}

impl Key {
    const fn text(name: &'static str, default: Option<&'static str>, example: &'static str, doc: &'static str) -> Self {
        Self { name, form: Form::Text, default, example, secret: false, reload: false, doc }
    }

    const fn toml(name: &'static str, default: Option<&'static str>, example: &'static str, doc: &'static str) -> Self {
        Self { name, form: Form::Toml, default, example, secret: false, reload: false, doc }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn reload(self) -> Self {
        Self { reload: true, ..self }
    }

    /// The variable that sets it; none for the keys of a list's entries, which are set with the whole list.
    pub fn variable(&self) -> Option<String> {
        (!self.name.contains('[')).then(|| format!("{PREFIX}{}", self.name.replace('.', "__").to_uppercase()))
    }
}

/// What every variable begins with.
pub const PREFIX: &str = "MATRON_";

/// The sections, in the order of the docs.
const SECTIONS: [&[Key]; 7] =
    [server::KEYS, people::KEYS, limits::KEYS, service::KEYS, operation::KEYS, media::KEYS, support::KEYS];

/// Every key, in the order of the docs.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.into_iter().flatten()
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}
