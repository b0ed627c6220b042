//! Room order and gaps against a naive model: whatever comes in whatever way, pages hold every event once, in order, and
//! end at gaps.

use std::collections::HashSet;
use std::sync::Arc;

use matron_matrix::event::Pdu;
use matron_matrix::filter::Compiled;
use matron_storage::Position;
use proptest::prelude::*;
use ruma::RoomVersionId;
use serde_json::Value;

use super::scene::{FAR, Scene, Sent};
use crate::rooms::history::Page;
use crate::streams::Token;

/// What happens to the room.
#[derive(Debug, Clone)]
enum Act {
    /// A message comes that goes on from others, so many steps back among those that have a place.
    Say(Vec<usize>),
    /// Some messages are made elsewhere, one after another; only the last one comes, and leaves a gap.
    Skip(usize, usize),
    /// Messages that are missing are fetched from the past, the newest first.
    Fetch(usize),
    /// One that is missing comes after all.
    Late(usize),
    /// One that is missing is fetched without a place.
    Aside(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..5, 1..3).prop_map(Act::Say),
        3 => (0_usize..5, 1_usize..4).prop_map(|(back, skipped)| Act::Skip(back, skipped)),
        3 => (1_usize..4).prop_map(Act::Fetch),
        1 => (0_usize..4).prop_map(Act::Late),
        1 => (0_usize..4).prop_map(Act::Aside),
    ]
}

/// An event with a place: what the model knows of it.
#[derive(Debug, Clone)]
struct Placed {
    pdu: Arc<Pdu>,
    /// The how manieth live one it is, or minus the how manieth backfilled one.
    arrival: i64,
}

impl Placed {
    fn key(&self) -> (u64, i64) {
        (self.pdu.depth, self.arrival)
    }
}

/// All that has a place, as a list; and what has none yet.
struct Model {
    placed: Vec<Placed>,
    missing: Vec<Sent>,
    live: i64,
    backfilled: i64,
    /// Tokens of /sync, with how many live events there were and the greatest depth when the last of them came.
    tokens: Vec<(Position, i64, u64)>,
}

impl Model {
    fn place(&mut self, pdu: Arc<Pdu>, live: bool) {
        let arrival = if live {
            self.live += 1;
            self.live
        } else {
            self.backfilled -= 1;
            self.backfilled
        };
        self.placed.push(Placed { pdu, arrival });
    }

    fn back(&self, steps: usize) -> Arc<Pdu> {
        let at = self.placed.len() - 1 - steps.min(self.placed.len() - 1);
        Arc::clone(&self.placed[at].pdu)
    }

    fn in_order(&self) -> Vec<Placed> {
        let mut all = self.placed.clone();
        all.sort_by_key(Placed::key);
        all
    }

    /// The events before which some are missing.
    fn gaps(&self) -> HashSet<String> {
        let known: HashSet<_> = self.placed.iter().map(|placed| &placed.pdu.event_id).collect();
        let has_gap = |placed: &&Placed| placed.pdu.prev_events.iter().any(|prev| !known.contains(prev));
        self.placed.iter().filter(has_gap).map(|placed| placed.pdu.event_id.to_string()).collect()
    }
}

async fn play(scene: &mut Scene, model: &mut Model, act: Act) {
    match act {
        Act::Say(back) => {
            let mut prev: Vec<_> = back.into_iter().map(|steps| model.back(steps)).collect();
            prev.dedup_by_key(|event| event.event_id.clone());
            let sent = scene.message(FAR, "said", &prev).await;
            scene.live(&sent).await;
            model.place(sent.0, true);
        }
        Act::Skip(back, skipped) => {
            let mut prev = model.back(back);
            for _ in 0..skipped {
                let sent = scene.message(FAR, "skipped", &[prev]).await;
                prev = Arc::clone(&sent.0);
                model.missing.push(sent);
            }
            let sent = scene.message(FAR, "after a gap", &[prev]).await;
            scene.live(&sent).await;
            model.place(sent.0, true);
        }
        Act::Fetch(count) => {
            for _ in 0..count {
                let Some(sent) = model.missing.pop() else { break };
                scene.backfilled(&sent).await;
                model.place(sent.0, false);
            }
        }
        Act::Late(nth) => {
            if nth < model.missing.len() {
                let sent = model.missing.remove(nth);
                scene.live(&sent).await;
                model.place(sent.0, true);
            }
        }
        Act::Aside(nth) => {
            if let Some(sent) = model.missing.get(nth)
                && scene.stored(&sent.0).await.is_none()
            {
                scene.outlier(sent).await;
            }
        }
    }
    let depth = model.placed.iter().map(|placed| placed.pdu.depth).max().unwrap();
    let depth = match model.tokens.last() {
        Some((_, live, depth)) if *live == model.live => *depth,
        _ => depth,
    };
    model.tokens.push((scene.server.store.snapshot().position(), model.live, depth));
}

