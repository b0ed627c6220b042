//! Push: pushers, and what a push gateway is told.

use serde_json::{Value, json};
use spec_tests::{Gateway, Server, User, unique};
use tempfile::TempDir;

use crate::{run, server};

/// Two people in a room of the first's making, the second of whom has a pusher.
struct Scene {
    ann: User,
    bob: User,
    room: String,
    gateway: Gateway,
    /// The pushkeys of the second's phone and tablet: nobody else's, since who sets one takes it from others.
    phone: String,
    tablet: String,
}

impl Scene {
    async fn new(data: Value) -> Self {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = meet(&ann, &bob, json!({ "preset": "private_chat", "name": "Ward 7" })).await;
        let gateway = Gateway::start().await;
        let (phone, tablet) = (unique("phone"), unique("tablet"));
        gateway.tell_of(&bob, &phone, &data).await;
        Self { ann, bob, room, gateway, phone, tablet }
    }

    async fn read(&self, event: &str) {
        let _ = self.bob.post(&format!("/v3/rooms/{}/receipt/m.read/{event}", self.room), json!({})).await.ok();
    }
}

async fn meet(ann: &User, bob: &User, mut room: Value) -> String {
    room["invite"] = json!([bob.id]);
    let room = ann.create_room(room).await;
    bob.join(&room).await;
    room
}

async fn pushkeys(user: &User) -> Vec<String> {
    let pushers = user.get("/v3/pushers").await.ok();
    let keys =
        pushers["pushers"].as_array().unwrap().iter().map(|pusher| pusher["pushkey"].as_str().unwrap().to_owned());
    keys.collect()
}

#[test]
fn a_message_is_told_with_what_a_lock_screen_shows() {
    run(async {
        let scene = Scene::new(json!({ "brand": "matron" })).await;
        let event = scene.ann.say(&scene.room, "bed 4 needs you").await;
        let told = scene.gateway.next().await;
        assert_eq!(told["event_id"], event);
        assert_eq!(told["room_id"], scene.room);
        assert_eq!(told["type"], "m.room.message");
        assert_eq!(told["sender"], scene.ann.id);
        assert_eq!(told["room_name"], "Ward 7");
        assert_eq!(told["content"], json!({ "msgtype": "m.text", "body": "bed 4 needs you" }));
        assert_eq!(told["counts"], json!({ "unread": 1 }));
        assert_eq!(told["prio"], "high", "two in a room: it makes a noise");
        assert!(told["sender_display_name"].as_str().unwrap().starts_with("ann"));
        let device = &told["devices"][0];
        assert_eq!((&device["app_id"], &device["pushkey"]), (&json!("org.example.app"), &json!(scene.phone)));
        assert_eq!(device["data"], json!({ "brand": "matron" }), "all but the address");
        assert_eq!(device["tweaks"], json!({ "sound": "default" }));
        assert!(device["pushkey_ts"].is_u64());
    });
}

#[test]
fn event_id_only_tells_no_more_than_ids() {
    run(async {
        let scene = Scene::new(json!({ "format": "event_id_only" })).await;
        let event = scene.ann.say(&scene.room, "not for the vendor").await;
        let told = scene.gateway.next().await;
        assert_eq!((&told["event_id"], &told["room_id"]), (&json!(event), &json!(scene.room)));
        assert_eq!(told["counts"]["unread"], 1);
        for left_out in ["content", "sender", "sender_display_name", "room_name", "room_alias", "type"] {
            assert!(told.get(left_out).is_none(), "{left_out}: {told}");
        }
    });
}

#[test]
fn what_does_not_notify_is_not_told() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let (ann, bob, room) = (&scene.ann, &scene.bob, &scene.room);
        bob.say(room, "my own").await;
        let notice = json!({ "msgtype": "m.notice", "body": "a program says" });
        let _ = ann.put(&format!("/v3/rooms/{room}/send/m.room.message/{}", unique("t")), notice).await.ok();
        let muted = meet(ann, bob, json!({})).await;
        let invite = scene.gateway.next_event().await;
        assert_eq!(invite["room_id"], muted);
        let _ = bob.put(&format!("/v3/pushrules/global/room/{muted}"), json!({ "actions": [] })).await.ok();
        ann.say(&muted, "nobody is woken").await;
        let eve = server().await.user("eve").await;
        let _ = ann.post(&format!("/v3/rooms/{room}/invite"), json!({ "user_id": eve.id })).await.ok();
        eve.join(room).await;
        let ignored = json!({ "ignored_users": { &*eve.id: {} } });
        let path = format!("/v3/user/{}/account_data/m.ignored_user_list", bob.id);
        let _ = bob.put(&path, ignored).await.ok();
        eve.say(room, "you hear nothing").await;
        let event = ann.say(room, "at last").await;
        assert_eq!(scene.gateway.next_event().await["event_id"], event);
    });
}

