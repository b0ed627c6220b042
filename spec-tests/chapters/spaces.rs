//! "Spaces" and "Room previews": trees of rooms, single rooms seen from outside, and who sees which of them.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

async fn space(user: &User, body: Value) -> String {
    let mut body = body;
    body["creation_content"] = json!({ "type": "m.space" });
    user.create_room(body).await
}

async fn add(user: &User, parent: &str, child: &str, more: Value) {
    let mut content = json!({ "via": ["localhost"] });
    content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let _ = user.put(&format!("/v3/rooms/{parent}/state/m.space.child/{child}"), content).await.ok();
}

fn ids(tree: &Value) -> Vec<String> {
    tree["rooms"].as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap().to_owned()).collect()
}

async fn tree(user: &User, room: &str, query: &str) -> Value {
    user.get(&format!("/v1/rooms/{room}/hierarchy{query}")).await.ok()
}

#[test]
fn a_tree_is_walked_depth_first_in_the_order_of_its_spaces() {
    run(async {
        let ann = server().await.user("ann").await;
        let top = space(&ann, json!({ "name": "Hospital" })).await;
        let ward = space(&ann, json!({ "name": "Ward" })).await;
        let mut rooms = Vec::new();
        for name in ["a", "b", "c"] {
            rooms.push(ann.create_room(json!({ "name": name, "topic": "t" })).await);
        }
        add(&ann, &top, &rooms[0], json!({})).await;
        add(&ann, &top, &rooms[1], json!({ "order": "b", "suggested": true })).await;
        add(&ann, &top, &ward, json!({ "order": "a", "suggested": true })).await;
        add(&ann, &ward, &rooms[2], json!({ "suggested": true })).await;
        // A loop leads nowhere, nor does a room that nobody knows.
        add(&ann, &ward, &top, json!({})).await;
        add(&ann, &top, "!unknown:localhost", json!({})).await;
        let whole = tree(&ann, &top, "").await;
        let expected = [&top, &ward, &rooms[2], &rooms[1], &rooms[0]].map(ToOwned::to_owned);
        assert_eq!(ids(&whole), expected);
        let children = whole["rooms"][0]["children_state"].as_array().unwrap();
        let keys: Vec<_> = children.iter().map(|child| child["state_key"].as_str().unwrap()).collect();
        assert_eq!(keys, [&ward, &rooms[1], &rooms[0], "!unknown:localhost"]);
        let first = &children[0];
        assert_eq!(first["content"], json!({ "via": ["localhost"], "order": "a", "suggested": true }));
        assert!(
            first["origin_server_ts"].is_u64() && first["sender"] == ann.id.as_str() && first.get("event_id").is_none()
        );
        let leaf = &whole["rooms"][3];
        assert_eq!((&leaf["name"], &leaf["topic"], &leaf["children_state"]), (&json!("b"), &json!("t"), &json!([])));
        assert_eq!((&leaf["join_rule"], &leaf["num_joined_members"]), (&json!("invite"), &json!(1)));

        assert_eq!(ids(&tree(&ann, &top, "?suggested_only=true").await), expected[..4]);
        assert_eq!(ids(&tree(&ann, &top, "?max_depth=0").await), expected[..1]);
        let shallow = [&top, &ward, &rooms[1], &rooms[0]].map(ToOwned::to_owned);
        assert_eq!(ids(&tree(&ann, &top, "?max_depth=1").await), shallow);

        let (mut all, mut from) = (Vec::new(), String::new());
        loop {
            let page = tree(&ann, &top, &format!("?limit=2{from}")).await;
            all.extend(ids(&page));
            let Some(next) = page["next_batch"].as_str() else { break };
            from = format!("&from={next}");
            let other = format!("/v1/rooms/{top}/hierarchy?suggested_only=true{from}");
            ann.get(&other).await.refused(400, "M_INVALID_PARAM");
        }
        assert_eq!(all, expected);
        // A child without a way to it is none any more.
        let _ = ann.put(&format!("/v3/rooms/{top}/state/m.space.child/{ward}"), json!({})).await.ok();
        assert_eq!(ids(&tree(&ann, &top, "").await), [&top, &rooms[1], &rooms[0]].map(ToOwned::to_owned));
    });
}

