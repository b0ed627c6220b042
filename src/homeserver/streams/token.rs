//! Tokens that say how far a client has read: opaque outside, told by their first letter.
//!
//! `s` tokens are places in stream order (/sync), `t` tokens in room order (pagination). Both name the store's epoch, so
//! that a token of another store (or of one restored from a backup) is known for one.

use std::fmt::Write as _;

use matron_matrix::Error as MatrixError;
use matron_storage::Position;

use crate::schema::rooms::Arrival;

/// How far a client has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// A place in stream order.
    Stream {
        /// Everything up to here was read.
        position: Position,
        /// To-device messages were read up to here, where that is behind.
        to_device: Position,
        /// The run of the program that `typing` counts in.
        boot: u32,
        /// Typing was read up to here.
        typing: u64,
        /// Presence was read up to here, in the same run.
        presence: u64,
    },
    /// A place in room order: just after (forwards) or before (backwards) this event.
    Room {
        /// The event's depth.
        depth: u64,
        /// Where it lies.
        arrival: Arrival,
        /// Events that came later are left out, so that pages do not shift.
        until: Position,
    },
}

/// Why a token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is none of ours.
    Malformed,
    /// It is of another store: the client must begin anew.
    OtherEpoch,
}

impl From<TokenError> for MatrixError {
    fn from(error: TokenError) -> Self {
        Self::invalid_param(match error {
            TokenError::Malformed => "the token is malformed",
            TokenError::OtherEpoch => "the token is of another store",
        })
    }
}

impl Token {
    /// How far a dehydrated device's messages were read.
    #[must_use]
    pub const fn of_to_device(position: Position) -> Self {
        Self::Stream { position, to_device: position, boot: 0, typing: 0, presence: 0 }
    }

    /// The token as text.
    #[must_use]
    pub fn render(&self, epoch: u64) -> String {
        let mut text = String::with_capacity(48);
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Stream { position, to_device, boot, typing, presence } => {
                write!(text, "s1_{:x}_{position}_{to_device}_{boot:x}_{typing}_{presence}", epoch & 0xffff_ffff)
            }
            Self::Room { depth, arrival, until } => {
                let (letter, number) = match arrival {
                    Arrival::Live(position) => ('l', position.get()),
                    Arrival::Backfilled(number) => ('b', number.unsigned_abs()),
                };
                write!(text, "t1_{:x}_{depth}_{letter}{number}_{until}", epoch & 0xffff_ffff)
            }
        };
        text
    }

    /// Reads a token.
    ///
    /// # Errors
    /// It is none of ours, or of another epoch.
    pub fn parse(text: &str, epoch: u64) -> Result<Self, TokenError> {
        Self::read(text, epoch).unwrap_or(Err(TokenError::Malformed))
    }

    fn read(text: &str, epoch: u64) -> Option<Result<Self, TokenError>> {
        let mut parts = text.split('_');
        let sort = parts.next()?;
        let ours = u64::from_str_radix(parts.next()?, 16).ok()? == epoch & 0xffff_ffff;
        let token = match sort {
            "s1" => Self::Stream {
                position: position(parts.next()?)?,
                to_device: position(parts.next()?)?,
                boot: u32::from_str_radix(parts.next()?, 16).ok()?,
                typing: parts.next()?.parse().ok()?,
                // Tokens from before presence was kept have none.
                presence: parts.next().map_or(Some(0), |presence| presence.parse().ok())?,
            },
            "t1" => {
                let depth = parts.next()?.parse().ok()?;
                let arrival = parts.next()?;
                let arrival = if let Some(live) = arrival.strip_prefix('l') {
                    Arrival::Live(position(live)?)
                } else {
                    Arrival::Backfilled(0_i64.checked_sub_unsigned(arrival.strip_prefix('b')?.parse().ok()?)?)
                };
                Self::Room { depth, arrival, until: position(parts.next()?)? }
            }
            _ => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        Some(if ours { Ok(token) } else { Err(TokenError::OtherEpoch) })
    }
}

fn position(text: &str) -> Option<Position> {
    text.parse().ok().filter(|number| *number <= Position::MAX.get()).map(Position::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Token, TokenError};
    use crate::schema::rooms::Arrival;
    use matron_storage::Position;

    proptest! {
        #[test]
        fn tokens_read_back(a in 0_u64..1 << 62, b in 0_u64..1 << 62, boot: u32, typing: u64, back in i64::MIN..0, epoch: u64) {
            let (position, to_device, presence) = (Position::new(a), Position::new(b), typing ^ 5);
            let stream = Token::Stream { position, to_device, boot, typing, presence };
            let room = Token::Room { depth: typing, arrival: Arrival::Backfilled(back), until: Position::new(b) };
            let live = Token::Room { depth: typing, arrival: Arrival::Live(Position::new(a)), until: Position::new(b) };
            for token in [stream, room, live] {
                prop_assert_eq!(Token::parse(&token.render(epoch), epoch), Ok(token));
                prop_assert_eq!(Token::parse(&token.render(epoch), epoch ^ 1), Err(TokenError::OtherEpoch));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Token::parse(&text, 0);
        }
    }

    #[test]
    fn no_backfilled_place_lies_among_the_live_ones() {
        assert_eq!(Token::parse("t1_0_1_b-5_1", 0), Err(TokenError::Malformed));
        assert_eq!(Token::parse("t1_0_1_b9223372036854775809_1", 0), Err(TokenError::Malformed));
    }
}