#[test]
fn invites_and_mentions_are_told_as_such() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let room = scene.ann.create_room(json!({ "invite": [scene.bob.id], "name": "Theatre 2" })).await;
        let invite = scene.gateway.next().await;
        assert_eq!((&invite["type"], &invite["room_id"]), (&json!("m.room.member"), &json!(room)));
        assert_eq!((&invite["user_is_target"], &invite["content"]["membership"]), (&json!(true), &json!("invite")));
        let eve = server().await.user("eve").await;
        let _ = scene.ann.post(&format!("/v3/rooms/{}/invite", scene.room), json!({ "user_id": eve.id })).await.ok();
        eve.join(&scene.room).await;
        scene.ann.say(&scene.room, "three of us").await;
        let plain = scene.gateway.next_event().await;
        assert_eq!(plain["prio"], "low");
        let content = json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": [scene.bob.id] } });
        let path = format!("/v3/rooms/{}/send/m.room.message/{}", scene.room, unique("t"));
        let _ = scene.ann.put(&path, content).await.ok();
        let told = scene.gateway.next_event().await;
        assert_eq!(told["devices"][0]["tweaks"]["highlight"], true);
        assert_eq!(told["prio"], "high");
    });
}

#[test]
fn invites_that_somebody_has_ignored_wake_nobody() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let (bob, eve) = (&scene.bob, server().await.user("eve").await);
        let path = format!("/v3/user/{}/account_data/org.matrix.msc4155.invite_permission_config", bob.id);
        let _ = bob.put(&path, json!({ "ignored_users": [eve.id] })).await.ok();
        let _ = eve.create_room(json!({ "invite": [bob.id], "name": "nuisance" })).await;
        let room = scene.ann.create_room(json!({ "invite": [bob.id] })).await;
        assert_eq!(scene.gateway.next().await["room_id"], room);
    });
}

#[test]
fn words_that_somebody_chose_are_told() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let (bob, room) = (&scene.bob, &scene.room);
        let quiet = json!({ "enabled": false });
        for rule in [".m.rule.message", ".m.rule.room_one_to_one"] {
            let _ = bob.put(&format!("/v3/pushrules/global/underride/{rule}/enabled"), quiet.clone()).await.ok();
        }
        let word = json!({ "pattern": "cake", "actions": ["notify", { "set_tweak": "sound", "value": "fanfare" }] });
        let _ = bob.put("/v3/pushrules/global/content/cake", word).await.ok();
        scene.ann.say(room, "tea").await;
        let event = scene.ann.say(room, "and Cake!").await;
        let told = scene.gateway.next_event().await;
        assert_eq!(told["event_id"], event);
        assert_eq!(told["devices"][0]["tweaks"], json!({ "sound": "fanfare" }));
    });
}

#[test]
fn rules_about_the_size_of_a_room_and_a_name_in_it_are_asked() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let (ann, bob, room) = (&scene.ann, &scene.bob, &scene.room);
        let smile = json!([
            { "kind": "event_match", "key": "type", "pattern": "m.sticker" },
            { "kind": "room_member_count", "is": "2" },
        ]);
        let rule = json!({ "conditions": smile, "actions": ["notify", { "set_tweak": "sound", "value": "smile" }] });
        let _ = bob.put("/v3/pushrules/global/override/smile", rule).await.ok();
        let rule = json!({ "conditions": [{ "kind": "contains_display_name" }],
            "actions": ["notify", { "set_tweak": "sound", "value": "name" }] });
        let _ = bob.put("/v3/pushrules/global/override/name", rule).await.ok();
        let member = json!({ "membership": "join", "displayname": "Bobby" });
        let _ = bob.put(&format!("/v3/rooms/{room}/state/m.room.member/{}", bob.id), member).await.ok();
        let sticker = json!({ "body": "a smile", "info": {}, "url": "mxc://example.org/smile" });
        let path = format!("/v3/rooms/{room}/send/m.sticker/{}", unique("t"));
        let sticker = ann.put(&path, sticker).await.ok()["event_id"].clone();
        let told = scene.gateway.next_event().await;
        assert_eq!((&told["event_id"], &told["devices"][0]["tweaks"]["sound"]), (&sticker, &json!("smile")));
        ann.say(room, "Bobby?").await;
        assert_eq!(scene.gateway.next_event().await["devices"][0]["tweaks"]["sound"], "name");
    });
}

