//! The seeded dice that decide what un-synced work outlives a power cut.

/// Dice that fall the same way for the same seed.
pub(crate) struct Chance {
    state: u64,
    nothing: bool,
}

impl Chance {
    /// Seed 0 keeps nothing, so that a test can ask for the worst disk without searching for a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, nothing: seed == 0 }
    }

    /// Whether nothing un-synced may survive at all.
    pub(crate) fn nothing(&self) -> bool {
        self.nothing
    }

    /// A number below `bound`; 0 when there is no such number.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64: neighbouring seeds must not give neighbouring outcomes.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed.checked_rem(bound).unwrap_or(0)
    }

    /// Heads or tails.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Which of `count` pages written in order survive: none, all, a first part, or any mixture.
    pub(crate) fn pages(&mut self, count: usize) -> Vec<bool> {
        // A coin for every page alone would almost never give the plain cases, and those are
        // the common ones on a real disk.
        let first = match self.below(4) {
            _ if self.nothing => 0,
            0 => 0,
            1 => count as u64,
            2 => self.below(count as u64 + 1),
            _ => return (0..count).map(|_| self.coin()).collect(),
        };
        (0..count as u64).map(|page| page < first).collect()
    }
}