/// One page, and where the next one begins.
async fn page(
    scene: &Scene,
    from: Option<Token>,
    to: Option<Token>,
    forward: bool,
    limit: usize,
) -> (Vec<String>, Option<Token>) {
    let filter = Compiled::default();
    let page = Page { from, to, forward, limit, filter: &filter };
    let (history, _) = scene.server.rooms.messages(&scene.me, &scene.room_id, &page, false).await.unwrap();
    let events = serde_json::to_value(history.events.to_raw().unwrap()).unwrap();
    let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
    let end = history.end.map(|end| Token::parse(&end.render(7), 7).unwrap());
    (events.as_array().unwrap().iter().map(id).collect(), end)
}

async fn pages(
    scene: &Scene,
    mut from: Option<Token>,
    to: Option<Token>,
    forward: bool,
    limits: &[usize],
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    for limit in limits.iter().cycle().take(500) {
        let (events, end) = page(scene, from, to, forward, *limit).await;
        assert!(events.len() <= *limit);
        if !events.is_empty() {
            pages.push(events);
        }
        let Some(end) = end else { return pages };
        if forward && pages.len() > 1 && end == from.unwrap() {
            return pages;
        }
        from = Some(end);
    }
    panic!("the pages do not end");
}

/// How a list falls into pages: full, or ended by a gap, which lies before an event.
fn cut(events: &[Placed], gaps: &HashSet<String>, forward: bool, limits: &[usize]) -> Vec<Vec<String>> {
    let mut limits = limits.iter().cycle();
    let mut pages = Vec::new();
    let mut page = Vec::new();
    let mut limit = *limits.next().unwrap();
    for event in events {
        let id = event.pdu.event_id.to_string();
        let has_gap = gaps.contains(&id);
        if forward && has_gap && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            limit = *limits.next().unwrap();
        }
        page.push(id);
        if page.len() == limit || (has_gap && !forward) {
            pages.push(std::mem::take(&mut page));
            limit = *limits.next().unwrap();
        }
    }
    if !page.is_empty() {
        pages.push(page);
    }
    pages
}

async fn check(acts: Vec<Act>, limits: Vec<usize>, choice: usize) {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let mut model = Model { placed: Vec::new(), missing: Vec::new(), live: 0, backfilled: 0, tokens: Vec::new() };
    for pdu in scene.founding.clone() {
        model.place(pdu, true);
    }
    for act in acts {
        play(&mut scene, &mut model, act).await;
    }
    let forwards = model.in_order();
    let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
    let gaps = model.gaps();
    assert_eq!(pages(&scene, None, None, false, &limits).await, cut(&backwards, &gaps, false, &limits));
    assert_eq!(pages(&scene, None, None, true, &limits).await, cut(&forwards, &gaps, true, &limits));

    // A token of /sync: what had come by then, from the greatest depth of then.
    let (position, live, depth) = model.tokens[choice % model.tokens.len()];
    let since = Token::Stream { position, to_device: position, boot: 0, typing: 0, presence: 0 };
    let had_come: Vec<_> =
        backwards.iter().filter(|placed| placed.arrival <= live && placed.pdu.depth <= depth).cloned().collect();
    let then = pages(&scene, Some(since), None, false, &limits).await;
    assert_eq!(then, cut(&had_come, &gaps, false, &limits));
    let later: Vec<_> = forwards.iter().filter(|placed| placed.key() > (depth, live)).cloned().collect();
    let now = pages(&scene, Some(since), None, true, &limits).await;
    assert_eq!(now, cut(&later, &gaps, true, &limits));

    // From the end of one page to the end of another, both ways.
    let (head, from) = page(&scene, None, None, false, 1 + choice % 3).await;
    if let Some(from) = from {
        let (middle, to) = page(&scene, Some(from), None, false, 2).await;
        if let Some(to) = to {
            let again = pages(&scene, Some(from), Some(to), false, &[100]).await;
            assert_eq!(again.concat(), middle);
            let mut reversed = pages(&scene, Some(to), Some(from), true, &[100]).await.concat();
            reversed.reverse();
            assert_eq!(reversed, middle);
        }
        // What comes while somebody pages does not shift their pages.
        play(&mut scene, &mut model, Act::Say(vec![choice % 4])).await;
        let rest = pages(&scene, Some(from), None, false, &limits).await;
        assert_eq!(
            rest.concat(),
            backwards[head.len()..].iter().map(|p| p.pdu.event_id.to_string()).collect::<Vec<_>>()
        );
    }
    scene.server.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn pages_hold_every_event_once_in_order_and_end_at_gaps(
        acts in prop::collection::vec(act(), 1..25),
        limits in prop::collection::vec(1_usize..6, 1..4),
        choice in 0_usize..1000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(acts, limits, choice));
    }
}
