//! Making rooms: client-server API, "Creation". All events of a new room are one batch: it is there wholly or not at all.

use std::sync::Arc;

use matron_matrix::event::Template;
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::room::Visibility;
use ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use ruma::api::error::ErrorKind;
use ruma::events::TimelineEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::{
    CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId,
    RoomVersionId, UInt, UserId,
};
use serde_json::{Value, json};

use super::Rooms;
use super::append::Append;
use super::build::{From, build};
use super::membership::{Move, Said};
use super::send::aliases_in;
use super::working::Working;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::rooms::{ALIASES, Alias, ROOM_ALIASES};

/// The most invites and state events that one request may bring. Limits on requests count it as one invite.
const MOST_INVITES: usize = 100;
const MOST_STATE: usize = 1000;
/// How often a room is tried to be made whose id is taken.
const TRIES: u32 = 32;

fn too_many() -> MatrixError {
    MatrixError::invalid_param("there are too many invites or state events")
}

/// The events of a room to be, in order.
struct Plan<'a> {
    creator: &'a UserId,
    now: MilliSecondsSinceUnixEpoch,
    events: Vec<Template>,
}

impl Plan<'_> {
    fn state(&mut self, kind: impl Into<TimelineEventType>, key: &str, content: Value) -> Result<()> {
        self.events.push(Template {
            sender: self.creator.to_owned(),
            kind: kind.into(),
            state_key: Some(key.to_owned()),
            content: canonical::object(content)?,
            redacts: None,
            origin_server_ts: self.now,
        });
        Ok(())
    }

    /// How many it invites, whether they are in the list of those or in the state that the client asks for.
    fn invites(&self) -> usize {
        let members = self.events.iter().filter(|event| event.kind == TimelineEventType::RoomMember);
        let memberships = members.filter_map(|event| event.content.get("membership")?.as_str());
        memberships.filter(|membership| *membership == "invite").count()
    }
}

impl Rooms {
    /// Makes a room.
    ///
    /// # Errors
    /// `M_ROOM_IN_USE`, `M_UNSUPPORTED_ROOM_VERSION`, `M_INVALID_ROOM_STATE`, `M_BAD_JSON`, `M_BAD_ALIAS`,
    /// `M_INVALID_PARAM`, `M_FORBIDDEN`.
    pub async fn create(self: &Arc<Self>, session: &Session, request: Request) -> Result<OwnedRoomId> {
        self.create_with(session, request, |_, _| {}).await
    }

