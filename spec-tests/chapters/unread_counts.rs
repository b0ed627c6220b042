//! "Receiving notifications": unread counts by the rules that a user set up.

use reqwest::Method;
use serde_json::{Value, json};
use spec_tests::{User, unique};

use crate::{run, server};

async fn counts(user: &User, room: &str) -> (Value, Value) {
    let answer = user.sync(None).await;
    let unread = &answer["rooms"]["join"][room]["unread_notifications"];
    (unread["notification_count"].clone(), unread["highlight_count"].clone())
}

#[test]
fn keywords_and_senders_single_events_out() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        server.user("cat").await.join(&room).await;
        let highlight = json!(["notify", { "set_tweak": "highlight" }]);
        let rules = "/v3/pushrules/global";
        ann.say(&room, "too early for CAKE").await;
        let cake = json!({ "pattern": "cake", "actions": highlight });
        let _ = bob.put(&format!("{rules}/content/cake"), cake).await.ok();
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(0)), "keywords work from then on");
        let last = ann.say(&room, "there is Cake, and cheesecake").await;
        ann.say(&room, "cheesecake").await;
        assert_eq!(counts(&bob, &room).await, (json!(3), json!(1)));
        let _ = bob.post(&format!("/v3/rooms/{room}/receipt/m.read/{last}"), json!({})).await.ok();
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(0)));
        let _ = bob.put(&format!("{rules}/sender/{}", ann.id), json!({ "actions": [] })).await.ok();
        ann.say(&room, "nobody listens").await;
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(0)));
        ann.say(&room, "cake!").await;
        assert_eq!(counts(&bob, &room).await, (json!(2), json!(1)), "keywords come before senders");
        let _ = bob.call(Method::DELETE, &format!("{rules}/sender/{}", ann.id), None).await.ok();
        ann.say(&room, "somebody listens").await;
        assert_eq!(counts(&bob, &room).await.1, json!(1));
        let custom = json!([{ "kind": "event_match", "key": "content.msgtype", "pattern": "m.emote" }]);
        let custom = json!({ "conditions": custom, "actions": highlight });
        let _ = bob.put(&format!("{rules}/override/emotes"), custom).await.ok();
        let path = format!("/v3/rooms/{room}/send/m.room.message/emote");
        let _ = ann.put(&path, json!({ "msgtype": "m.emote", "body": "waves" })).await.ok();
        assert_eq!(counts(&bob, &room).await.1, json!(2));
    });
}

#[test]
fn who_wants_to_hear_of_everything_hears_of_reactions_from_then_on() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        let event = ann.say(&room, "hello").await;
        let react = async |key: &str| {
            let path = format!("/v3/rooms/{room}/send/m.reaction/{}", unique("t"));
            let relation = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
            let _ = ann.put(&path, json!({ "m.relates_to": relation })).await.ok();
        };
        react("early").await;
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(0)));
        let here = json!([{ "kind": "event_match", "key": "room_id", "pattern": room }]);
        let all = json!({ "conditions": here, "actions": ["notify"] });
        let _ = bob.put("/v3/pushrules/global/override/all", all).await.ok();
        react("late").await;
        assert_eq!(counts(&bob, &room).await, (json!(2), json!(0)));
    });
}

#[test]
fn what_one_does_to_a_room_is_not_news_to_oneself() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let _ = ann.put(&format!("/v3/pushrules/global/room/{room}"), json!({ "actions": ["notify"] })).await.ok();
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.topic"), json!({ "topic": "mine" })).await.ok();
        assert_eq!(counts(&ann, &room).await, (json!(0), json!(0)));
    });
}

#[test]
fn rules_about_the_size_of_a_room_see_its_size() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        for (name, kind) in [("stickers", "m.sticker"), ("messages", "m.room.message")] {
            let conditions = json!([
                { "kind": "event_match", "key": "type", "pattern": kind },
                { "kind": "room_member_count", "is": "2" },
            ]);
            let rule = json!({ "conditions": conditions, "actions": ["notify", { "set_tweak": "highlight" }] });
            let _ = bob.put(&format!("/v3/pushrules/global/override/{name}"), rule).await.ok();
        }
        let sticker = json!({ "body": "a smile", "info": {}, "url": "mxc://example.org/smile" });
        let path = format!("/v3/rooms/{room}/send/m.sticker/{}", unique("t"));
        let _ = ann.put(&path, sticker).await.ok();
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(1)));
        ann.say(&room, "the two of us").await;
        assert_eq!(counts(&bob, &room).await, (json!(2), json!(2)));
        // A message is what it was when it came; all else is judged by the room as it is.
        cat.join(&room).await;
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(1)));
        ann.say(&room, "the three of us").await;
        assert_eq!(counts(&bob, &room).await, (json!(2), json!(1)));
        let _ = cat.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        assert_eq!(counts(&bob, &room).await, (json!(3), json!(2)));
    });
}

#[test]
fn a_name_is_looked_for_as_it_is_in_the_room() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let profile = format!("/v3/profile/{}/displayname", bob.id);
        let _ = bob.put(&profile, json!({ "displayname": "Robert" })).await.ok();
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        let named = json!([{ "kind": "contains_display_name" }]);
        let rule = json!({ "conditions": named, "actions": ["notify", { "set_tweak": "highlight" }] });
        let _ = bob.put("/v3/pushrules/global/override/named", rule).await.ok();
        ann.say(&room, "where is Robert?").await;
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(1)));
        let member = json!({ "membership": "join", "displayname": "Bobby" });
        let _ = bob.put(&format!("/v3/rooms/{room}/state/m.room.member/{}", bob.id), member).await.ok();
        assert_eq!(counts(&bob, &room).await, (json!(1), json!(0)));
        ann.say(&room, "where is Bobby?").await;
        assert_eq!(counts(&bob, &room).await, (json!(2), json!(1)));
    });
}
