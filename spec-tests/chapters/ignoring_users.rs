//! "Ignoring Users": what they say reaches nobody who ignores them, and counts for nothing; what they do to a room does.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

fn bodies(answer: &Value, room: &str) -> Vec<String> {
    let events = answer["rooms"]["join"][room]["timeline"]["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned).collect()
}

async fn ignore(user: &User, ignored: &[&User]) {
    let list: serde_json::Map<_, _> = ignored.iter().map(|user| (user.id.clone(), json!({}))).collect();
    let path = format!("/v3/user/{}/account_data/m.ignored_user_list", user.id);
    let _ = user.put(&path, json!({ "ignored_users": list })).await.ok();
}

#[test]
fn the_ignored_are_neither_heard_nor_counted() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let power = json!({ "users_default": 50 });
        let room = json!({ "preset": "public_chat", "power_level_content_override": power });
        let room = ann.create_room(room).await;
        bob.join(&room).await;
        cat.join(&room).await;
        let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        ignore(&bob, &[&ann]).await;
        let unheard = ann.say(&room, "unheard").await;
        cat.say(&room, "heard").await;
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.topic"), json!({ "topic": "seen" })).await.ok();
        let news = bob.sync(Some(&since)).await;
        assert_eq!(bodies(&news, &room), ["heard"]);
        let joined = &news["rooms"]["join"][&room];
        let events = joined["timeline"]["events"].as_array().unwrap();
        assert!(events.iter().any(|event| event["content"]["topic"] == "seen"), "{joined}");
        assert_eq!(joined["unread_notifications"]["notification_count"], 1);
        let page = bob.get(&format!("/v3/rooms/{room}/messages?dir=b")).await.ok();
        let said = page["chunk"].as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str());
        assert_eq!(said.collect::<Vec<_>>(), ["heard"]);
        bob.get(&format!("/v3/rooms/{room}/event/{unheard}")).await.refused(404, "M_NOT_FOUND");
        assert_eq!(cat.get(&format!("/v3/rooms/{room}/event/{unheard}")).await.status, 200);

        // From now on they are heard again; what was missed comes with a fresh sync, and still counts for nothing.
        let since = news["next_batch"].as_str().unwrap().to_owned();
        ignore(&bob, &[]).await;
        ann.say(&room, "again").await;
        let news = bob.sync(Some(&since)).await;
        assert_eq!(bodies(&news, &room), ["again"]);
        assert_eq!(news["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 2);
        assert_eq!(bodies(&bob.sync(None).await, &room), ["unheard", "heard", "again"]);
    });
}
