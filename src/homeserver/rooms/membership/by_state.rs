//! Members moved by their state event: `PUT …/state/m.room.member/{userId}` goes through the door of the endpoint for that
//! move, which the membership names.

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use ruma::{OwnedEventId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value};

use super::Said;
use crate::accounts::Session;
use crate::error::Result;
use crate::rooms::Rooms;
use crate::schema::rooms::Membership;

/// A member event as a client wrote it.
pub(in crate::rooms) struct Move {
    /// Whom it moves.
    pub target: OwnedUserId,
    /// To which membership.
    pub membership: String,
    /// What it says beside.
    pub said: Said,
}

impl Move {
    /// Takes a client's member event apart.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where its key is no user id; `M_BAD_JSON` where it gives no membership.
    pub fn read(key: &str, content: Map<String, Value>) -> Result<Self, MatrixError> {
        let target = UserId::parse(key).map_err(|error| MatrixError::invalid_param(error.to_string()))?;
        let membership = content.get("membership").and_then(Value::as_str).map(ToOwned::to_owned);
        let membership = membership.ok_or_else(|| MatrixError::bad_json("a member event gives a membership"))?;
        Ok(Self { target, membership, said: Said::by_client(content) })
    }
}

impl Rooms {
    /// Sends a member event that a client wrote.
    ///
    /// # Errors
    /// What the endpoint for that move answers; `M_INVALID_PARAM`, `M_BAD_JSON` where there is none.
    pub(in crate::rooms) async fn send_member(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        wanted: Move,
    ) -> Result<OwnedEventId> {
        let Move { target, membership, said } = wanted;
        match (membership.as_str(), target == session.user_id) {
            ("join", true) => self.enter(session, room_id, said).await,
            ("knock", true) => self.knock(session, room_id, said).await,
            ("leave", true) => self.leave(session, room_id, said).await,
            // Kicking and lifting a ban leave the same membership.
            ("leave", false) => match self.joined_with(session, room_id, &target).await?.1 {
                Some(Membership::Ban) => self.unban(session, room_id, &target, said).await,
                _ => self.kick(session, room_id, &target, said).await,
            },
            ("invite", _) => self.invite(session, room_id, &target, said).await,
            ("ban", _) => self.ban(session, room_id, &target, said).await,
            ("join" | "knock", false) => Err(MatrixError::forbidden("nobody does this for others").into()),
            _ => Err(MatrixError::bad_json("there is no such membership").into()),
        }
    }
}
