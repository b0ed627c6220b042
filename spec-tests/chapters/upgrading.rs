//! "Room upgrades": what goes over to the new room, what closes the old one, and who may do it.

use serde_json::{Value, json};
use spec_tests::{User, unique};

use crate::{run, server};

async fn state(user: &User, room: &str, kind: &str) -> Value {
    user.get(&format!("/v3/rooms/{room}/state/{kind}/")).await.ok()
}

async fn set(user: &User, room: &str, kind: &str, content: Value) {
    let _ = user.put(&format!("/v3/rooms/{room}/state/{kind}/"), content).await.ok();
}

async fn upgrade(user: &User, room: &str, body: Value) -> String {
    let answer = user.post(&format!("/v3/rooms/{room}/upgrade"), body).await.ok();
    answer["replacement_room"].as_str().unwrap().to_owned()
}

#[test]
fn the_new_room_is_like_the_old_one() {
    run(async {
        let server = server().await;
        let (ann, bob, cid) = (server.user("ann").await, server.user("bob").await, server.user("cid").await);
        let name = unique("ward");
        let room = ann
            .create_room(json!({ "room_version": "10", "preset": "public_chat", "room_alias_name": name,
                "visibility": "public", "name": "Ward 7", "topic": "Beds", "creation_content": { "type": "m.space" } }))
            .await;
        bob.join(&room).await;
        set(&ann, &room, "m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })).await;
        set(&ann, &room, "m.room.server_acl", json!({ "allow": ["*"], "deny": ["evil.example"] })).await;
        let child = format!("/v3/rooms/{room}/state/m.space.child/!child:localhost");
        let _ = ann.put(&child, json!({ "via": ["localhost"] })).await.ok();
        let _ = ann.put(&child.replace("!child", "!gone"), json!({})).await.ok();
        let ban = json!({ "user_id": cid.id, "reason": "noise" });
        let _ = ann.post(&format!("/v3/rooms/{room}/ban"), ban).await.ok();
        let mut levels = state(&ann, &room, "m.room.power_levels").await;
        levels["users"][&bob.id] = json!(50);
        set(&ann, &room, "m.room.power_levels", levels.clone()).await;

        let new = upgrade(&ann, &room, json!({ "new_version": "11" })).await;
        for kind in [
            "m.room.name",
            "m.room.topic",
            "m.room.encryption",
            "m.room.server_acl",
            "m.room.join_rules",
            "m.room.history_visibility",
            "m.room.power_levels",
            "m.room.canonical_alias",
        ] {
            let old = if kind == "m.room.power_levels" { levels.clone() } else { json!(null) };
            let old = match kind {
                "m.room.power_levels" => old,
                "m.room.canonical_alias" => json!({ "alias": format!("#{name}:localhost") }),
                _ => state(&ann, &room, kind).await,
            };
            assert_eq!(state(&ann, &new, kind).await, old, "{kind}");
        }
        let create = state(&ann, &new, "m.room.create").await;
        let tombstone = ann.get(&format!("/v3/rooms/{room}/state/m.room.tombstone/?format=event")).await.ok();
        assert_eq!(tombstone["content"]["replacement_room"], new);
        assert_eq!(create["predecessor"], json!({ "room_id": room, "event_id": tombstone["event_id"] }));
        assert_eq!((&create["type"], &create["room_version"]), (&json!("m.space"), &json!("11")));
        let banned = ann.get(&format!("/v3/rooms/{new}/state/m.room.member/{}", cid.id)).await.ok();
        assert_eq!((&banned["membership"], &banned["reason"]), (&json!("ban"), &json!("noise")));
        assert_eq!(ann.get(&format!("/v3/rooms/{new}/state/m.space.child/!child:localhost")).await.status, 200);
        assert_eq!(ann.get(&format!("/v3/rooms/{new}/state/m.space.child/!gone:localhost")).await.status, 404);

        // The old room is closed, and its name is the new room's.
        let levels = state(&ann, &room, "m.room.power_levels").await;
        assert_eq!((&levels["events_default"], &levels["invite"]), (&json!(50), &json!(50)));
        assert_eq!(state(&ann, &room, "m.room.canonical_alias").await, json!({}));
        let found = ann.get(&format!("/v3/directory/room/%23{name}:localhost")).await.ok();
        assert_eq!(found["room_id"], new);
        let listed =
            async |room: &str| ann.get(&format!("/v3/directory/list/room/{room}")).await.ok()["visibility"].clone();
        assert_eq!((listed(&room).await, listed(&new).await), (json!("private"), json!("public")));
    });
}

#[test]
fn creators_outrank_all_in_version_12() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "room_version": "11", "preset": "public_chat" })).await;
        bob.join(&room).await;
        let body = json!({ "new_version": "12", "additional_creators": [bob.id] });
        let new = upgrade(&ann, &room, body).await;
        let create = state(&ann, &new, "m.room.create").await;
        assert_eq!(create["additional_creators"], json!([bob.id]));
        assert_eq!(create["predecessor"]["room_id"], room);
        let levels = state(&ann, &new, "m.room.power_levels").await;
        assert_eq!((&levels["users"], &levels["events"]["m.room.tombstone"]), (&json!({}), &json!(150)));
        bob.join(&new).await;
        set(&bob, &new, "m.room.name", json!({ "name": "Bob's" })).await;
        // Back again, creators are administrators.
        let old = upgrade(&bob, &new, json!({ "new_version": "11" })).await;
        let levels = state(&bob, &old, "m.room.power_levels").await;
        assert_eq!(levels["users"], json!({ (ann.id.as_str()): 100, (bob.id.as_str()): 100 }));
    });
}

