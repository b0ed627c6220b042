//! What is searched for, and where a page of results begins.

use std::collections::BTreeSet;

use matron_matrix::text::words;
use matron_matrix::{Error as MatrixError, Result};
use matron_storage::Position;
use ruma::api::client::filter::RoomEventFilter;

use crate::schema::{RoomNum, UserNum};

/// The longest search term in bytes: far more than the words that are looked for need.
const MAX_TERM_BYTES: usize = 4096;
/// The most words that are looked for, and that results are ranked by; those after them are left out.
const MOST_WORDS: usize = 16;

/// A part of events that can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `content.body` of `m.room.message`
    Body,
    /// `content.name` of `m.room.name`
    Name,
    /// `content.topic` of `m.room.topic`
    Topic,
}

impl Key {
    /// The type of the events that have it.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Body => "m.room.message",
            Self::Name => "m.room.name",
            Self::Topic => "m.room.topic",
        }
    }
}

/// In which order results come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Best matches first.
    Rank,
    /// Newest first.
    Recent,
}

/// What results are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    /// Their room.
    Room,
    /// Their sender.
    Sender,
}

/// What comes with each result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// How many events before it.
    pub before: usize,
    /// How many events after it.
    pub after: usize,
    /// Whether the names of all senders, as they were then.
    pub profiles: bool,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The text whose words are looked for.
    pub term: String,
    /// Where; empty: everywhere.
    pub keys: BTreeSet<Key>,
    /// In which rooms, of whom, how many on a page.
    pub filter: RoomEventFilter,
    /// In which order.
    pub order: Order,
    /// What comes with each result; nothing where it is not asked for.
    pub around: Option<Around>,
    /// Whether the state of the results' rooms comes too.
    pub state: bool,
    /// What results are grouped by.
    pub groups: BTreeSet<GroupBy>,
    /// Where the page begins: `next` of another one.
    pub from: Option<String>,
}

/// What is looked for: the words of a search term, few enough to be compared with each event that is looked at.
#[derive(Debug)]
pub(super) struct Sought {
    /// The words as they follow one another.
    pub phrase: Vec<String>,
    /// Each of them once, the longest first: it is likely to be in the fewest events.
    pub words: Vec<String>,
}

impl Sought {
    /// The words of a term.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where it is too long.
    pub fn of(term: &str) -> Result<Self> {
        if term.len() > MAX_TERM_BYTES {
            return Err(MatrixError::invalid_param(format!("a search term has {MAX_TERM_BYTES} bytes at most")));
        }
        let mut phrase = words(term);
        phrase.truncate(MOST_WORDS);
        let mut each = phrase.clone();
        each.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        each.dedup();
        Ok(Self { phrase, words: each })
    }
}

/// One group of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Room(RoomNum),
    Sender(UserNum),
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// What came later than this is not looked at, so that pages do not shift.
    pub until: Position,
    /// How many results came before it.
    pub told: usize,
    /// How many there are in all, as the first page said; not known for results by rank, which are counted each time.
    pub count: Option<usize>,
    /// The group that it is a page of.
    pub of: Option<Of>,
}

impl Page {
    pub fn render(self) -> String {
        let count = self.count.map_or_else(|| "n".to_owned(), |count| count.to_string());
        let of = match self.of {
            None => "a".to_owned(),
            Some(Of::Room(room)) => format!("r{room}"),
            Some(Of::Sender(user)) => format!("s{user}"),
        };
        format!("q1_{}_{}_{count}_{of}", self.until, self.told)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("q1_")?.split('_');
        let until = parts.next()?.parse().ok().filter(|number| *number <= Position::MAX.get())?;
        let told = parts.next()?.parse().ok()?;
        let count = match parts.next()? {
            "n" => None,
            count => Some(count.parse().ok()?),
        };
        let of = parts.next()?;
        let number = || of.get(1..)?.parse().ok();
        let of = match of.get(..1)? {
            "a" if of.len() == 1 => None,
            "r" => Some(Of::Room(RoomNum(number()?))),
            "s" => Some(Of::Sender(UserNum(number()?))),
            _ => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        Some(Self { until: Position::new(until), told, count, of })
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::Position;
    use proptest::prelude::*;

    use super::{MAX_TERM_BYTES, MOST_WORDS, Of, Page, Sought};
    use crate::schema::{RoomNum, UserNum};

    #[test]
    fn few_words_are_looked_for_however_many_are_said() {
        let sought = Sought::of("the bed in the ward").unwrap();
        assert_eq!(sought.phrase, ["the", "bed", "in", "the", "ward"]);
        assert_eq!(sought.words, ["ward", "bed", "the", "in"]);
        let sought = Sought::of(&"a ".repeat(MAX_TERM_BYTES / 2)).unwrap();
        assert_eq!((sought.phrase.len(), sought.words), (MOST_WORDS, vec!["a".to_owned()]));
        let refusal = Sought::of(&"a ".repeat(MAX_TERM_BYTES / 2 + 1)).unwrap_err();
        assert_eq!(refusal.kind.errcode().to_string(), "M_INVALID_PARAM");
    }

    proptest! {
        #[test]
        fn pages_read_back(until in 0_u64..1 << 62, told: usize, count: Option<usize>, number: u64, of in 0..3) {
            let of = match of {
                0 => None,
                1 => Some(Of::Room(RoomNum(number))),
                _ => Some(Of::Sender(UserNum(number))),
            };
            let page = Page { until: Position::new(until), told, count, of };
            prop_assert_eq!(Page::parse(&page.render()), Some(page));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(q1_)?[0-9_nars-]{0,20}|.*") {
            let _ = Page::parse(&text);
        }
    }
}
