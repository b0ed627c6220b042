//! The events of one room that hold all of some words, newest first.
//!
//! Every word has its list; the walk leaps from list to list, each time to where the last one stands, until all stand at
//! the same event. So it costs about as much as the rarest word has events.

use matron_storage::{Position, Scan, Snapshot, Word};

use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::search::POSTINGS;

/// How many rows a list walks before it is sought anew.
const NEAR: usize = 24;

/// A word's list. Rows are numbered from the newest on: `u64::MAX` less their position.
struct List {
    word: Word,
    scan: Scan<(RoomNum, Word, u64), ()>,
    head: Option<u64>,
}

impl List {
    fn new(snapshot: &Snapshot, room: RoomNum, word: &str) -> Self {
        let word = Word::new(word);
        let scan = snapshot.scan(&POSTINGS, POSTINGS.under(&(room, word.clone())));
        Self { word, scan, head: None }
    }

    /// Goes to the first row at or after `target`.
    async fn seek(&mut self, snapshot: &Snapshot, room: RoomNum, target: u64) -> Result<Option<u64>> {
        if let Some(head) = self.head.filter(|head| *head >= target) {
            return Ok(Some(head));
        }
        for _ in 0..NEAR {
            let Some(((.., number), ())) = self.scan.next().await? else { return Ok(None) };
            if number >= target {
                self.head = Some(number);
                return Ok(self.head);
            }
        }
        let rest = (room, self.word.clone(), target)..=(room, self.word.clone(), u64::MAX);
        self.scan = snapshot.scan(&POSTINGS, POSTINGS.range(rest));
        self.head = self.scan.next().await?.map(|((.., number), ())| number);
        Ok(self.head)
    }
}

/// The walk.
pub(super) struct Matches {
    snapshot: Snapshot,
    /// The room.
    pub room: RoomNum,
    lists: Vec<List>,
    from: u64,
}

impl Matches {
    /// Begins at the newest event up to `until`.
    pub fn new(snapshot: &Snapshot, room: RoomNum, words: &[String], until: Position) -> Self {
        let lists = words.iter().map(|word| List::new(snapshot, room, word)).collect();
        Self { snapshot: snapshot.clone(), room, lists, from: u64::MAX - until.get() }
    }

    /// The next older event that holds all words.
    pub async fn next(&mut self) -> Result<Option<Position>> {
        let (mut target, mut agreed, most) = (self.from, 0, self.lists.len());
        if most == 0 {
            return Ok(None);
        }
        while agreed < most {
            for list in &mut self.lists {
                let Some(head) = list.seek(&self.snapshot, self.room, target).await? else { return Ok(None) };
                (target, agreed) = if head == target { (target, agreed + 1) } else { (head, 1) };
                if agreed == most {
                    break;
                }
            }
        }
        self.from = target.saturating_add(1);
        Ok(Some(Position::new(u64::MAX - target)))
    }
}
