//! The one number that orders everything which clients and workers follow.

use std::fmt;

/// A place in the store's one order. Given at commit, consecutively, never twice; 0 is before everything.
///
/// While a batch is built it holds *pending* positions ([`crate::Batch::stamp`]), which the committer replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

const PENDING: u64 = 1 << 63;

impl Position {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);
    /// After every position that will ever be given.
    pub const MAX: Self = Self(PENDING - 1);

    /// The position with this number; numbers of 2^63 and above do not exist and become [`Position::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Self {
        if number < PENDING { Self(number) } else { Self::MAX }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 + 1)
    }

    pub(crate) const fn pending(nth: u32) -> Self {
        Self(PENDING | nth as u64)
    }

    /// Which stamp of its batch this is, when the position is not given yet.
    #[must_use]
    pub const fn pending_index(self) -> Option<u32> {
        if self.0 & PENDING == 0 { None } else { Some((self.0 & 0xffff_ffff) as u32) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
