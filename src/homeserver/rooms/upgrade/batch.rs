//! The batch of an upgrade, which the old room's writer builds: the new room, the tombstone, and what moves at once.

use std::collections::HashSet;

use matron_matrix::event::{Template, rules};
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::Batch;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{MilliSecondsSinceUnixEpoch, RoomId, UserId};
use serde_json::{Map, Value, json};

use super::levels::{Change, new_levels, raise, restricted};
use super::template;
use crate::error::{Error, Result};
use crate::rooms::append::Append;
use crate::rooms::build::{From, build};
use crate::rooms::built::Built;
use crate::rooms::intent::{Refused, Sent, Upgrade};
use crate::rooms::membership::Said;
use crate::rooms::working::Working;
use crate::rooms::{Rooms, power};
use crate::schema::RoomNum;
use crate::schema::directory::LISTED;
use crate::schema::rooms::{ALIASES, Alias, MOVING, Moving, ROOM_ALIASES};

/// The state that goes over as it is; power levels and bans go over changed.
const COPIED: [&str; 8] = [
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.avatar",
    "m.room.encryption",
    "m.room.server_acl",
];

/// What moves from the old room to the new one beside its state.
struct Moved {
    aliases: Vec<(String, Alias)>,
    is_listed: bool,
}

impl Moved {
    async fn of(rooms: &Rooms, room: RoomNum) -> Result<Self> {
        let snapshot = rooms.store.snapshot();
        let names = snapshot.scan(&ROOM_ALIASES, ROOM_ALIASES.under(&(room,))).collect().await?;
        let mut aliases = Vec::with_capacity(names.len());
        for ((_, name), ()) in names {
            if let Some(row) = snapshot.get(&ALIASES, &name).await? {
                aliases.push((name, row));
            }
        }
        Ok(Self { aliases, is_listed: snapshot.get(&LISTED, &room).await?.is_some() })
    }

    fn write(&self, batch: &mut Batch, old: RoomNum, new: RoomNum) {
        for (name, row) in &self.aliases {
            batch.expect_value(&ALIASES, name, row);
            batch.put(&ALIASES, name, &Alias { room: new, creator: row.creator });
            batch.delete(&ROOM_ALIASES, &(old, name.clone()));
            batch.put(&ROOM_ALIASES, &(new, name.clone()), &());
        }
    }

    /// A canonical alias that names only what moved.
    fn canonical(&self, content: &Map<String, Value>) -> Option<Value> {
        let moved: HashSet<&str> = self.aliases.iter().map(|(name, _)| name.as_str()).collect();
        let leads_here = |alias: &Value| alias.as_str().is_some_and(|alias| moved.contains(alias));
        let mut kept = Map::new();
        if let Some(main) = content.get("alias").filter(|alias| leads_here(alias)) {
            kept.insert("alias".to_owned(), main.clone());
        }
        let others = content.get("alt_aliases").and_then(Value::as_array).into_iter().flatten();
        let others: Vec<_> = others.filter(|alias| leads_here(alias)).cloned().collect();
        if !others.is_empty() {
            kept.insert("alt_aliases".to_owned(), others.into());
        }
        (!kept.is_empty()).then_some(Value::Object(kept))
    }
}

/// Whether a room can do without this of the old one's state, where its rules refuse it: in the new room it may be too large,
/// or the ban be one of a creator. Nobody is to hold up an upgrade by a long topic; but who may come in and what is
/// encrypted goes over, or the room stays.
fn may_stay_behind(template: &Template) -> bool {
    match template.kind {
        TimelineEventType::RoomMember => template.state_key.as_deref() != Some(template.sender.as_str()),
        TimelineEventType::RoomName
        | TimelineEventType::RoomTopic
        | TimelineEventType::RoomAvatar
        | TimelineEventType::SpaceChild => true,
        _ => false,
    }
}

fn not_built(error: Error) -> Refused {
    Refused::Batch(error)
}