#[test]
fn what_users_set_goes_over_when_they_join() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        for user in [&ann, &bob] {
            let id = &user.id;
            let _ =
                user.put(&format!("/v3/user/{id}/rooms/{room}/tags/m.favourite"), json!({ "order": 0.5 })).await.ok();
            let _ = user.put(&format!("/v3/pushrules/global/room/{room}"), json!({ "actions": ["notify"] })).await.ok();
            let direct = json!({ "@x:localhost": [room] });
            let _ = user.put(&format!("/v3/user/{id}/account_data/m.direct"), direct).await.ok();
        }
        let new = upgrade(&ann, &room, json!({ "new_version": "11" })).await;
        bob.join(&new).await;
        eve.join(&new).await;
        for user in [&ann, &bob] {
            let id = &user.id;
            let tags = user.get(&format!("/v3/user/{id}/rooms/{new}/tags")).await.ok();
            assert_eq!(tags["tags"]["m.favourite"]["order"], 0.5);
            let rule = user.get(&format!("/v3/pushrules/global/room/{new}")).await.ok();
            assert_eq!(rule["actions"], json!(["notify"]));
            let direct = user.get(&format!("/v3/user/{id}/account_data/m.direct")).await.ok();
            assert_eq!(direct["@x:localhost"], json!([room, new]));
        }
        eve.get(&format!("/v3/pushrules/global/room/{new}")).await.refused(404, "M_NOT_FOUND");
    });
}

#[test]
fn a_room_that_only_says_to_replace_another_one_gets_nothing() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        for user in [&ann, &bob] {
            let _ = user.put(&format!("/v3/pushrules/global/room/{room}"), json!({ "actions": ["notify"] })).await.ok();
        }
        let like_it = json!({ "preset": "public_chat", "creation_content": { "predecessor": { "room_id": room } } });
        let false_one = eve.create_room(like_it.clone()).await;
        bob.join(&false_one).await;
        bob.get(&format!("/v3/pushrules/global/room/{false_one}")).await.refused(404, "M_NOT_FOUND");
        // By hand: who makes the new room knows what it is for.
        let new = ann.create_room(like_it).await;
        set(&ann, &room, "m.room.tombstone", json!({ "body": "Moved", "replacement_room": new })).await;
        bob.join(&new).await;
        for user in [&ann, &bob] {
            let rule = user.get(&format!("/v3/pushrules/global/room/{new}")).await.ok();
            assert_eq!(rule["actions"], json!(["notify"]));
        }
    });
}

#[test]
fn not_everybody_upgrades() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let path = format!("/v3/rooms/{room}/upgrade");
        bob.post(&path, json!({ "new_version": "11" })).await.refused(403, "M_FORBIDDEN");
        bob.join(&room).await;
        bob.post(&path, json!({ "new_version": "11" })).await.refused(403, "M_FORBIDDEN");
        ann.post(&path, json!({ "new_version": "99" })).await.refused(400, "M_UNSUPPORTED_ROOM_VERSION");
        ann.post(&path, json!({})).await.refused(400, "M_MISSING_PARAM");
        ann.get(&format!("/v3/rooms/{room}/state/m.room.tombstone/")).await.refused(404, "M_NOT_FOUND");
    });
}
