//! Server notices: what administrators tell a user officially, in a room of its own. Client-server API, "Server Notices".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::Store;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::events::TimelineEventType;
use ruma::events::tag::TagInfo;
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedRoomId, RoomId, UserId};
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use crate::accounts::{Accounts, Session};
use crate::config::{Config, Notices as Settings};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::lifecycle::Lifecycle;
use crate::rooms::Rooms;
use crate::rooms::intent::TransactionKey;
use crate::rooms::membership::Said;
use crate::schema::rooms::{Membership, NOTICE_ROOMS, ROOMS};
use crate::schema::{RoomNum, UserNum};

/// The tag by which clients know the room.
const TAG: &str = "m.server_notice";

/// A notice as an administrator gives it.
#[derive(Debug)]
pub struct Notice {
    /// Who is to be told.
    pub user_id: ruma::OwnedUserId,
    /// The event's type.
    pub kind: TimelineEventType,
    /// The state key, if it is a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: CanonicalJsonObject,
}

/// Sends notices.
#[derive(Debug)]
pub struct Notices {
    store: Arc<Store>,
    ids: Arc<Ids>,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    lifecycle: Arc<Lifecycle>,
    /// The user that speaks; made when the first notice is sent.
    speaker: OnceCell<Session>,
    /// Held while a room is made: each user has one.
    founding: Mutex<()>,
}

/// A transaction that is never repeated.
fn unique_transaction(session: &Session) -> TransactionKey {
    let id = format!("{:032x}", rand::random::<u128>());
    TransactionKey::new(session.device, "POST", &format!("send_server_notice/{id}"), &id)
}

impl Notices {
    /// Needs the owners that it spans.
    #[must_use]
    pub fn new(
        (store, ids, config): (Arc<Store>, Arc<Ids>, Arc<Config>),
        accounts: Arc<Accounts>,
        rooms: Arc<Rooms>,
        lifecycle: Arc<Lifecycle>,
    ) -> Self {
        let (speaker, founding) = (OnceCell::new(), Mutex::new(()));
        Self { store, ids, config, accounts, rooms, lifecycle, speaker, founding }
    }

    /// Tells a user something, in their room for notices. Who left it is invited again.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all but administrators; `M_UNKNOWN` where no user that speaks is configured, or somebody can
    /// log in as that user; `M_NOT_FOUND` where the user has no account here; what [`Rooms::send`] says of the event.
    pub async fn send(
        &self,
        session: &Session,
        notice: Notice,
        transaction: Option<TransactionKey>,
    ) -> Result<OwnedEventId> {
        if !session.admin {
            return Err(MatrixError::forbidden("only administrators send server notices").into());
        }
        let settings = self.config.notices.as_ref();
        let settings = settings.ok_or_else(|| MatrixError::unknown("server notices are not configured"))?;
        let found = self.accounts.find(&notice.user_id).await?.filter(|(_, account)| !account.deactivated);
        let (user, _) = found.ok_or_else(|| MatrixError::not_found("there is no such user here"))?;
        let speaker = self.speaker(settings).await?;
        let (room, room_id) = self.room(settings, speaker, user).await?;
        self.ensure_invited(speaker, (room, &room_id), (user, &notice.user_id)).await?;
        match notice.state_key {
            Some(key) => self.rooms.send_state(speaker, &room_id, notice.kind, key, notice.content).await,
            None => {
                let transaction = match transaction {
                    Some(transaction) => transaction,
                    None => unique_transaction(session),
                };
                self.rooms.send(speaker, &room_id, notice.kind, notice.content, transaction).await
            }
        }
    }

    /// The user that speaks, with an account that nobody can log in to.
    async fn speaker(&self, settings: &Settings) -> Result<&Session> {
        self.speaker
            .get_or_try_init(|| async {
                let user_id = UserId::parse(format!("@{}:{}", settings.localpart, self.config.server_name))
                    .map_err(Error::internal)?;
                self.ensure_account(&user_id, settings).await?;
                let user = self.ids.user(&user_id).await?;
                let device = self.ids.new_device().await?;
                Ok(Session {
                    user_id,
                    user,
                    device_id: "".into(),
                    device,
                    guest: false,
                    admin: false,
                    suspended: false,
                    rate_limit: None,
                })
            })
            .await
    }

    /// Makes the account of the user that speaks, unless that was done. Who had it before the configuration named it
    /// would read and write as the server: theirs is refused.
    async fn ensure_account(&self, user_id: &UserId, settings: &Settings) -> Result<()> {
        match self.accounts.find(user_id).await? {
            None => self.lifecycle.create_service_account(user_id, &settings.display_name).await,
            Some((_, account)) if account.password.is_some() => {
                tracing::error!(%user_id, "no notice is sent: the user of server_notices.localpart has a password");
                Err(MatrixError::unknown(format!(
                    "somebody can log in as {user_id}, by a password: name another user in server_notices.localpart"
                ))
                .into())
            }
            Some(_) => Ok(()),
        }
    }

    /// The user's room for notices, which is made where there is none that the speaker is in.
    async fn room(&self, settings: &Settings, speaker: &Session, user: UserNum) -> Result<(RoomNum, OwnedRoomId)> {
        let _one_at_a_time = self.founding.lock().await;
        if let Some(known) = self.known_room(speaker, user).await? {
            return Ok(known);
        }
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PrivateChat);
        request.name = Some(settings.room_name.clone());
        // The user reads, and answers nothing.
        let levels = json!({ "users_default": -10 });
        request.power_level_content_override = Some(serde_json::from_value(levels).map_err(Error::internal)?);
        // In one batch: there is no room that nobody knows the purpose of.
        let made = self.rooms.create_with(speaker, request, |batch, room| batch.put(&NOTICE_ROOMS, &user, &room));
        let room_id = made.await?;
        let room = self.ids.room(&self.store.snapshot(), room_id.as_str()).await?;
        Ok((room.ok_or_else(|| Error::internal("a new room is not there"))?, room_id))
    }

    /// The room that the user has; none where another user than the speaker spoke there, before the configuration named
    /// this one.
    async fn known_room(&self, speaker: &Session, user: UserNum) -> Result<Option<(RoomNum, OwnedRoomId)>> {
        let snapshot = self.store.snapshot();
        let Some(room) = snapshot.get(&NOTICE_ROOMS, &user).await? else { return Ok(None) };
        let Some(row) = snapshot.get(&ROOMS, &room).await? else { return Ok(None) };
        match self.rooms.membership(&snapshot, room, speaker.user).await? {
            Some(Membership::Join) => Ok(Some((room, RoomId::parse(&row.id).map_err(Error::internal)?))),
            _ => Ok(None),
        }
    }

    /// Tags the room for the user and invites them, unless that was done.
    async fn ensure_invited(
        &self,
        speaker: &Session,
        (room, room_id): (RoomNum, &RoomId),
        (user, user_id): (UserNum, &UserId),
    ) -> Result<()> {
        match self.rooms.membership(&self.store.snapshot(), room, user).await? {
            Some(Membership::Join | Membership::Invite) => Ok(()),
            _ => {
                self.accounts.add_tag(user, room, TAG, &TagInfo::new()).await?;
                self.rooms.invite(speaker, room_id, user_id, Said::default()).await.map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests;