    /// As [`Self::create`], with rows of the caller's in the batch of the room.
    pub(crate) async fn create_with(
        self: &Arc<Self>,
        session: &Session,
        request: Request,
        rows: impl Fn(&mut Batch, RoomNum) + Send + Sync,
    ) -> Result<OwnedRoomId> {
        session.may_act()?;
        if session.guest {
            return Err(MatrixError::guest_access_forbidden("guests make no rooms").into());
        }
        if !request.invite_3pid.is_empty() {
            return Err(MatrixError::invalid_param("invites by third-party identifier are not served").into());
        }
        if request.invite.len() > MOST_INVITES || request.initial_state.len() > MOST_STATE {
            return Err(too_many().into());
        }
        let presets = [RoomPreset::PrivateChat, RoomPreset::PublicChat, RoomPreset::TrustedPrivateChat];
        if request.preset.as_ref().is_some_and(|preset| !presets.contains(preset)) {
            return Err(MatrixError::bad_json("the preset is not known").into());
        }
        if request.visibility == Visibility::Public {
            self.may_publish(session)?;
        }
        let version = request.room_version.clone().unwrap_or_else(|| self.config.default_room_version.clone());
        let rules = matron_matrix::event::rules(&version)?;
        let alias = request.room_alias_name.as_deref().map(|name| self.alias_of(name)).transpose()?;
        if let Some(alias) = &alias
            && self.store.snapshot().get(&ALIASES, &alias.to_string()).await?.is_some()
        {
            return Err(MatrixError::room_in_use("the alias is taken").into());
        }
        // In version 12 the room's id is the create event's, which two like requests of one millisecond would share.
        for later in 0..TRIES {
            let now = MilliSecondsSinceUnixEpoch(self.clock.now().get() + UInt::from(later));
            let plan = self.plan(session, &request, &version, (&rules, alias.as_ref()), now).await?;
            match self.found(session, &request, &version, alias.as_ref(), plan, &rows).await {
                Err(Error::Storage(StorageError::Conflict)) => {}
                Err(error) => return Err(error),
                Ok(room_id) => {
                    self.carry_over(session, &room_id).await?;
                    return Ok(room_id);
                }
            }
            if let Some(alias) = &alias
                && self.store.snapshot().get(&ALIASES, &alias.to_string()).await?.is_some()
            {
                return Err(MatrixError::room_in_use("the alias is taken").into());
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Builds and writes the events of a new room, unless its id or its alias is taken meanwhile: then it is a conflict.
    async fn found(
        &self,
        session: &Session,
        request: &Request,
        version: &RoomVersionId,
        alias: Option<&OwnedRoomAliasId>,
        plan: Vec<Template>,
        rows: &(impl Fn(&mut Batch, RoomNum) + Sync),
    ) -> Result<OwnedRoomId> {
        let num = self.ids.new_room().await?;
        let random = RoomId::new_v1(&self.config.server_name);
        let mut working = Working::new(self, num, random, version)?;
        let mut batch = Batch::new();
        let mut append = Append::new(self, &mut working, &mut batch);
        for (nth, template) in plan.into_iter().enumerate() {
            let built = match build(self, append.working, &template, &From::Ends).await {
                Ok(built) => built,
                Err(Error::Matrix(error))
                    if nth >= 2
                        && template.kind != TimelineEventType::RoomMember
                        && matches!(error.kind, ErrorKind::Forbidden) =>
                {
                    // What the client asked for contradicts itself: it is no matter of rights.
                    return Err(MatrixError::invalid_room_state(error.message).into());
                }
                Err(error) => return Err(error),
            };
            let built = self.signed_now(append.working, built).await?;
            if nth == 0 {
                append.working.id.clone_from(&built.pdu.room_id);
                append.working.row.id = built.pdu.room_id.to_string();
                append.found(built.num);
            }
            append.live(built, None).await?;
        }
        if request.visibility == Visibility::Public {
            append.list(true);
        }
        append.finish().await?;
        if let Some(alias) = alias {
            let alias = alias.to_string();
            batch.expect_absent(&ALIASES, &alias);
            batch.put(&ALIASES, &alias, &Alias { room: num, creator: session.user });
            batch.put(&ROOM_ALIASES, &(num, alias), &());
        }
        rows(&mut batch, num);
        self.store.commit(batch).await?;
        Ok(working.id)
    }

    fn alias_of(&self, localpart: &str) -> Result<OwnedRoomAliasId> {
        let alias = format!("#{localpart}:{}", self.config.server_name);
        let alias = RoomAliasId::parse(alias).map_err(|error| MatrixError::invalid_param(error.to_string()))?;
        if alias.as_str().len() > super::alias::MAX_ALIAS_BYTES {
            return Err(MatrixError::invalid_param("an alias has 255 bytes at most").into());
        }
        if localpart.is_empty() || localpart.contains([':', '\0']) || localpart.chars().any(char::is_whitespace) {
            return Err(MatrixError::invalid_param("an alias has no spaces and no colon").into());
        }
        Ok(alias)
    }

    async fn plan(
        &self,
        session: &Session,
        request: &Request,
        version: &RoomVersionId,
        (rules, alias): (&RoomVersionRules, Option<&OwnedRoomAliasId>),
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Vec<Template>> {
        let preset = request.preset.clone().unwrap_or(match request.visibility {
            Visibility::Public => RoomPreset::PublicChat,
            _ => RoomPreset::PrivateChat,
        });
        let privileged = rules.authorization.explicitly_privilege_room_creators;
        let equals: &[OwnedUserId] = if preset == RoomPreset::TrustedPrivateChat { &request.invite } else { &[] };
        let mut plan = Plan { creator: &session.user_id, now, events: Vec::new() };

        let mut create = creation_content(request)?;
        create.insert("room_version".to_owned(), version.as_str().into());
        if rules.authorization.use_room_create_sender {
            create.remove("creator");
        } else {
            create.insert("creator".to_owned(), session.user_id.as_str().into());
        }
        if privileged && !equals.is_empty() {
            let creators = create.entry("additional_creators").or_insert_with(|| json!([]));
            if let Some(creators) = creators.as_array_mut() {
                for user in equals {
                    if !creators.iter().any(|known| known == user.as_str()) {
                        creators.push(user.as_str().into());
                    }
                }
            }
        }
        let additional: Vec<OwnedUserId> = create
            .get("additional_creators")
            .map(|creators| serde_json::from_value(creators.clone()))
            .transpose()
            .map_err(|_| MatrixError::invalid_param("additional_creators is a list of user ids"))?
            .unwrap_or_default();
        plan.state(TimelineEventType::RoomCreate, "", Value::Object(create))?;
        let member = self.member_content(session.user, "join", Said::default()).await?;
        plan.state(TimelineEventType::RoomMember, session.user_id.as_str(), member)?;
        let levels = power_levels(session, request, &preset, privileged, equals, &additional)?;
        plan.state(TimelineEventType::RoomPowerLevels, "", levels)?;
        if let Some(alias) = alias {
            plan.state(TimelineEventType::RoomCanonicalAlias, "", json!({ "alias": alias }))?;
        }
        preset_events(&mut plan, &preset, request)?;
        self.initial_state(&mut plan, session, request, alias).await?;
        if let Some(name) = &request.name {
            plan.state(TimelineEventType::RoomName, "", json!({ "name": name }))?;
        }
        if let Some(topic) = &request.topic {
            let text = json!([{ "body": topic, "mimetype": "text/plain" }]);
            plan.state(TimelineEventType::RoomTopic, "", json!({ "topic": topic, "m.topic": { "m.text": text } }))?;
        }
        let mut invited = std::collections::HashSet::new();
        for user in &request.invite {
            if !invited.insert(user) || *user == session.user_id {
                continue;
            }
            let said = Said::default().and("is_direct", request.is_direct.then_some(Value::Bool(true)));
            let member = self.invite_content(&session.user_id, user, said).await?;
            plan.state(TimelineEventType::RoomMember, user.as_str(), member)?;
        }
        if plan.invites() > MOST_INVITES {
            return Err(too_many().into());
        }
        Ok(plan.events)
    }

    /// The state that the client asks for.
    async fn initial_state(
        &self,
        plan: &mut Plan<'_>,
        session: &Session,
        request: &Request,
        alias: Option<&OwnedRoomAliasId>,
    ) -> Result<()> {
        for event in &request.initial_state {
            let event: InitialState =
                serde_json::from_str(event.json().get()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
            let kind = TimelineEventType::from(event.kind);
            let content = match kind {
                TimelineEventType::RoomMember => {
                    self.initial_member(session, Move::read(&event.state_key, event.content)?).await?
                }
                TimelineEventType::RoomRedaction => {
                    return Err(MatrixError::invalid_param("a redaction is no state").into());
                }
                TimelineEventType::RoomCanonicalAlias => {
                    let content = Value::from(event.content);
                    check_aliases(&canonical::object(content.clone())?, alias)?;
                    content
                }
                _ => event.content.into(),
            };
            plan.state(kind, &event.state_key, content)?;
        }
        Ok(())
    }

    /// A member event of the room's beginning: its maker can invite and ban as later, and say something of themselves.
    async fn initial_member(&self, session: &Session, wanted: Move) -> Result<Value> {
        let Move { target, membership, said } = wanted;
        match membership.as_str() {
            "invite" => self.invite_content(&session.user_id, &target, said).await,
            "ban" => said.alone("ban"),
            "join" if target == session.user_id => self.member_content(session.user, "join", said).await,
            _ => Err(MatrixError::invalid_param("a new room's members are invited, or banned").into()),
        }
    }
}

/// Every alias that a canonical alias event names must be the one that the room is made with: no other leads to it yet.
fn check_aliases(content: &CanonicalJsonObject, ours: Option<&OwnedRoomAliasId>) -> Result<()> {
    for alias in aliases_in(content) {
        let alias = alias.ok_or_else(|| MatrixError::invalid_param("alt_aliases is a list of aliases"))?;
        if RoomAliasId::parse(alias).is_err() {
            return Err(MatrixError::invalid_param("that is no alias").into());
        }
        if ours.is_none_or(|ours| ours.as_str() != alias) {
            return Err(MatrixError::bad_alias("the alias does not lead to this room").into());
        }
    }
    Ok(())
}

fn creation_content(request: &Request) -> Result<serde_json::Map<String, Value>> {
    match &request.creation_content {
        Some(raw) => serde_json::from_str(raw.json().get())
            .map_err(|_| MatrixError::bad_json("creation_content is a JSON object").into()),
        None => Ok(serde_json::Map::new()),
    }
}

fn power_levels(
    session: &Session,
    request: &Request,
    preset: &RoomPreset,
    privileged: bool,
    equals: &[OwnedUserId],
    additional: &[OwnedUserId],
) -> Result<Value> {
    let mut users = serde_json::Map::new();
    if !privileged {
        users.insert(session.user_id.to_string(), 100.into());
        for user in equals {
            users.insert(user.to_string(), 100.into());
        }
    }
    let invite = if *preset == RoomPreset::PublicChat { 50 } else { 0 };
    let mut levels = json!({
        "users": users,
        "users_default": 0,
        "events": {
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.canonical_alias": 50,
            "m.room.avatar": 50,
            "m.room.tombstone": if privileged { 150 } else { 100 },
            "m.room.server_acl": 100,
            "m.room.encryption": 100,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": invite,
        "historical": 100,
    });
    if let Some(raw) = &request.power_level_content_override {
        let overrides: serde_json::Map<String, Value> = serde_json::from_str(raw.json().get())
            .map_err(|_| MatrixError::bad_json("power_level_content_override is a JSON object"))?;
        if let Some(levels) = levels.as_object_mut() {
            levels.extend(overrides);
        }
    }
    if privileged {
        let named = |user: &UserId| levels.pointer("/users").is_some_and(|users| users.get(user.as_str()).is_some());
        if named(&session.user_id) || additional.iter().any(|user| named(user)) {
            return Err(MatrixError::bad_json("creators have no entry in the power levels of this room version").into());
        }
    }
    Ok(levels)
}

fn preset_events(plan: &mut Plan<'_>, preset: &RoomPreset, request: &Request) -> Result<()> {
    let given = |kind: &str| {
        request
            .initial_state
            .iter()
            .any(|event| event.get_field::<String>("type").is_ok_and(|t| t.as_deref() == Some(kind)))
    };
    let is_public = *preset == RoomPreset::PublicChat;
    if !given("m.room.join_rules") {
        let rule = if is_public { "public" } else { "invite" };
        plan.state(TimelineEventType::RoomJoinRules, "", json!({ "join_rule": rule }))?;
    }
    if !given("m.room.history_visibility") {
        let content = json!({ "history_visibility": "shared" });
        plan.state(TimelineEventType::RoomHistoryVisibility, "", content)?;
    }
    if !given("m.room.guest_access") && !is_public {
        plan.state(TimelineEventType::RoomGuestAccess, "", json!({ "guest_access": "can_join" }))?;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct InitialState {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: String,
    content: serde_json::Map<String, Value>,
}