#[test]
fn numbers_grow_with_messages_and_fall_by_reading() {
    run(async {
        let scene = Scene::new(json!({})).await;
        scene.ann.say(&scene.room, "one").await;
        assert_eq!(scene.gateway.next().await["counts"]["unread"], 1);
        let second = scene.ann.say(&scene.room, "two").await;
        assert_eq!(scene.gateway.next().await["counts"]["unread"], 2);
        scene.read(&second).await;
        let badge = scene.gateway.next().await;
        assert!(badge.get("event_id").is_none() && badge.get("room_id").is_none(), "{badge}");
        assert_eq!(badge["counts"], json!({ "unread": 0 }));
        let third = scene.ann.say(&scene.room, "three").await;
        let told = scene.gateway.next().await;
        assert_eq!((&told["event_id"], &told["counts"]["unread"]), (&json!(third), &json!(1)));
        let _ =
            scene.ann.put(&format!("/v3/rooms/{}/redact/{third}/{}", scene.room, unique("t")), json!({})).await.ok();
        assert_eq!(scene.gateway.next().await["counts"]["unread"], 0);
    });
}

#[test]
fn a_gateway_that_fails_is_called_again_and_delays_nobody_else() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let other = Gateway::start().await;
        other.tell_of(&scene.bob, &scene.tablet, &json!({})).await;
        scene.gateway.fail(true);
        let events = [scene.ann.say(&scene.room, "one").await, scene.ann.say(&scene.room, "two").await];
        for event in &events {
            assert_eq!(other.next().await["event_id"], *event);
        }
        scene.gateway.fail(false);
        for event in &events {
            let told = scene.gateway.next().await;
            assert_eq!((&told["event_id"], &told["counts"]["unread"]), (&json!(event), &json!(2)), "the latest number");
        }
    });
}

#[test]
fn what_was_read_meanwhile_is_told_no_more() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let other = Gateway::start().await;
        other.tell_of(&scene.bob, &scene.tablet, &json!({})).await;
        scene.gateway.fail(true);
        let read = scene.ann.say(&scene.room, "read at the desk").await;
        assert_eq!(other.next().await["event_id"], read);
        scene.read(&read).await;
        assert_eq!(other.next().await["counts"]["unread"], 0);
        scene.gateway.fail(false);
        let new = scene.ann.say(&scene.room, "new").await;
        assert_eq!(scene.gateway.next_event().await["event_id"], new);
    });
}

#[test]
fn pushes_outlive_the_server() {
    run(async {
        let folder = TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = meet(&ann, &bob, json!({})).await;
        let gateway = Gateway::start().await;
        gateway.tell_of(&bob, "bobs-phone", &json!({})).await;
        gateway.fail(true);
        let event = ann.say(&room, "before the fall").await;
        server.restart().await;
        gateway.fail(false);
        assert_eq!(gateway.next_event().await["event_id"], event);
        let event = ann.at(&server.url).say(&room, "after it").await;
        assert_eq!(gateway.next_event().await["event_id"], event);
    });
}

#[test]
fn who_left_a_room_is_told_of_it_no_more() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let other = Gateway::start().await;
        other.tell_of(&scene.bob, &scene.tablet, &json!({})).await;
        scene.gateway.fail(true);
        scene.ann.say(&scene.room, "for those who are here").await;
        assert_eq!(other.next().await["counts"]["unread"], 1);
        let _ = scene.bob.post(&format!("/v3/rooms/{}/leave", scene.room), json!({})).await.ok();
        assert_eq!(other.next().await["counts"], json!({ "unread": 0 }));
        scene.gateway.fail(false);
        let room = scene.ann.create_room(json!({ "invite": [scene.bob.id] })).await;
        assert_eq!(scene.gateway.next_event().await["room_id"], room);
    });
}

