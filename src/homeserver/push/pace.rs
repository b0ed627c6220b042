//! How often somebody gets letters: each waits longer than the last, until there was peace.

/// The longest time between two letters, in milliseconds.
pub(super) const LONGEST_PAUSE: u64 = 24 * 60 * 60 * 1000;
/// Who got no letter for so long gets the next one as soon as the first, in milliseconds.
const FORGIVEN_AFTER: u64 = 12 * 60 * 60 * 1000;

/// When somebody got letters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    last: u64,
    pause: u64,
}

impl Pace {
    /// A letter was sent now; `pause` is the shortest time between two.
    pub fn after(known: Option<Self>, now: u64, pause: u64) -> Self {
        match known {
            Some(known) if now.saturating_sub(known.last) < FORGIVEN_AFTER => {
                Self { last: now, pause: known.pause.saturating_mul(2).min(LONGEST_PAUSE).max(pause) }
            }
            _ => Self { last: now, pause },
        }
    }

    /// When the next letter may be sent.
    pub const fn next(self) -> u64 {
        self.last.saturating_add(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::{FORGIVEN_AFTER, LONGEST_PAUSE, Pace};

    #[test]
    fn each_letter_waits_longer_until_there_was_peace() {
        let first = Pace::after(None, 1000, 10);
        assert_eq!(first.next(), 1010);
        let second = Pace::after(Some(first), 1010, 10);
        assert_eq!(second.next(), 1030);
        let third = Pace::after(Some(second), 1030, 10);
        assert_eq!(third.next(), 1070);
        assert_eq!(Pace::after(Some(third), 1030 + FORGIVEN_AFTER, 10).pause, 10);
        let long = Pace { last: 0, pause: LONGEST_PAUSE };
        assert_eq!(Pace::after(Some(long), 1, 10).pause, LONGEST_PAUSE);
    }
}
