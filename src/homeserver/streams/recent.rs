//! The latest changes of something, in their order, as far back as memory is willing to go.

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
    /// Says from which position on changes are told.
    pub fn begin(&mut self, position: Position) {
        self.floor = position;
    }

    /// The position after which nothing is missing.
    pub const fn floor(&self) -> Position {
        self.floor
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

    /// Every change after `since`, in order; none where memory does not reach back so far.
    pub fn all_since(&self, since: Position) -> Option<Vec<(Position, T)>> {
        if since < self.floor {
            return None;
        }
        let start = self.changes.partition_point(|(position, _)| *position <= since);
        Some(self.changes.range(start..).copied().collect())
    }

    /// What changed after `since`, each once, if memory reaches back so far and there are at most `most` changes to look
    /// at.
    pub fn since(&self, since: Position, most: usize) -> Option<Vec<T>> {
        if since < self.floor {
            return None;
        }
        let start = self.changes.partition_point(|(position, _)| *position <= since);
        if self.changes.len() - start > most {
            return None;
        }
        let mut seen = HashSet::new();
        Some(self.changes.range(start..).map(|(_, what)| *what).filter(|what| seen.insert(*what)).collect())
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::Position;

    use super::Recent;

    #[test]
    fn what_is_forgotten_is_not_passed_over() {
        let mut recent = Recent::default();
        recent.begin(Position::new(5));
        assert_eq!(recent.since(Position::new(4), 9), None);
        assert_eq!(recent.since(Position::new(5), 9), Some(Vec::new()));
        for (position, what) in [(6, 'a'), (7, 'b'), (8, 'a'), (9, 'c')] {
            recent.push(3, Position::new(position), what);
        }
        assert_eq!(recent.since(Position::new(5), 9), None);
        assert_eq!(recent.since(Position::new(6), 9), Some(vec!['b', 'a', 'c']));
        assert_eq!(recent.since(Position::new(6), 2), None);
        assert_eq!(recent.since(Position::new(9), 9), Some(Vec::new()));
    }
}
