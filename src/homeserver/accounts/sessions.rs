//! Sessions in memory: what a token stands for, until it is revoked.

use std::sync::Mutex;

use quick_cache::sync::Cache;

use super::Session;
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::{Digest, UserNum};

/// How many tokens are remembered.
const REMEMBERED: usize = 50_000;

/// What a valid access token stands for.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub session: Session,
    pub expires: Option<u64>,
    pub locked: bool,
}

/// The state of revocations at some moment: what was read after it may be remembered while it stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round(u64);

/// What was read of tokens. A revocation that was answered is never undone by a slower read: whoever reads notes the
/// round first, and what they read is remembered only in that same round.
#[derive(Debug)]
pub(super) struct Sessions {
    known: Cache<Digest, Access>,
    round: Mutex<u64>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self { known: Cache::new(REMEMBERED), round: Mutex::new(0) }
    }

    pub(super) fn held(&self) -> Held {
        Held::of("access_tokens", &self.known)
    }

    pub(super) fn get(&self, token: &Digest) -> Option<Access> {
        self.known.get(token)
    }

    /// To be taken before the snapshot that is read from.
    pub(super) fn round(&self) -> Round {
        Round(*lock(&self.round))
    }

    pub(super) fn remember(&self, read_in: Round, token: Digest, access: Access) {
        let round = lock(&self.round);
        if *round == read_in.0 {
            self.known.insert(token, access);
        }
    }

    /// Forgets tokens: after the commit that revoked them, before it is answered.
    pub(super) fn forget(&self, tokens: &[Digest]) {
        let mut round = lock(&self.round);
        *round += 1;
        for token in tokens {
            self.known.remove(token);
        }
    }

    /// Forgets what is known of a user whose account changed.
    pub(super) fn forget_user(&self, user: UserNum) {
        let mut round = lock(&self.round);
        *round += 1;
        self.known.retain(|_, access| access.session.user != user);
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, user_id};

    use super::{Access, Session, Sessions};
    use crate::schema::{DeviceNum, UserNum};

    fn access(user: u64) -> Access {
        let session = Session {
            user_id: user_id!("@ann:localhost").to_owned(),
            user: UserNum(user),
            device_id: device_id!("ONE").to_owned(),
            device: DeviceNum(1),
            guest: false,
            admin: false,
            suspended: false,
            rate_limit: None,
        };
        Access { session, expires: None, locked: false }
    }

    #[test]
    fn a_slow_read_does_not_undo_a_revocation() {
        let sessions = Sessions::new();
        let round = sessions.round();
        sessions.forget(&[[1; 32]]);
        sessions.remember(round, [1; 32], access(1));
        assert!(sessions.get(&[1; 32]).is_none());
        let round = sessions.round();
        sessions.forget_user(UserNum(1));
        sessions.remember(round, [1; 32], access(1));
        assert!(sessions.get(&[1; 32]).is_none());
    }

    #[test]
    fn a_user_is_forgotten_alone() {
        let sessions = Sessions::new();
        for user in [1_u8, 2] {
            sessions.remember(sessions.round(), [user; 32], access(u64::from(user)));
        }
        sessions.forget_user(UserNum(1));
        assert!(sessions.get(&[1; 32]).is_none() && sessions.get(&[2; 32]).is_some());
    }
}
