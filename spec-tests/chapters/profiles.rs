//! "Profiles": fields of all sorts, and the rooms that learn of a new name.

use reqwest::Method;
use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::{run, server};

async fn member(user: &User, room: &str) -> Value {
    user.get(&format!("/v3/rooms/{room}/state/m.room.member/{}", user.id)).await.ok()
}

#[test]
fn fields_are_set_read_and_deleted_by_their_own_paths() {
    run(async {
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        let path = |name: &str| format!("/v3/profile/{}/{name}", ann.id);
        for (name, value) in [("m.tz", json!("Europe/London")), ("org.example.badge", json!({ "nr": 7 }))] {
            let _ = ann.put(&path(name), json!({ name: value })).await.ok();
            assert_eq!(bob.get(&path(name)).await.ok(), json!({ name: value }));
            let old = format!("/unstable/uk.tcpip.msc4133/profile/{}/{name}", ann.id);
            assert_eq!(bob.get(&old).await.ok(), json!({ name: value }));
            assert_eq!(bob.get(&format!("/v3/profile/{}", ann.id)).await.ok()[name], value);
            bob.put(&path(name), json!({ name: value })).await.refused(403, "M_FORBIDDEN");
            bob.delete(&path(name), json!({})).await.refused(403, "M_FORBIDDEN");
            let _ = ann.delete(&path(name), json!({})).await.ok();
            bob.get(&path(name)).await.refused(404, "M_NOT_FOUND");
        }
        let large = json!({ "org.example.big": "x".repeat(70_000) });
        ann.put(&path("org.example.big"), large).await.refused(400, "M_PROFILE_TOO_LARGE");
        let long = "a".repeat(256);
        ann.put(&path(&long), json!({ &long: 1 })).await.refused(400, "M_KEY_TOO_LARGE");
        ann.put(&path("Upper"), json!({ "Upper": 1 })).await.refused(400, "M_INVALID_PARAM");
        let capabilities = ann.get("/v3/capabilities").await.ok();
        assert_eq!(capabilities["capabilities"]["m.profile_fields"], json!({ "enabled": true }));
    });
}

#[test]
fn a_field_is_set_by_its_own_name_in_the_body() {
    run(async {
        let ann = server().await.user("ann").await;
        let path = |name: &str| format!("/v3/profile/{}/{name}", ann.id);
        for name in ["displayname", "avatar_url", "m.tz", "org.example.badge"] {
            ann.put(&path(name), json!({})).await.refused(400, "M_MISSING_PARAM");
            ann.put(&path(name), json!({ "org.example.other": "x" })).await.refused(400, "M_MISSING_PARAM");
            ann.put(&path(name), json!([name])).await.refused(400, "M_BAD_JSON");
            ann.call(Method::PUT, &path(name), Some(b"{")).await.refused(400, "M_NOT_JSON");
        }
        ann.put(&path("displayname"), json!({ "displayname": 7 })).await.refused(400, "M_BAD_JSON");
        ann.put(&path("displayname"), json!({ "displayname": null })).await.refused(400, "M_BAD_JSON");
        let two = json!({ "a.first": [1], "displayname": "Sister Ann", "org.example.other": "x" });
        let _ = ann.put(&path("displayname"), two).await.ok();
        assert_eq!(ann.get(&format!("/v3/profile/{}", ann.id)).await.ok(), json!({ "displayname": "Sister Ann" }));
        ann.put("/v3/profile/ann/displayname", json!({ "displayname": "x" })).await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn rooms_learn_of_a_new_name_also_after_a_restart() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let mut ann = server.user("ann").await;
        let mut rooms = Vec::new();
        for _ in 0..5 {
            rooms.push(ann.create_room(json!({})).await);
        }
        let set = async |ann: &User, name: &str| {
            ann.put(&format!("/v3/profile/{}/displayname", ann.id), json!({ "displayname": name })).await.ok()
        };
        for name in ["Sister Ann", "Matron Ann"] {
            set(&ann, name).await;
            for room in &rooms {
                assert_eq!(member(&ann, room).await["displayname"], name);
            }
        }
        // A field that is no part of member events is in none.
        let _ = ann.put(&format!("/v3/profile/{}/m.tz", ann.id), json!({ "m.tz": "Europe/London" })).await.ok();
        assert_eq!(member(&ann, &rooms[0]).await.get("m.tz"), None);
        let _ = set(&ann, "Professor Ann").await;
        server.restart().await;
        ann = ann.at(&server.url);
        for room in &rooms {
            assert_eq!(member(&ann, room).await["displayname"], "Professor Ann");
        }
    });
}
