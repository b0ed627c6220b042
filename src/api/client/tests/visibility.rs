use serde_json::json;

use super::House;

/// What a stranger, one who was invited and joined, and one who left again read of what was said before, between and
/// after.
async fn read_by(visibility: &str) -> (Vec<String>, Vec<String>, u16) {
    let house = House::with(|_| {}).await;
    let (ann, bob, cat) = (house.register("ann").await, house.register("bob").await, house.register("cat").await);
    let state = json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": visibility } }]);
    let room = house.room(&ann, json!({ "preset": "private_chat", "initial_state": state })).await;
    house.say(&ann, &room, "before").await;
    house.post(&format!("/rooms/{room}/invite"), &ann, json!({ "user_id": "@bob:localhost" })).await.done();
    house.say(&ann, &room, "invited").await;
    house.post(&format!("/rooms/{room}/join"), &bob, json!({})).await.done();
    house.say(&ann, &room, "joined").await;
    let joined = house.heard(&bob, &room).await;
    house.post(&format!("/rooms/{room}/leave"), &bob, json!({})).await.done();
    house.say(&ann, &room, "after").await;
    let left = house.heard(&bob, &room).await;
    let stranger = house.get(&format!("/rooms/{room}/messages?dir=b"), &cat).await.status.as_u16();
    let state = house.get(&format!("/rooms/{room}/state"), &cat).await.status.as_u16();
    assert_eq!(stranger, state);
    (joined, left, stranger)
}

#[tokio::test]
async fn history_goes_by_visibility() {
    for (visibility, joined, left, stranger) in [
        ("joined", vec!["joined"], vec!["joined"], 403),
        ("invited", vec!["joined", "invited"], vec!["joined", "invited"], 403),
        ("shared", vec!["joined", "invited", "before"], vec!["joined", "invited", "before"], 403),
        ("world_readable", vec!["joined", "invited", "before"], vec!["after", "joined", "invited", "before"], 200),
    ] {
        let read = read_by(visibility).await;
        assert_eq!(
            (read.0, read.1, read.2),
            (
                joined.into_iter().map(ToOwned::to_owned).collect(),
                left.into_iter().map(ToOwned::to_owned).collect(),
                stranger,
            ),
            "{visibility}"
        );
    }
}