#[test]
fn what_is_read_after_a_restart_lowers_the_number() {
    run(async {
        let folder = TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = meet(&ann, &bob, json!({})).await;
        let gateway = Gateway::start().await;
        gateway.tell_of(&bob, "bobs-phone", &json!({})).await;
        let event = ann.say(&room, "read at the desk").await;
        assert_eq!(gateway.next_event().await["counts"]["unread"], 1);
        // One that is killed would tell of the last seconds once more, and so know the number.
        assert!(server.stop().await);
        server.restart().await;
        let _ = bob.at(&server.url).post(&format!("/v3/rooms/{room}/receipt/m.read/{event}"), json!({})).await.ok();
        let mut told = gateway.next().await;
        while told["event_id"] == event {
            // It stopped before it saw the gateway's answer.
            told = gateway.next().await;
        }
        assert_eq!(told["counts"], json!({ "unread": 0 }));
    });
}

#[test]
fn a_rejected_pushkey_is_forgotten() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let other = Gateway::start().await;
        other.tell_of(&scene.bob, &scene.tablet, &json!({})).await;
        scene.gateway.reject(&scene.phone);
        scene.ann.say(&scene.room, "one").await;
        let _ = (scene.gateway.next().await, other.next().await);
        while pushkeys(&scene.bob).await.contains(&scene.phone) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(pushkeys(&scene.bob).await, [scene.tablet.as_str()]);
    });
}

#[test]
fn pushers_come_and_go() {
    run(async {
        let (server, gateway) = (server().await, Gateway::start().await);
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        assert!(pushkeys(&ann).await.is_empty());
        let key = unique("key");
        gateway.tell_of(&ann, &key, &json!({ "format": "event_id_only" })).await;
        let shown = ann.get("/v3/pushers").await.ok()["pushers"][0].clone();
        let mut expected = gateway.pusher(&key, &json!({ "format": "event_id_only" }));
        expected["org.matrix.msc3881.enabled"] = true.into();
        expected["org.matrix.msc3881.device_id"] = ann.device_id.as_str().into();
        assert_eq!(shown, expected);
        let mut again = gateway.pusher(&key, &json!({}));
        again["lang"] = "cy".into();
        let _ = ann.post("/v3/pushers/set", again.clone()).await.ok();
        let shown = ann.get("/v3/pushers").await.ok();
        assert_eq!((shown["pushers"].as_array().unwrap().len(), &shown["pushers"][0]["lang"]), (1, &json!("cy")));

        again["append"] = true.into();
        let _ = bob.post("/v3/pushers/set", again.clone()).await.ok();
        assert_eq!((pushkeys(&ann).await.len(), pushkeys(&bob).await.len()), (1, 1));
        again["append"] = false.into();
        let _ = bob.post("/v3/pushers/set", again).await.ok();
        assert_eq!((pushkeys(&ann).await.len(), pushkeys(&bob).await.len()), (0, 1), "a phone changes hands");
        let delete = json!({ "kind": null, "app_id": "org.example.app", "pushkey": key });
        let _ = ann.post("/v3/pushers/set", delete.clone()).await.ok();
        assert_eq!(pushkeys(&bob).await.len(), 1, "nobody deletes another's");
        let _ = bob.post("/v3/pushers/set", delete).await.ok();
        assert!(pushkeys(&bob).await.is_empty());
    });
}