#[test]
fn everybody_sees_the_rooms_that_they_may_come_into() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let top = space(&ann, json!({ "preset": "public_chat" })).await;
        let rule = |rule: Value| json!([{ "type": "m.room.join_rules", "content": rule }]);
        let restricted =
            json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": top }] });
        let readable =
            json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } }]);
        let rooms = [
            ann.create_room(json!({ "preset": "public_chat" })).await,
            ann.create_room(json!({ "initial_state": rule(json!({ "join_rule": "knock" })) })).await,
            ann.create_room(json!({ "initial_state": readable })).await,
            ann.create_room(json!({ "invite": [bob.id] })).await,
            ann.create_room(json!({})).await,
            ann.create_room(json!({ "initial_state": rule(restricted) })).await,
        ];
        for (nth, room) in rooms.iter().enumerate() {
            add(&ann, &top, room, json!({ "order": nth.to_string() })).await;
        }
        let mut seen = vec![top.clone()];
        seen.extend_from_slice(&rooms[..4]);
        assert_eq!(ids(&tree(&bob, &top, "").await), seen);
        bob.join(&top).await;
        seen.push(rooms[5].clone());
        let whole = tree(&bob, &top, "").await;
        assert_eq!(ids(&whole), seen);
        assert_eq!(whole["rooms"][5]["allowed_room_ids"], json!([top]));
        // The secret room is named by the space, as its state is, but nothing is told of it.
        assert!(!whole["rooms"].as_array().unwrap().iter().any(|room| room["room_id"] == rooms[4].as_str()));
        for hidden in [&rooms[4], "!unknown:localhost"] {
            bob.get(&format!("/v1/rooms/{hidden}/hierarchy")).await.refused(403, "M_FORBIDDEN");
            bob.get(&format!("/v1/room_summary/{hidden}")).await.refused(404, "M_NOT_FOUND");
        }
        let _ = ann.post(&format!("/v3/rooms/{}/ban", rooms[0]), json!({ "user_id": bob.id })).await.ok();
        bob.get(&format!("/v1/room_summary/{}", rooms[0])).await.refused(404, "M_NOT_FOUND");
    });
}

#[test]
fn a_summary_tells_of_one_room() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let alias = spec_tests::unique("alias");
        let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
        let room = ann
            .create_room(json!({
                "preset": "public_chat",
                "room_alias_name": alias,
                "name": "Ward 7",
                "room_version": "11",
                "initial_state": [{ "type": "m.room.encryption", "content": encryption }],
            }))
            .await;
        let expected = json!({
            "room_id": room,
            "name": "Ward 7",
            "canonical_alias": format!("#{alias}:localhost"),
            "num_joined_members": 1,
            "world_readable": false,
            "guest_can_join": false,
            "join_rule": "public",
            "room_version": "11",
            "encryption": "m.megolm.v1.aes-sha2",
            "im.nheko.summary.room_version": "11",
            "im.nheko.summary.encryption": "m.megolm.v1.aes-sha2",
            "membership": "leave",
        });
        let paths = [
            format!("/v1/room_summary/{room}"),
            format!("/v1/room_summary/%23{alias}:localhost?via=localhost"),
            format!("/unstable/im.nheko.summary/rooms/{room}/summary"),
            format!("/unstable/im.nheko.summary/summary/{room}"),
        ];
        for path in paths {
            assert_eq!(bob.get(&path).await.ok(), expected, "{path}");
            User::stranger(&server.url).get(&path).await.refused(401, "M_MISSING_TOKEN");
        }
        bob.join(&room).await;
        let summary = bob.get(&format!("/v1/room_summary/{room}")).await.ok();
        assert_eq!((&summary["membership"], &summary["num_joined_members"]), (&json!("join"), &json!(2)));
        bob.get("/v1/room_summary/%23nothing:localhost").await.refused(404, "M_NOT_FOUND");
        bob.get("/v1/room_summary/nothing").await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn mutual_rooms_are_those_of_both() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let one = ann.create_room(json!({ "preset": "public_chat" })).await;
        ann.create_room(json!({ "invite": [bob.id] })).await;
        bob.create_room(json!({})).await;
        let old = "/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=";
        let mutual = async |user: &str| {
            let answer = ann.get(&format!("/v1/mutual_rooms?user_id={user}")).await.ok();
            assert_eq!(ann.get(&format!("{old}{user}")).await.ok(), json!({ "joined": answer["joined"] }));
            answer
        };
        let nothing = json!({ "count": 0, "joined": [] });
        assert_eq!(mutual(&bob.id).await, nothing);
        bob.join(&one).await;
        assert_eq!(mutual(&bob.id).await, json!({ "count": 1, "joined": [one] }));
        assert_eq!(mutual("@nobody:localhost").await, nothing);
        for path in ["/v1/mutual_rooms?user_id=", old] {
            ann.get(&format!("{path}{}", ann.id)).await.refused(400, "M_INVALID_PARAM");
            ann.get(&format!("{path}{}&from=x", bob.id)).await.refused(400, "M_INVALID_PARAM");
            ann.get(path).await.refused(400, "M_INVALID_PARAM");
        }
        let features = ann.get("/versions").await.ok()["unstable_features"].clone();
        for flag in [
            "uk.half-shot.msc2666.query_mutual_rooms",
            "uk.half-shot.msc2666.query_mutual_rooms.stable",
            "org.matrix.msc3266",
            "uk.tcpip.msc4133.stable",
        ] {
            assert_eq!(features[flag], true, "{flag}");
        }
    });
}
