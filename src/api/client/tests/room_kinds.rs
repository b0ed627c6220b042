use serde_json::json;

use super::House;

const VERSIONS: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

#[tokio::test]
async fn presets_in_every_version() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    for version in VERSIONS {
        for (preset, rule, guests) in [
            ("private_chat", "invite", Some("can_join")),
            ("trusted_private_chat", "invite", Some("can_join")),
            ("public_chat", "public", None),
        ] {
            let body = json!({ "preset": preset, "room_version": version, "invite": ["@bob:localhost"],
                "power_level_content_override": { "events_default": 10 }, "name": "N", "is_direct": true });
            let room = house.room(&ann, body).await;
            let at = |rest: &str| format!("/rooms/{room}/state/{rest}");
            let create = house.get(&at("m.room.create"), &ann).await.done();
            assert_eq!(create["room_version"], version);
            assert_eq!(create.get("creator").is_some(), !["11", "12"].contains(&version));
            assert_eq!(house.get(&at("m.room.join_rules"), &ann).await.done()["join_rule"], rule);
            let access = house.get(&at("m.room.guest_access"), &ann).await;
            assert_eq!(access.body["guest_access"].as_str(), guests);
            let levels = house.get(&at("m.room.power_levels"), &ann).await.done();
            assert_eq!(levels["events_default"], 10);
            let trusted = preset == "trusted_private_chat";
            let of_bob = &levels["users"]["@bob:localhost"];
            if version == "12" {
                assert_eq!(levels["users"].get("@ann:localhost"), None);
                assert_eq!(create.get("additional_creators").is_some(), trusted);
            } else {
                assert_eq!((&levels["users"]["@ann:localhost"], of_bob == 100), (&json!(100), trusted));
            }
            let member = house.get(&at("m.room.member/@bob:localhost"), &ann).await.done();
            assert_eq!((&member["membership"], &member["is_direct"]), (&json!("invite"), &json!(true)));
            house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
            let named = house.put(&at("m.room.name"), &bob, json!({ "name": "Bob's" })).await;
            assert_eq!(named.status.as_u16(), if trusted { 200 } else { 403 }, "{version} {preset} {}", named.body);
        }
    }
}

#[tokio::test]
async fn what_makes_no_room() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let member = |key: &str, content: serde_json::Value| {
        let event = json!({ "type": "m.room.member", "state_key": key, "content": content });
        json!({ "initial_state": [event] })
    };
    let alias = |content: serde_json::Value| {
        let event = json!({ "type": "m.room.canonical_alias", "content": content });
        json!({ "initial_state": [event], "room_alias_name": "ward" })
    };
    // Somebody else's.
    house.room(&house.register("bob").await, json!({ "room_alias_name": "beds" })).await;
    let many = || (0..101).map(|nth| format!("@user{nth}:localhost"));
    let invite =
        |user: String| json!({ "type": "m.room.member", "state_key": user, "content": { "membership": "invite" } });
    for (body, errcode) in [
        (json!({ "invite": many().collect::<Vec<_>>() }), "M_INVALID_PARAM"),
        (json!({ "initial_state": many().map(invite).collect::<Vec<_>>() }), "M_INVALID_PARAM"),
        (alias(json!({ "alias": "#beds:localhost" })), "M_BAD_ALIAS"),
        (alias(json!({ "alias": "#ward:localhost", "alt_aliases": ["#none:localhost"] })), "M_BAD_ALIAS"),
        (alias(json!({ "alt_aliases": [1] })), "M_INVALID_PARAM"),
        (alias(json!({ "alias": "nonsense" })), "M_INVALID_PARAM"),
        (json!({ "room_version": "1" }), "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({ "room_version": "x" }), "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({ "preset": "x" }), "M_BAD_JSON"),
        (json!({ "name": 1 }), "M_BAD_JSON"),
        (json!({ "invite": ["nobody"] }), "M_BAD_JSON"),
        (json!({ "initial_state": [{ "type": "m.room.topic" }] }), "M_BAD_JSON"),
        (json!({ "initial_state": [{ "type": "m.room.topic", "content": 1 }] }), "M_BAD_JSON"),
        (member("@bob:localhost", json!({ "membership": "join" })), "M_INVALID_PARAM"),
        (member("@ann:localhost", json!({ "membership": "leave" })), "M_INVALID_PARAM"),
        (member("nobody", json!({ "membership": "invite" })), "M_INVALID_PARAM"),
        (member("@bob:localhost", json!({})), "M_BAD_JSON"),
        (json!({ "initial_state": [{ "type": "m.room.redaction", "content": {} }] }), "M_INVALID_PARAM"),
        (json!({ "creation_content": 1 }), "M_BAD_JSON"),
        (json!({ "power_level_content_override": { "users": { "@ann:localhost": 100 } } }), "M_BAD_JSON"),
        (json!({ "power_level_content_override": { "ban": 1.5 } }), "M_BAD_JSON"),
        (
            json!({ "invite_3pid": [{ "id_server": "x", "id_access_token": "x", "medium": "email", "address": "a@b" }] }),
            "M_INVALID_PARAM",
        ),
    ] {
        house.post("/createRoom", &ann, body).await.refused(400, errcode);
    }
    assert_eq!(house.get("/joined_rooms", &ann).await.done(), json!({ "joined_rooms": [] }));
    house.room(&ann, alias(json!({ "alt_aliases": ["#ward:localhost"] }))).await;
}