#[test]
fn pushers_are_what_the_spec_says() {
    run(async {
        let (ann, gateway) = (server().await.user("ann").await, Gateway::start().await);
        let good = gateway.pusher(&ann.id, &json!({}));
        for (field, errcode) in [
            ("kind", "M_MISSING_PARAM"),
            ("app_id", "M_MISSING_PARAM"),
            ("pushkey", "M_MISSING_PARAM"),
            ("app_display_name", "M_MISSING_PARAM"),
            ("device_display_name", "M_MISSING_PARAM"),
            ("lang", "M_MISSING_PARAM"),
            ("data", "M_MISSING_PARAM"),
        ] {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().remove(field);
            ann.post("/v3/pushers/set", bad).await.refused(400, errcode);
        }
        for (field, value) in [
            ("kind", json!("pigeon")),
            ("pushkey", json!("k".repeat(513))),
            ("pushkey", json!("")),
            ("app_id", json!("a".repeat(65))),
            ("lang", json!("l".repeat(2000))),
            ("data", json!({ "url": "ftp://127.0.0.1/_matrix/push/v1/notify" })),
            ("data", json!({ "url": "https://127.0.0.1/elsewhere" })),
            ("data", json!({ "url": gateway.url, "padding": "x".repeat(9000) })),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            ann.post("/v3/pushers/set", bad).await.refused(400, "M_INVALID_PARAM");
        }
        let mut letters = good.clone();
        letters["kind"] = "email".into();
        ann.post("/v3/pushers/set", letters).await.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
        let mut bad = good.clone();
        bad["data"] = json!({});
        ann.post("/v3/pushers/set", bad).await.refused(400, "M_MISSING_PARAM");
        assert!(pushkeys(&ann).await.is_empty());
        for nth in 0..50 {
            gateway.tell_of(&ann, &format!("{}{nth}", ann.id), &json!({})).await;
        }
        ann.post("/v3/pushers/set", good).await.refused(403, "M_FORBIDDEN");
        gateway.tell_of(&ann, &format!("{}7", ann.id), &json!({})).await;
    });
}

#[test]
fn a_pusher_that_is_off_is_silent() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let mut off = scene.gateway.pusher(&scene.phone, &json!({}));
        off["org.matrix.msc3881.enabled"] = false.into();
        let _ = scene.bob.post("/v3/pushers/set", off.clone()).await.ok();
        let other = Gateway::start().await;
        other.tell_of(&scene.bob, &scene.tablet, &json!({})).await;
        scene.ann.say(&scene.room, "hush").await;
        let _ = other.next_event().await;
        off["org.matrix.msc3881.enabled"] = true.into();
        let _ = scene.bob.post("/v3/pushers/set", off).await.ok();
        let event = scene.ann.say(&scene.room, "hey").await;
        assert_eq!(scene.gateway.next_event().await["event_id"], event);
    });
}

#[test]
fn pushers_go_with_their_device() {
    run(async {
        let (ann, gateway) = (server().await.user("ann").await, Gateway::start().await);
        let other = ann.log_in_again().await;
        let (first, second) = (unique("first"), unique("second"));
        gateway.tell_of(&ann, &first, &json!({})).await;
        gateway.tell_of(&other, &second, &json!({})).await;
        let _ = other.post("/v3/logout", json!({})).await.ok();
        assert_eq!(pushkeys(&ann).await, [first.as_str()]);
        let other = ann.log_in_again().await;
        gateway.tell_of(&other, &second, &json!({})).await;
        let wanted = json!({ "new_password": "another horse battery staple", "logout_devices": true });
        let asked = ann.post("/v3/account/password", wanted.clone()).await;
        let mut proven = wanted;
        proven["auth"] = ann.proof(&asked.body["session"]);
        let _ = ann.post("/v3/account/password", proven).await.ok();
        assert_eq!(pushkeys(&ann).await, [first.as_str()], "the device that changes the password keeps its own");
    });
}

#[test]
fn one_silent_gateway_keeps_nobody_waiting() {
    run(async {
        let scene = Scene::new(json!({})).await;
        let silent = Gateway::start().await;
        silent.fall_silent(true);
        for nth in 0..20 {
            silent.tell_of(&scene.bob, &unique(&format!("silent-{nth}")), &json!({})).await;
        }
        for text in ["one", "two", "three"] {
            let event = scene.ann.say(&scene.room, text).await;
            assert_eq!(scene.gateway.next().await["event_id"], event);
        }
    });
}

