//! The latest changes of something, in their order, as far back as memory is willing to go.

use std::collections::vec_deque::Iter;
use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use matron_storage::Position;

/// The latest changes: what changed, and when.
#[derive(Debug)]
pub(super) struct Recent<T> {
    changes: VecDeque<(Position, T)>,
    /// Every change after this position is here.
    floor: Position,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { changes: VecDeque::new(), floor: Position::ZERO }
    }
}

impl<T: Copy + Eq + Hash> Recent<T> {
    /// Says from which position on nothing is missing, with what is known of the changes after it.
    pub fn begin(&mut self, floor: Position, known: impl IntoIterator<Item = (Position, T)>) {
        self.floor = floor;
        self.changes = known.into_iter().collect();
    }

    /// Notes a change; of `most`, the oldest is forgotten.
    pub fn push(&mut self, most: usize, position: Position, what: T) {
        if self.changes.len() >= most
            && let Some((oldest, _)) = self.changes.pop_front()
        {
            self.floor = oldest;
        }
        self.changes.push_back((position, what));
    }

    /// What changed exactly at a position; none where memory does not reach back so far.
    pub fn at(&self, position: Position) -> Option<Vec<T>> {
        if position <= self.floor {
            return None;
        }
        let start = self.changes.partition_point(|(of, _)| *of < position);
        let same = self.changes.range(start..).take_while(|(of, _)| *of == position);
        Some(same.map(|(_, what)| *what).collect())
    }

    /// Whether every change after `since` is here.
    pub fn reaches(&self, since: Position) -> bool {
        since >= self.floor
    }

    /// Every change after `since`, in order; none where memory does not reach back so far.
    pub fn after(&self, since: Position) -> Option<Iter<'_, (Position, T)>> {
        if !self.reaches(since) {
            return None;
        }
        let start = self.changes.partition_point(|(position, _)| *position <= since);
        Some(self.changes.range(start..))
    }

    /// As [`Self::after`], to keep.
    pub fn all_since(&self, since: Position) -> Option<Vec<(Position, T)>> {
        self.after(since).map(|changes| changes.copied().collect())
    }

    /// What changed after `since`, each once, if memory reaches back so far.
    pub fn since(&self, since: Position) -> Option<Vec<T>> {
        let mut seen = HashSet::new();
        Some(self.after(since)?.map(|(_, what)| *what).filter(|what| seen.insert(*what)).collect())
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::Position;

    use super::Recent;

    #[test]
    fn what_is_forgotten_is_not_passed_over() {
        let mut recent = Recent::default();
        recent.begin(Position::new(5), [(Position::new(6), 'a')]);
        assert_eq!(recent.since(Position::new(4)), None);
        assert_eq!(recent.since(Position::new(6)), Some(Vec::new()));
        for (position, what) in [(7, 'b'), (8, 'a'), (9, 'c')] {
            recent.push(3, Position::new(position), what);
        }
        assert_eq!(recent.since(Position::new(5)), None);
        assert_eq!(recent.since(Position::new(6)), Some(vec!['b', 'a', 'c']));
        assert_eq!(recent.since(Position::new(9)), Some(Vec::new()));
        assert_eq!(recent.all_since(Position::new(8)), Some(vec![(Position::new(9), 'c')]));
    }
}
