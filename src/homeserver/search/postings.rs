//! The events of one room that hold all of some words, newest first.
//!
//! Every word has its list; the walk leaps from list to list, each time to where the last one stands, until all stand at
//! the same event. So it costs about as much as the rarest word has events, which may be many where words that are common
//! never meet: a walk goes on a few leaps at a time.

use matron_storage::{Position, Scan, Snapshot, Word};

use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::search::POSTINGS;

/// How many rows a list walks before it is sought anew.
const NEAR: usize = 24;
/// How many leaps a walk makes at a time: more than a search has words, so that it always comes further.
const LEAPS: usize = 64;

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

/// Where a walk came to.
pub(super) enum Came {
    /// To the next older event that holds all words.
    To(Position),
    /// As far as this: what is newer and was not told holds not all of them.
    AsFarAs(Position),
    /// To its end.
    ToItsEnd,
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

    /// Goes on by some leaps, which are counted.
    pub async fn go_on(&mut self, leaps: &mut usize) -> Result<Came> {
        let (mut target, mut agreed, most) = (self.from, 0, self.lists.len());
        if most == 0 {
            return Ok(Came::ToItsEnd);
        }
        let end = *leaps + LEAPS;
        while agreed < most {
            for list in &mut self.lists {
                if *leaps == end {
                    self.from = target;
                    return Ok(Came::AsFarAs(Position::new(u64::MAX - target)));
                }
                *leaps += 1;
                let Some(head) = list.seek(&self.snapshot, self.room, target).await? else {
                    return Ok(Came::ToItsEnd);
                };
                (target, agreed) = if head == target { (target, agreed + 1) } else { (head, 1) };
                if agreed == most {
                    break;
                }
            }
        }
        self.from = target.saturating_add(1);
        Ok(Came::To(Position::new(u64::MAX - target)))
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::{Batch, Options, Position, Store, Word, nobody};

    use super::{Came, LEAPS, Matches};
    use crate::schema::RoomNum;
    use crate::schema::search::POSTINGS;

    #[tokio::test]
    async fn words_that_seldom_meet_are_walked_a_little_at_a_time() {
        let store = Store::open(&Options::memory(), nobody()).unwrap();
        let room = RoomNum(1);
        let mut batch = Batch::new();
        let mut say = |word: &str, at: u64| batch.put(&POSTINGS, &(room, Word::new(word), u64::MAX - at), &());
        for at in 2..1000 {
            say(if at % 2 == 0 { "bed" } else { "chair" }, at);
        }
        say("bed", 1);
        say("chair", 1);
        store.commit(batch).await.unwrap();

        let words = ["bed".to_owned(), "chair".to_owned()];
        let mut walk = Matches::new(&store.snapshot(), room, &words, Position::new(5000));
        let (mut leaps, mut last) = (0, Position::MAX);
        loop {
            let before = leaps;
            match walk.go_on(&mut leaps).await.unwrap() {
                Came::AsFarAs(place) => {
                    assert!(place < last && leaps == before + LEAPS);
                    last = place;
                }
                Came::To(place) => {
                    assert_eq!(place, Position::new(1));
                    break;
                }
                Came::ToItsEnd => panic!("they do meet"),
            }
        }
        assert!(last < Position::MAX, "it does not go all the way at once");
        assert!(matches!(walk.go_on(&mut leaps).await.unwrap(), Came::ToItsEnd));
    }
}
