//! Sessions in memory: what a token stands for, for as long as nothing changes of what its user may do.
//!
//! Nobody takes anything out of here: what changes tokens or accounts announces it in its own batch, and what was read
//! before counts no longer, whoever asked for the change and whether they still wait for it.

use std::sync::Arc;

use matron_storage::{Batch, Position};
use quick_cache::sync::Cache;

use super::Session;
use crate::meters::Held;
use crate::schema::{DeviceNum, Digest, UserNum};
use crate::streams::{Streams, Subject};

/// How many tokens are remembered, and how many devices.
const REMEMBERED: usize = 50_000;

/// What a valid access token stands for.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub session: Session,
    pub expires: Option<u64>,
    pub locked: bool,
}

/// Says by `batch` that tokens or the account of a user change: what was read of them before counts no longer, and the
/// user's parked requests look again.
pub(super) fn access_changes(batch: &mut Batch, user: UserNum) {
    batch.announce(Subject::Access(user).into());
}

/// What was read of tokens, and as of when.
#[derive(Debug)]
pub(super) struct Sessions {
    streams: Arc<Streams>,
    tokens: Cache<Digest, (Position, Access)>,
    /// Devices that were there and might be used.
    devices: Cache<DeviceNum, Position>,
}

impl Sessions {
    pub(super) fn new(streams: Arc<Streams>) -> Self {
        Self { streams, tokens: Cache::new(REMEMBERED), devices: Cache::new(REMEMBERED) }
    }

    pub(super) fn held(&self) -> [Held; 2] {
        [Held::of("access_tokens", &self.tokens), Held::of("valid_devices", &self.devices)]
    }

    pub(super) fn get(&self, token: &Digest) -> Option<Access> {
        let (as_of, access) = self.tokens.get(token)?;
        (as_of >= self.streams.access_changed_at(access.session.user)).then_some(access)
    }

    pub(super) fn remember(&self, as_of: Position, token: Digest, access: Access) {
        self.tokens.insert(token, (as_of, access));
    }

    /// Whether a session that was valid at some time of this run of the program is known to be so still.
    pub(super) fn is_valid(&self, session: &Session) -> bool {
        let changed = self.streams.access_changed_at(session.user);
        changed == Position::ZERO || self.devices.get(&session.device).is_some_and(|as_of| as_of >= changed)
    }

    pub(super) fn was_valid(&self, as_of: Position, session: &Session) {
        self.devices.insert(session.device, as_of);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use matron_storage::{News, Observer as _, Position};
    use ruma::{device_id, user_id};

    use super::{Access, Session, Sessions};
    use crate::schema::{DeviceNum, UserNum};
    use crate::streams::{Streams, Subject};

    fn session(user: u64) -> Session {
        Session {
            user_id: user_id!("@ann:localhost").to_owned(),
            user: UserNum(user),
            device_id: device_id!("ONE").to_owned(),
            device: DeviceNum(user),
            guest: false,
            admin: false,
            suspended: false,
            rate_limit: None,
        }
    }

    fn access(user: u64) -> Access {
        Access { session: session(user), expires: None, locked: false }
    }

    fn change(streams: &Streams, user: u64, position: u64) {
        let topic = Subject::Access(UserNum(user)).into();
        streams.committing(&[News { position: Position::new(position), topic }]);
    }

    #[test]
    fn a_slow_read_does_not_undo_a_revocation() {
        let (streams, _news) = Streams::new(1);
        let sessions = Sessions::new(Arc::clone(&streams));
        sessions.remember(Position::new(4), [1; 32], access(1));
        assert!(sessions.get(&[1; 32]).is_some());
        change(&streams, 1, 5);
        assert!(sessions.get(&[1; 32]).is_none());
        sessions.remember(Position::new(4), [1; 32], access(1));
        assert!(sessions.get(&[1; 32]).is_none());
        sessions.remember(Position::new(5), [1; 32], access(1));
        assert!(sessions.get(&[1; 32]).is_some());
    }

    #[test]
    fn a_user_is_forgotten_alone() {
        let (streams, _news) = Streams::new(1);
        let sessions = Sessions::new(Arc::clone(&streams));
        for user in [1_u8, 2] {
            sessions.remember(Position::new(1), [user; 32], access(u64::from(user)));
        }
        change(&streams, 1, 2);
        assert!(sessions.get(&[1; 32]).is_none() && sessions.get(&[2; 32]).is_some());
        assert!(!sessions.is_valid(&session(1)) && sessions.is_valid(&session(2)));
        sessions.was_valid(Position::new(1), &session(1));
        assert!(!sessions.is_valid(&session(1)));
        sessions.was_valid(Position::new(2), &session(1));
        assert!(sessions.is_valid(&session(1)));
    }
}
