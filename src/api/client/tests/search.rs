use serde_json::{Value, json};

use super::House;

#[tokio::test]
async fn what_stands_around_all_results_together_is_bounded() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    for n in 0..120 {
        house.say(&ann, &room, &format!("needle-{n}")).await;
    }
    let criteria = json!({ "search_term": "needle", "order_by": "recent", "filter": { "limit": 100 },
        "event_context": { "before_limit": 20, "after_limit": 20 }, "include_state": true });
    let answer = house.post("/search", &ann, json!({ "search_categories": { "room_events": criteria } })).await.done();
    let answer = &answer["search_categories"]["room_events"];
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &answer["count"]), (100, &json!(120)));
    assert_eq!(results[0]["result"]["content"]["body"], "needle-119");
    assert!(!answer["state"].as_object().unwrap().is_empty());
    let side = |hit: &Value, side: &str| hit["context"][side].as_array().unwrap().len();
    let around: Vec<_> = results.iter().map(|hit| side(hit, "events_before") + side(hit, "events_after")).collect();
    assert_eq!((around[0], around[99], around.iter().sum::<usize>()), (20, 0, 500));
    assert!(results[99]["context"]["start"].is_string() && results[99]["context"]["end"].is_string());
}
