//! Many users' keywords at once: whom a text may concern, found by one look at the text.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::words::{Pattern, is_word};

/// Glob patterns of many users. A pattern with a whole word in it is only tried on texts that have the word.
#[derive(Debug, Clone)]
pub struct Keywords<U> {
    by_word: HashMap<String, Watched<U>>,
    /// Patterns without a whole word: wildcards, or letters that make no word by the spec's rules.
    wordless: Watched<U>,
}

/// Patterns, and who watches out for each.
type Watched<U> = BTreeMap<String, (Pattern, BTreeSet<U>)>;

impl<U> Default for Keywords<U> {
    fn default() -> Self {
        Self { by_word: HashMap::new(), wordless: BTreeMap::new() }
    }
}

impl<U: Copy + Ord> Keywords<U> {
    /// Adds a user's pattern.
    pub fn add(&mut self, pattern: &str, user: U) {
        let pattern = pattern.to_lowercase();
        let watched = match whole_word(&pattern) {
            Some(word) => self.by_word.entry(word.to_owned()).or_default(),
            None => &mut self.wordless,
        };
        let entry = watched.entry(pattern).or_insert_with_key(|pattern| (Pattern::new(pattern), BTreeSet::new()));
        entry.1.insert(user);
    }

    /// Takes a user's pattern out.
    pub fn remove(&mut self, pattern: &str, user: U) {
        fn take_out<U: Ord>(watched: &mut Watched<U>, pattern: &str, user: &U) {
            if let Some((_, users)) = watched.get_mut(pattern) {
                users.remove(user);
                if users.is_empty() {
                    watched.remove(pattern);
                }
            }
        }
        let pattern = pattern.to_lowercase();
        let Some(word) = whole_word(&pattern) else { return take_out(&mut self.wordless, &pattern, &user) };
        if let Some(watched) = self.by_word.get_mut(word) {
            take_out(watched, &pattern, &user);
            if watched.is_empty() {
                self.by_word.remove(word);
            }
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_word.is_empty() && self.wordless.is_empty()
    }

    /// The users one of whose patterns a text matches.
    #[must_use]
    pub fn hits(&self, text: &str) -> BTreeSet<U> {
        let text = text.to_lowercase();
        let mut users = BTreeSet::new();
        let mut tried = HashSet::new();
        let by_word = words_of(&text).filter(|word| tried.insert(*word)).filter_map(|word| self.by_word.get(word));
        for (pattern, watching) in by_word.chain([&self.wordless]).flat_map(BTreeMap::values) {
            if pattern.is_in(&text) {
                users.extend(watching);
            }
        }
        users
    }
}

/// Whether a text must have some whole word to match a pattern: then it costs nothing to watch out for it.
pub(super) fn has_whole_word(pattern: &str) -> bool {
    whole_word(&pattern.to_lowercase()).is_some()
}

/// The longest word of a pattern. What matches has it as a whole word, since a match begins and ends at words' edges; not
/// so beside wildcards, which may stand for the rest of a word.
fn whole_word(pattern: &str) -> Option<&str> {
    if pattern.contains(['*', '?']) {
        return None;
    }
    words_of(pattern).max_by_key(|word| word.len())
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char| !is_word(char)).filter(|word| !word.is_empty())
}

#[derive(Deserialize, Default)]
struct Content {
    body: Option<serde_json::Value>,
}

/// The text of a content that keywords are searched for in.
#[must_use]
pub fn body(content: &RawValue) -> Option<String> {
    let content: Content = serde_json::from_str(content.get()).ok()?;
    match content.body? {
        serde_json::Value::String(body) => Some(body),
        _ => None,
    }
}
