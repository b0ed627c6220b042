use serde_json::{Value, json};

use super::House;

/// All pages in one direction, each with its events.
async fn pages(house: &House, token: &str, room: &str, direction: &str, limit: usize) -> Vec<Vec<Value>> {
    let (mut pages, mut from) = (Vec::new(), String::new());
    loop {
        let path = format!("/rooms/{room}/messages?dir={direction}&limit={limit}{from}");
        let page = house.get(&path, token).await.done();
        let chunk = page["chunk"].as_array().unwrap();
        if chunk.is_empty() {
            return pages;
        }
        pages.push(chunk.clone());
        let Some(end) = page["end"].as_str() else { return pages };
        from = format!("&from={end}");
    }
}

#[tokio::test]
async fn a_page_of_large_events_ends_early_and_the_next_one_goes_on() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    for n in 0..200 {
        let body = json!({ "msgtype": "m.text", "body": "x".repeat(60_000), "n": n });
        house.put(&format!("/rooms/{room}/send/m.room.message/{n}"), &ann, body).await.done();
    }
    for direction in ["b", "f"] {
        let pages = pages(&house, &ann, &room, direction, 1000).await;
        let numbers = |page: &Vec<Value>| page.iter().filter_map(|event| event["content"]["n"].as_u64()).count();
        let told: Vec<_> = pages.iter().map(numbers).collect();
        assert!(told.len() > 1 && told.iter().all(|told| *told < 200), "{told:?}");
        let mut numbers: Vec<_> = pages.concat().iter().filter_map(|event| event["content"]["n"].as_u64()).collect();
        if direction == "b" {
            numbers.reverse();
        }
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn who_left_pages_through_what_they_saw_both_ways() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    for n in 0..5 {
        house.say(&ann, &room, &format!("seen-{n}")).await;
    }
    house.post(&format!("/rooms/{room}/leave"), &bob, json!({})).await.done();
    let since = house.get("/sync", &bob).await.done()["next_batch"].as_str().unwrap().to_owned();
    for n in 0..9 {
        house.say(&ann, &room, &format!("later-{n}")).await;
    }
    let said = |pages: Vec<Vec<Value>>| -> Vec<String> {
        let texts = pages.concat();
        texts.iter().filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned).collect()
    };
    let mut seen: Vec<_> = (0..5).map(|n| format!("seen-{n}")).collect();
    assert_eq!(said(pages(&house, &bob, &room, "f", 3).await), seen);
    let after = house.get(&format!("/rooms/{room}/messages?dir=f&from={since}"), &bob).await.done();
    assert_eq!(after["chunk"], json!([]));
    seen.reverse();
    assert_eq!(said(pages(&house, &bob, &room, "b", 3).await), seen);
    let page = house.get(&format!("/rooms/{room}/messages?dir=b&limit=3&from={since}"), &bob).await.done();
    assert_eq!(said(vec![page["chunk"].as_array().unwrap().clone()]), seen[..2], "{page}");
}

#[tokio::test]
async fn a_timeline_of_large_events_is_cut_short() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    for n in 0..30 {
        let body = json!({ "msgtype": "m.text", "body": "x".repeat(60_000), "n": n });
        house.put(&format!("/rooms/{room}/send/m.room.message/{n}"), &ann, body).await.done();
    }
    let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:100%7D%7D%7D";
    let answer = house.get(&format!("/sync?filter={filter}"), &ann).await.done();
    let timeline = &answer["rooms"]["join"][&room]["timeline"];
    let numbers = |events: &Value| -> Vec<u64> {
        events.as_array().unwrap().iter().filter_map(|event| event["content"]["n"].as_u64()).collect()
    };
    let told = numbers(&timeline["events"]);
    assert!((10..25).contains(&told.len()) && timeline["limited"] == true, "{told:?}");
    let from = timeline["prev_batch"].as_str().unwrap();
    let page = house.get(&format!("/rooms/{room}/messages?dir=b&limit=100&from={from}"), &ann).await.done();
    let mut all = numbers(&page["chunk"]);
    all.reverse();
    all.extend(told);
    assert_eq!(all, (0..30).collect::<Vec<_>>());
}
