use serde_json::{Value, json};

use super::House;

/// A room, and somebody's member event in it.
struct Membership<'a> {
    house: &'a House,
    room: String,
    path: String,
}

impl<'a> Membership<'a> {
    async fn new(house: &'a House, founder: &str, body: Value, user_id: &str) -> Self {
        let room = house.room(founder, body).await;
        let path = format!("/rooms/{room}/state/m.room.member/{user_id}");
        Self { house, room, path }
    }

    async fn put(&self, token: &str, content: Value) -> super::Answer {
        self.house.put(&self.path, token, content).await
    }

    async fn of(&self, token: &str) -> Value {
        self.house.get(&self.path, token).await.done()
    }
}

#[tokio::test]
async fn nobody_comes_in_by_saying_that_somebody_let_them() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let space = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": space }] });
    let body = json!({ "initial_state": [{ "type": "m.room.join_rules", "content": rule }] });
    let bobs = Membership::new(&house, &ann, body, "@bob:localhost").await;
    let wanted = |by: &str| json!({ "membership": "join", "join_authorised_via_users_server": by, "ward": 3 });
    for by in ["@ann:localhost", "@bob:localhost"] {
        bobs.put(&bob, wanted(by)).await.refused(403, "M_FORBIDDEN");
    }
    house.get(&bobs.path, &ann).await.refused(404, "M_NOT_FOUND");
    // Who may come in comes in, by the server's word.
    house.post(&format!("/join/{space}"), &bob, json!({})).await.done();
    bobs.put(&bob, wanted("@bob:localhost")).await.done();
    let member = bobs.of(&bob).await;
    assert_eq!((&member["join_authorised_via_users_server"], &member["ward"]), (&json!("@ann:localhost"), &json!(3)));
    assert_eq!((&member["membership"], &member["displayname"]), (&json!("join"), &json!("bob")));
}

#[tokio::test]
async fn a_member_event_says_what_its_client_says() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let bobs = Membership::new(&house, &ann, json!({ "preset": "public_chat" }), "@bob:localhost").await;
    house.post(&format!("/join/{}", bobs.room), &bob, json!({})).await.done();
    let renamed =
        json!({ "membership": "join", "displayname": "Bob of ward 3", "third_party_invite": {}, "badge": [1] });
    let sent = bobs.put(&bob, renamed.clone()).await.done();
    assert_eq!(bobs.put(&bob, renamed).await.done(), sent, "the same is no news");
    let shown = json!({ "membership": "join", "displayname": "Bob of ward 3", "badge": [1] });
    assert_eq!(bobs.of(&ann).await, shown);
    let event = house.get(&format!("{}?format=event", bobs.path), &ann).await.done();
    assert_eq!(event["event_id"], sent["event_id"]);

    let anns = format!("/rooms/{}/state/m.room.member/@ann:localhost", bobs.room);
    for membership in ["leave", "ban"] {
        house.put(&anns, &bob, json!({ "membership": membership })).await.refused(403, "M_FORBIDDEN");
    }
    // One membership for two moves: who is banned is unbanned, who is there is kicked.
    let reason = json!({ "membership": "leave", "reason": "shift over", "by": "rota" });
    bobs.put(&ann, reason.clone()).await.done();
    assert_eq!(bobs.of(&ann).await, reason);
    bobs.put(&ann, json!({ "membership": "leave" })).await.refused(403, "M_FORBIDDEN");
    bobs.put(&ann, json!({ "membership": "ban", "reason": "noise" })).await.done();
    assert_eq!(bobs.of(&ann).await, json!({ "membership": "ban", "reason": "noise" }));
    bobs.put(&bob, json!({ "membership": "leave" })).await.refused(403, "M_FORBIDDEN");
    bobs.put(&ann, json!({ "membership": "leave" })).await.done();
    bobs.put(&ann, json!({ "membership": "invite", "is_direct": true })).await.done();
    let invited = json!({ "membership": "invite", "displayname": "bob", "is_direct": true });
    assert_eq!(bobs.of(&ann).await, invited);
    bobs.put(&bob, json!({ "membership": "leave" })).await.done();
    assert_eq!(bobs.of(&ann).await["membership"], "leave");
}

#[tokio::test]
async fn what_moves_nobody_is_refused() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let bobs = Membership::new(&house, &ann, json!({ "preset": "public_chat" }), "@bob:localhost").await;
    for membership in ["join", "knock"] {
        bobs.put(&ann, json!({ "membership": membership })).await.refused(403, "M_FORBIDDEN");
    }
    for content in [json!({}), json!({ "membership": 1 }), json!({ "membership": "boss" })] {
        bobs.put(&bob, content).await.refused(400, "M_BAD_JSON");
    }
    let long = json!({ "membership": "join", "reason": "x".repeat(2049) });
    bobs.put(&bob, long).await.refused(400, "M_INVALID_PARAM");
    let nobody = format!("/rooms/{}/state/m.room.member/nobody", bobs.room);
    house.put(&nobody, &ann, json!({ "membership": "ban" })).await.refused(400, "M_INVALID_PARAM");
    house.get(&bobs.path, &ann).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_room_begins_with_whom_its_maker_may_move() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    house.register("bob").await;
    let event = |key: &str, content: Value| json!({ "type": "m.room.member", "state_key": key, "content": content });
    let said =
        json!({ "membership": "join", "displayname": "Ann", "join_authorised_via_users_server": "@bob:localhost" });
    let state = [
        event("@ann:localhost", said),
        event("@bob:localhost", json!({ "membership": "invite", "auto": true, "third_party_invite": {} })),
        event("@cat:elsewhere", json!({ "membership": "ban", "reason": "noise" })),
    ];
    let room = house.room(&ann, json!({ "initial_state": state })).await;
    for (user, content) in [
        ("@ann:localhost", json!({ "membership": "join", "displayname": "Ann" })),
        ("@bob:localhost", json!({ "membership": "invite", "displayname": "bob", "auto": true })),
        ("@cat:elsewhere", json!({ "membership": "ban", "reason": "noise" })),
    ] {
        let path = format!("/rooms/{room}/state/m.room.member/{user}");
        assert_eq!(house.get(&path, &ann).await.done(), content);
    }
}
