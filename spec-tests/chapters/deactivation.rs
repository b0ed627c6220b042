//! "Account deactivation" with `erase`: who could see what was said goes on seeing it, who comes later sees it pruned.

use serde_json::json;
use spec_tests::User;

use crate::{run, server};

async fn reads(user: &User, room: &str) -> Vec<String> {
    let page = user.get(&format!("/v3/rooms/{room}/messages?dir=f&limit=100")).await.ok();
    let said = page["chunk"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.message");
    said.map(|event| event["content"]["body"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn the_erased_are_pruned_for_whoever_comes_later() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let (late, left) = (server.user("late").await, server.user("left").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Ward 9" })).await;
        for user in [&bob, &cat, &left] {
            user.join(&room).await;
        }
        let id = ann.say(&room, "secret").await;
        bob.say(&room, "public").await;
        let _ = left.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        let first = ann.post("/v3/account/deactivate", json!({ "erase": true })).await;
        let proof = ann.proof(&first.body["session"]);
        let _ = ann.post("/v3/account/deactivate", json!({ "erase": true, "auth": proof })).await.ok();

        late.join(&room).await;
        assert_eq!(reads(&cat, &room).await, ["secret", "public"]);
        assert_eq!(reads(&left, &room).await, ["secret", "public"]);
        assert_eq!(reads(&late, &room).await, ["-", "public"]);
        let event = late.get(&format!("/v3/rooms/{room}/event/{id}")).await.ok();
        assert_eq!(event["content"], json!({}));
        let context = late.get(&format!("/v3/rooms/{room}/context/{id}")).await.ok();
        assert_eq!(context["event"]["content"], json!({}));
        let sync = late.sync(None).await;
        let events = sync["rooms"]["join"][&room]["timeline"]["events"].to_string();
        assert!(!events.contains("secret") && events.contains("public"), "{events}");
        let name = late.get(&format!("/v3/rooms/{room}/state/m.room.name")).await.ok();
        assert_eq!(name["name"], "Ward 9", "what a room is called is the room's");
    });
}
