use http::Method;
use serde_json::json;

use super::{CLIENT, House};

#[tokio::test]
async fn the_suspended_read_and_leave_but_do_not_act() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let open = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let power = json!({ "users": { "@bob:localhost": 100 } });
    let invited =
        json!({ "preset": "public_chat", "invite": ["@bob:localhost"], "power_level_content_override": power });
    let invited = house.room(&ann, invited).await;
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    let (own, others) = (house.say(&bob, &room, "mine").await, house.say(&ann, &room, "theirs").await);
    let given = house.call_raw(Method::POST, "/_matrix/media/v1/create", &bob, "").await.done();
    let given = given["content_uri"].as_str().unwrap().replace("mxc://", "/_matrix/media/v3/upload/");
    let user = house.server.accounts.authenticate(&bob).await.unwrap().user;
    house.server.accounts.set_suspended(user, true).await.unwrap();

    let at = |rest: &str| format!("/rooms/{room}/{rest}");
    let them = json!({ "user_id": "@ann:localhost" });
    for (path, body) in [
        (format!("/join/{open}"), json!({})),
        (format!("/rooms/{invited}/join"), json!({})),
        (format!("/knock/{open}"), json!({})),
        ("/createRoom".to_owned(), json!({})),
        (at("invite"), json!({ "user_id": "@cat:localhost" })),
        (at("kick"), them.clone()),
        (at("ban"), them.clone()),
        (at("unban"), them),
        ("/account/3pid/delete".to_owned(), json!({ "medium": "email", "address": "bob@example.org" })),
    ] {
        house.post(&path, &bob, body).await.refused(403, "M_USER_SUSPENDED");
    }
    for (path, body) in [
        (at("send/m.room.message/1"), json!({ "msgtype": "m.text", "body": "still here" })),
        (at("state/m.room.topic"), json!({ "topic": "still here" })),
        (at(&format!("redact/{others}/1")), json!({})),
        (at("send/m.room.redaction/2"), json!({ "redacts": others })),
        ("/profile/@bob:localhost/displayname".to_owned(), json!({ "displayname": "Bob" })),
        ("/directory/room/%23bob:localhost".to_owned(), json!({ "room_id": room })),
        (at("typing/@bob:localhost"), json!({ "typing": true, "timeout": 1000 })),
    ] {
        house.put(&path, &bob, body).await.refused(403, "M_USER_SUSPENDED");
    }
    let gone = format!("{CLIENT}/profile/@bob:localhost/displayname");
    house.call(Method::DELETE, &gone, &bob, &json!({})).await.refused(403, "M_USER_SUSPENDED");

    for (method, path) in
        [(Method::POST, "/_matrix/media/v3/upload"), (Method::POST, "/_matrix/media/v1/create"), (Method::PUT, &*given)]
    {
        house.call_raw(method, path, &bob, "bytes").await.refused(403, "M_USER_SUSPENDED");
    }

    assert_eq!(house.heard(&bob, &room).await, ["theirs", "mine"]);
    house.get("/sync?timeout=0", &bob).await.done();
    house.put(&at(&format!("redact/{own}/3")), &bob, json!({})).await.done();
    house.put("/user/@bob:localhost/account_data/m.test", &bob, json!({})).await.done();
    house.post(&format!("/rooms/{invited}/leave"), &bob, json!({})).await.done();
    house.post(&at("leave"), &bob, json!({})).await.done();
    house.server.accounts.set_suspended(user, false).await.unwrap();
    house.post(&format!("/join/{open}"), &bob, json!({})).await.done();
    house.call_raw(Method::PUT, &given, &bob, "bytes").await.done();
    house.post("/logout", &bob, json!({})).await.done();
}