impl Append<'_> {
    /// Upgrades the room. Nothing else is in the batch.
    pub(in crate::rooms) async fn upgrade(
        &mut self,
        mut tombstone: Template,
        upgrade: &Upgrade,
    ) -> Result<Sent, Refused> {
        let may_not = || MatrixError::forbidden("you may not upgrade this room");
        let levels = power::current(self.rooms, self.working).await.map_err(Refused::Intent)?;
        if !levels.user_can_send_state(&tombstone.sender, StateEventType::RoomTombstone) {
            return Err(Refused::Intent(may_not().into()));
        }
        let moved = Moved::of(self.rooms, self.working.num).await.map_err(Refused::Intent)?;
        let mut new =
            Working::new(self.rooms, upgrade.room, upgrade.id.clone(), &upgrade.version).map_err(Refused::Intent)?;
        let makes_own_id = !new.rules.event_format.require_room_create_room_id;
        let sender = tombstone.sender.clone();
        // Where the new room's id is its create event's, the tombstone that names it cannot be named by that event.
        if makes_own_id {
            let create = self.create_content(upgrade, &new, &sender, None).await.map_err(Refused::Intent)?;
            let create = self.build_create(&mut new, &tombstone, create).await.map_err(Refused::Intent)?;
            let tombstone = self.build_tombstone(&mut tombstone, &create.pdu.room_id).await.map_err(Refused::Intent)?;
            self.write_upgrade(tombstone, create, new, (upgrade, &moved)).await.map_err(not_built)
        } else {
            let tombstone_built = self.build_tombstone(&mut tombstone, &upgrade.id).await.map_err(Refused::Intent)?;
            let id = tombstone_built.pdu.event_id.as_str();
            let create = self.create_content(upgrade, &new, &sender, Some(id)).await.map_err(Refused::Intent)?;
            let create = self.build_create(&mut new, &tombstone, create).await.map_err(Refused::Intent)?;
            self.write_upgrade(tombstone_built, create, new, (upgrade, &moved)).await.map_err(not_built)
        }
    }

    async fn build_create(&self, new: &mut Working, tombstone: &Template, content: Value) -> Result<Built> {
        let (sender, at) = (&tombstone.sender, tombstone.origin_server_ts);
        let create = template(sender, at, TimelineEventType::RoomCreate, "", content)?;
        build(self.rooms, new, &create, &From::Ends).await
    }

    async fn build_tombstone(&mut self, tombstone: &mut Template, new: &RoomId) -> Result<Built> {
        tombstone.content =
            canonical::object(json!({ "body": "This room has been replaced", "replacement_room": new }))?;
        self.build_signed(tombstone).await
    }

    /// Builds an event of the old room. Its policy server is asked here and now, since the room is one batch with the new one.
    async fn build_signed(&mut self, template: &Template) -> Result<Built> {
        let built = build(self.rooms, self.working, template, &From::Ends).await?;
        self.rooms.signed_now(self.working, built).await
    }

    async fn write_upgrade(
        &mut self,
        tombstone: Built,
        create: Built,
        mut new: Working,
        (upgrade, moved): (&Upgrade, &Moved),
    ) -> Result<Sent> {
        let (sender, at) = (tombstone.pdu.sender.clone(), tombstone.pdu.origin_server_ts);
        let (new_id, event_id) = (create.pdu.room_id.clone(), tombstone.pdu.event_id.clone());
        let (plan, rest) = self.new_state(upgrade, moved, (&sender, at)).await?;
        if let Some(rest) = rest {
            self.batch.put(&MOVING, &upgrade.room, &rest);
        }
        let position = self.live(tombstone, None).await?;
        {
            let mut append = Append::new(self.rooms, &mut new, self.batch);
            append.working.id.clone_from(&new_id);
            append.working.row.id = new_id.to_string();
            append.found(create.num);
            append.live(create, None).await?;
            for template in plan {
                match build(append.rooms, append.working, &template, &From::Ends).await {
                    Ok(built) => drop(append.live(built, None).await?),
                    Err(error) if error.is_refusal() && may_stay_behind(&template) => {
                        let (kind, key) = (&template.kind, template.state_key.as_deref());
                        tracing::warn!(%error, %new_id, %kind, key, "state of a replaced room does not go over");
                    }
                    Err(error) => return Err(error),
                }
            }
            if moved.is_listed {
                append.list(true);
            }
            append.finish().await?;
        }
        if moved.is_listed {
            self.list(false);
        }
        moved.write(self.batch, self.working.num, upgrade.room);
        self.close(moved, (&sender, at)).await?;
        Ok(Sent { event_id, position: Some(position), replacement: Some(new_id) })
    }

    /// What makes the old room one that nobody goes on in, as far as who upgrades it may.
    async fn close(&mut self, moved: &Moved, (sender, at): (&UserId, MilliSecondsSinceUnixEpoch)) -> Result<()> {
        let mut last = Vec::new();
        let old = self.content(TimelineEventType::RoomPowerLevels).await?;
        if let Some(levels) = restricted(old.unwrap_or_default()) {
            last.push(template(sender, at, TimelineEventType::RoomPowerLevels, "", levels)?);
        }
        if !moved.aliases.is_empty() && self.content(TimelineEventType::RoomCanonicalAlias).await?.is_some() {
            // It goes first: the power to change it may end with the levels.
            last.insert(0, template(sender, at, TimelineEventType::RoomCanonicalAlias, "", json!({}))?);
        }
        for template in last {
            match self.build_signed(&template).await {
                Ok(built) => drop(self.live(built, None).await?),
                Err(error) if error.is_refusal() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The content of a state event of the room, under the empty key.
    async fn content(&mut self, kind: TimelineEventType) -> Result<Option<Map<String, Value>>> {
        let kind = StateEventType::from(kind.to_string());
        let event = self.working.state_event(self.rooms, &kind, "").await?;
        Ok(event.and_then(|(_, pdu)| pdu.content_as().ok()))
    }

    /// The new room's create event: type and federation are those of the old one.
    async fn create_content(
        &mut self,
        upgrade: &Upgrade,
        new: &Working,
        sender: &UserId,
        tombstone: Option<&str>,
    ) -> Result<Value> {
        let mut content = self.content(TimelineEventType::RoomCreate).await?.unwrap_or_default();
        content.retain(|kept, _| kept == "type" || kept == "m.federate");
        let mut add = |name: &str, value: Value| content.insert(name.to_owned(), value);
        add("room_version", upgrade.version.as_str().into());
        let room_id = &self.working.id;
        add(
            "predecessor",
            match tombstone {
                Some(event_id) => json!({ "room_id": room_id, "event_id": event_id }),
                None => json!({ "room_id": room_id }),
            },
        );
        if !new.rules.authorization.use_room_create_sender {
            add("creator", sender.as_str().into());
        }
        if !upgrade.creators.is_empty() {
            add("additional_creators", json!(upgrade.creators));
        }
        Ok(content.into())
    }

    /// The events of the new room after its create event, in order, and what is left for later. The power levels come last:
    /// until then its creator may set everything.
    async fn new_state(
        &mut self,
        upgrade: &Upgrade,
        moved: &Moved,
        (sender, at): (&UserId, MilliSecondsSinceUnixEpoch),
    ) -> Result<(Vec<Template>, Option<Moving>)> {
        let mut plan = Vec::new();
        let mut add = |kind: TimelineEventType, key: &str, content: Value| {
            plan.push(template(sender, at, kind, key, content)?);
            Ok::<_, Error>(())
        };
        let member = self.rooms.member_content(upgrade.user, "join", Said::default()).await?;
        add(TimelineEventType::RoomMember, sender.as_str(), member)?;
        for kind in COPIED.map(TimelineEventType::from) {
            if let Some(content) = self.content(kind.clone()).await? {
                add(kind, "", content.into())?;
            }
        }
        if let Some(alias) = self.content(TimelineEventType::RoomCanonicalAlias).await?
            && let Some(alias) = moved.canonical(&alias)
        {
            add(TimelineEventType::RoomCanonicalAlias, "", alias)?;
        }
        let create = self.content(TimelineEventType::RoomCreate).await?;
        let is_space = create.is_some_and(|content| content.get("type").is_some_and(|kind| kind == "m.space"));
        let (old, snapshot) = (self.working.num, &self.working.snapshot);
        let piece = self.rooms.first_piece(snapshot, old, sender, is_space).await?;
        for (kind, key, content) in piece.copies {
            add(kind, &key, content.into())?;
        }
        let privileges = rules(&upgrade.version)?.authorization.explicitly_privilege_room_creators;
        let mut levels = self.levels_of(upgrade, sender, privileges).await?;
        let rest = piece.rest.map(|rest| {
            let (raised, level) = if privileges { (None, None) } else { raise(&mut levels, sender) };
            Moving { old, user: upgrade.user, child: rest.child, ban: rest.ban, raised, level }
        });
        add(TimelineEventType::RoomPowerLevels, "", levels.into())?;
        Ok((plan, rest))
    }

    /// The new room's power levels.
    async fn levels_of(&mut self, upgrade: &Upgrade, sender: &UserId, privileges: bool) -> Result<Map<String, Value>> {
        let old = power::current(self.rooms, self.working).await?;
        let old_creators = old.rules.privileged_creators.clone().unwrap_or_default();
        let creators: Vec<_> = upgrade.creators.iter().map(|user| &**user).chain([sender]).collect();
        let change = Change {
            creators: &creators,
            old_creators: &old_creators,
            privileges,
            privileged: self.working.rules.authorization.explicitly_privilege_room_creators,
        };
        let levels = self.content(TimelineEventType::RoomPowerLevels).await?.unwrap_or_default();
        Ok(new_levels(levels, &change))
    }
}