/// All pages of what somebody was notified of: event ids and whether they were read, newest first.
async fn notified(user: &User, query: &str) -> Vec<(String, bool)> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let page = user.get(&format!("/v3/notifications?{query}{from}")).await.ok();
        for told in page["notifications"].as_array().unwrap() {
            assert!(told["ts"].is_u64() && told["room_id"].is_string() && told["actions"][0] == "notify", "{told}");
            assert!(told["event"].get("room_id").is_none(), "{told}");
            found.push((told["event"]["event_id"].as_str().unwrap().to_owned(), told["read"] == true));
        }
        match page["next_token"].as_str() {
            Some(token) => from = format!("&from={token}"),
            None => return found,
        }
    }
}

#[test]
fn what_somebody_was_notified_of_is_listed() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let (one, two) = (meet(&ann, &bob, json!({})).await, meet(&ann, &bob, json!({})).await);
        let muted = meet(&ann, &bob, json!({})).await;
        let _ = bob.put(&format!("/v3/pushrules/global/room/{muted}"), json!({ "actions": [] })).await.ok();
        assert!(notified(&bob, "").await.is_empty());
        let mut said = Vec::new();
        for nth in 0..3 {
            said.push(ann.say(&one, &format!("one {nth}")).await);
            ann.say(&muted, "hush").await;
            said.push(ann.say(&two, &format!("two {nth}")).await);
        }
        let named = json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": [bob.id] } });
        let path = format!("/v3/rooms/{one}/send/m.room.message/{}", unique("t"));
        let named = ann.put(&path, named).await.ok()["event_id"].as_str().unwrap().to_owned();
        said.push(named.clone());
        let gone = ann.say(&two, "a mistake").await;
        let _ = ann.put(&format!("/v3/rooms/{two}/redact/{gone}/{}", unique("t")), json!({})).await.ok();
        said.reverse();

        let unread: Vec<_> = said.iter().map(|event| (event.clone(), false)).collect();
        assert_eq!(notified(&bob, "").await, unread);
        for limit in [1, 2, 5] {
            assert_eq!(notified(&bob, &format!("limit={limit}")).await, unread, "pages of {limit}");
        }
        assert_eq!(notified(&bob, "only=highlight").await, [(named.clone(), false)]);
        let _ = bob.post(&format!("/v3/rooms/{one}/receipt/m.read/{named}"), json!({})).await.ok();
        let half: Vec<_> = notified(&bob, "").await.into_iter().filter(|(_, read)| *read).collect();
        assert_eq!(half.len(), 4, "those of the room that was read");
        assert!(notified(&ann, "").await.is_empty(), "nobody is notified of what they said");
        bob.get("/v3/notifications?from=nonsense").await.refused(400, "M_INVALID_PARAM");
        bob.get("/v3/notifications?limit=x").await.refused(400, "M_INVALID_PARAM");
        let _ = bob.post(&format!("/v3/rooms/{one}/leave"), json!({})).await.ok();
        assert_eq!(notified(&bob, "").await.len(), 3, "who left a room is notified of it no more");
    });
}

#[test]
fn invites_that_wait_for_an_answer_are_listed() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let room = meet(&ann, &bob, json!({})).await;
        let first = ann.say(&room, "one").await;
        let invited = ann.create_room(json!({ "invite": [bob.id] })).await;
        let second = ann.say(&room, "two").await;
        ann.say(&invited, "not for those outside").await;
        let path = format!("/v3/user/{}/account_data/org.matrix.msc4155.invite_permission_config", bob.id);
        let _ = bob.put(&path, json!({ "ignored_users": [eve.id] })).await.ok();
        let _ = eve.create_room(json!({ "invite": [bob.id], "name": "nuisance" })).await;

        let all = bob.get("/v3/notifications").await.ok();
        let invite = &all["notifications"][1];
        assert_eq!((&invite["room_id"], &invite["event"]["type"]), (&json!(invited), &json!("m.room.member")));
        assert_eq!((&invite["event"]["state_key"], &invite["read"]), (&json!(bob.id), &json!(false)));
        let invite = invite["event"]["event_id"].as_str().unwrap().to_owned();
        let wanted: Vec<_> = [second, invite, first].map(|event| (event, false)).into();
        for limit in [1, 2, 20] {
            assert_eq!(notified(&bob, &format!("limit={limit}")).await, wanted, "pages of {limit}");
        }
        assert!(notified(&bob, "only=highlight").await.is_empty());
        bob.join(&invited).await;
        assert_eq!(notified(&bob, "").await.len(), 2, "it was answered");
    });
}
