//! "Published room directory": what the list tells, how it is searched and paged, and who may change it.

use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::{run, server};

/// A word that only this test's rooms have.
fn word() -> String {
    spec_tests::unique("w").replace('-', "x")
}

async fn search(user: &User, body: Value) -> Value {
    user.post("/v3/publicRooms", body).await.ok()
}

async fn found(user: &User, term: &str) -> Vec<Value> {
    let page = search(user, json!({ "filter": { "generic_search_term": term } })).await;
    page["chunk"].as_array().unwrap().clone()
}

async fn set(user: &User, room: &str, visibility: &str) -> spec_tests::Answer {
    user.put(&format!("/v3/directory/list/room/{room}"), json!({ "visibility": visibility })).await
}

#[test]
fn a_published_room_is_told_with_all_that_the_spec_names() {
    run(async {
        let ann = server().await.user("ann").await;
        let (word, alias) = (word(), spec_tests::unique("alias"));
        let room = ann
            .create_room(json!({
                "visibility": "public",
                "room_alias_name": alias,
                "name": format!("Café {word}"),
                "topic": "à la française",
                "creation_content": { "type": "m.space" },
                "initial_state": [
                    { "type": "m.room.avatar", "content": { "url": "mxc://localhost/a" } },
                    { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
                    { "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } },
                ],
            }))
            .await;
        let rooms = found(&ann, &format!("CAFE {}", word.to_uppercase())).await;
        assert_eq!(
            rooms,
            [json!({
                "room_id": room,
                "name": format!("Café {word}"),
                "topic": "à la française",
                "canonical_alias": format!("#{alias}:localhost"),
                "avatar_url": "mxc://localhost/a",
                "room_type": "m.space",
                "num_joined_members": 1,
                "world_readable": true,
                "guest_can_join": true,
                "join_rule": "public",
            })]
        );
        let of_types = async |types: Value| {
            let filter = json!({ "generic_search_term": word, "room_types": types });
            search(&ann, json!({ "filter": filter })).await["chunk"].as_array().unwrap().len()
        };
        assert_eq!((of_types(json!(["m.space"])).await, of_types(json!([null])).await), (1, 0));
        assert_eq!(of_types(json!([null, "m.space"])).await, 1);
    });
}

#[test]
fn the_list_follows_the_room() {
    run(async {
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        let (word, later) = (word(), word());
        let room = ann.create_room(json!({ "visibility": "public", "name": word })).await;
        bob.join(&room).await;
        assert_eq!(found(&ann, &word).await[0]["num_joined_members"], 2);
        let name = ann.put(&format!("/v3/rooms/{room}/state/m.room.name"), json!({ "name": later })).await.ok();
        assert!(found(&ann, &word).await.is_empty());
        assert_eq!(found(&ann, &later).await[0]["name"], later.as_str());
        // A redacted name is nowhere any more.
        let event = name["event_id"].as_str().unwrap();
        let _ = ann.put(&format!("/v3/rooms/{room}/redact/{event}/{}", spec_tests::unique("t")), json!({})).await.ok();
        assert!(found(&ann, &later).await.is_empty());
        // Nor is a room in the list that nobody may come into or read.
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.topic"), json!({ "topic": word })).await.ok();
        assert_eq!(found(&ann, &word).await.len(), 1);
        let _ =
            ann.put(&format!("/v3/rooms/{room}/state/m.room.join_rules"), json!({ "join_rule": "invite" })).await.ok();
        assert!(found(&ann, &word).await.is_empty());
        for user in [&ann, &bob] {
            let _ = user.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        }
        assert!(found(&bob, &word).await.is_empty());
    });
}

#[test]
fn pages_lead_forwards_and_back() {
    run(async {
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        let word = word();
        let mut rooms = Vec::new();
        for nth in 0..5 {
            rooms.push(ann.create_room(json!({ "visibility": "public", "name": format!("{word} {nth}") })).await);
        }
        bob.join(&rooms[3]).await;
        let page = async |since: &Value| {
            let filter = json!({ "generic_search_term": word });
            let mut body = json!({ "limit": 2, "filter": filter });
            if since.is_string() {
                body["since"] = since.clone();
            }
            search(&ann, body).await
        };
        let names = |page: &Value| -> Vec<String> {
            page["chunk"].as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap().to_owned()).collect()
        };
        let first = page(&Value::Null).await;
        assert_eq!(names(&first)[0], rooms[3], "the room with most members comes first");
        assert_eq!(first["prev_batch"], Value::Null);
        let second = page(&first["next_batch"]).await;
        let third = page(&second["next_batch"]).await;
        assert_eq!(third["next_batch"], Value::Null);
        let mut all: Vec<_> = [&first, &second, &third].into_iter().flat_map(names).collect();
        assert_eq!(names(&page(&third["prev_batch"]).await), names(&second));
        assert_eq!(names(&page(&second["prev_batch"]).await), names(&first));
        all.sort();
        rooms.sort();
        assert_eq!(all, rooms);
        assert!(first["total_room_count_estimate"].as_u64().unwrap() >= 5);
        for wrong in ["x", "n1", "p1_x", "n-1_1"] {
            let body = json!({ "since": wrong });
            ann.post("/v3/publicRooms", body).await.refused(400, "M_INVALID_PARAM");
        }
    });
}

#[test]
fn only_who_has_the_power_changes_the_list() {
    run(async {
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        let word = word();
        let room = ann.create_room(json!({ "preset": "public_chat", "name": word })).await;
        assert!(found(&ann, &word).await.is_empty(), "a public room is not published by itself");
        set(&bob, &room, "public").await.refused(403, "M_FORBIDDEN");
        bob.join(&room).await;
        set(&bob, &room, "public").await.refused(403, "M_FORBIDDEN");
        set(&ann, &room, "secret").await.refused(400, "M_INVALID_PARAM");
        set(&ann, "!nowhere:localhost", "public").await.refused(404, "M_NOT_FOUND");
        let _ = set(&ann, &room, "public").await.ok();
        let visibility = async || ann.get(&format!("/v3/directory/list/room/{room}")).await.ok()["visibility"].clone();
        assert_eq!((found(&bob, &word).await.len(), visibility().await), (1, json!("public")));
        set(&bob, &room, "private").await.refused(403, "M_FORBIDDEN");
        let _ = set(&ann, &room, "private").await.ok();
        assert_eq!((found(&bob, &word).await.len(), visibility().await), (0, json!("private")));
    });
}

#[test]
fn strangers_and_publishers_are_as_configured() {
    run(async {
        User::stranger(&server().await.url).get("/v3/publicRooms").await.refused(401, "M_MISSING_TOKEN");
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [("MATRON_ROOM_LIST__PUBLISH", "administrators"), ("MATRON_ROOM_LIST__WITHOUT_ACCOUNT", "true")];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        let listed = User::stranger(&server.url).get("/v3/publicRooms?limit=5").await.ok();
        assert_eq!(listed["chunk"], json!([]));
        ann.post("/v3/createRoom", json!({ "visibility": "public" })).await.refused(403, "M_FORBIDDEN");
        let room = ann.create_room(json!({})).await;
        set(&ann, &room, "public").await.refused(403, "M_FORBIDDEN");
        let _ = set(&ann, &room, "private").await.ok();
    });
}

#[test]
fn only_so_many_types_are_asked_for_at_once() {
    run(async {
        let ann = server().await.user("ann").await;
        let of_types = async |count: usize| {
            let types: Vec<_> = (0..count).map(|nth| format!("t{nth}")).collect();
            ann.post("/v3/publicRooms", json!({ "filter": { "room_types": types } })).await
        };
        let _ = of_types(1000).await.ok();
        of_types(1001).await.refused(400, "M_INVALID_PARAM");
    });
}