#[tokio::test]
async fn creators_of_version_12() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let body = json!({ "creation_content": { "additional_creators": ["@bob:localhost"], "type": "m.space" },
        "invite": ["@bob:localhost"] });
    let room = house.room(&ann, body).await;
    assert!(!room.contains(':'), "the id is the create event's");
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    let levels = format!("/rooms/{room}/state/m.room.power_levels");
    let mut content = house.get(&levels, &bob).await.done();
    content["users"] = json!({ "@ann:localhost": 0 });
    house.put(&levels, &bob, content.clone()).await.refused(403, "M_FORBIDDEN");
    content["users"] = json!({ "@cat:localhost": 150 });
    house.put(&levels, &bob, content).await.done();
    house
        .post(&format!("/rooms/{room}/kick"), &bob, json!({ "user_id": "@ann:localhost" }))
        .await
        .refused(403, "M_FORBIDDEN");
    let create = house.get(&format!("/rooms/{room}/state/m.room.create"), &bob).await.done();
    assert_eq!(create["type"], "m.space");
}

#[tokio::test]
async fn restricted_rooms() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    for version in ["8", "10", "12"] {
        let space = house.room(&ann, json!({ "preset": "public_chat" })).await;
        let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": space }] });
        let state = json!([{ "type": "m.room.join_rules", "content": rule }]);
        let room = house.room(&ann, json!({ "room_version": version, "initial_state": state })).await;
        house.post(&format!("/join/{room}"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
        house.post(&format!("/join/{space}"), &bob, json!({})).await.done();
        house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
        let member = house.get(&format!("/rooms/{room}/state/m.room.member/@bob:localhost"), &bob).await.done();
        assert_eq!(member["join_authorised_via_users_server"], "@ann:localhost");
        house.post(&format!("/rooms/{space}/leave"), &bob, json!({})).await.done();
        house.put("/profile/@bob:localhost/displayname", &bob, json!({ "displayname": version })).await.done();
        let member = house.get(&format!("/rooms/{room}/state/m.room.member/@bob:localhost"), &bob).await.done();
        assert_eq!(member["displayname"], version, "who is in stays in");
        house.post(&format!("/rooms/{room}/leave"), &bob, json!({})).await.done();
        house.post(&format!("/join/{room}"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn knocking() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let closed = house.room(&ann, json!({})).await;
    house.post(&format!("/knock/{closed}"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post("/knock/!none:localhost", &bob, json!({})).await.refused(404, "M_NOT_FOUND");
    let state = json!([{ "type": "m.room.join_rules", "content": { "join_rule": "knock" } }]);
    let room = house.room(&ann, json!({ "initial_state": state, "room_alias_name": "door" })).await;
    let knocked = house.post("/knock/%23door:localhost", &bob, json!({ "reason": "please" })).await.done();
    assert_eq!(knocked, json!({ "room_id": room }));
    let member = format!("/rooms/{room}/state/m.room.member/@bob:localhost");
    assert_eq!(
        house.get(&member, &ann).await.done(),
        json!({ "displayname": "bob", "membership": "knock", "reason": "please" })
    );
    house.get(&member, &bob).await.refused(403, "M_FORBIDDEN");
    house.post(&format!("/join/{room}"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post(&format!("/rooms/{room}/leave"), &bob, json!({})).await.done();
    house.post(&format!("/knock/{room}"), &bob, json!({})).await.done();
    house.post(&format!("/rooms/{room}/invite"), &ann, json!({ "user_id": "@bob:localhost" })).await.done();
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    house.post(&format!("/knock/{room}"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
}
