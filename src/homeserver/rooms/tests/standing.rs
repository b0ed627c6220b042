//! How events stand, and how that changes: each of `append`'s verbs, with what it must leave in the store.

use std::sync::Arc;

use matron_matrix::event::Pdu;
use matron_matrix::filter::Compiled;
use matron_storage::Keyspace;
use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::scene::{FAR, MODERATOR, NEIGHBOUR, Scene, Sent};
use crate::rooms::history::Page;
use crate::rooms::intent::TransactionKey;
use crate::rooms::roots::root_at;
use crate::rooms::tree::{EMPTY, NodeNum};
use crate::schema::rooms::{
    Arrival, EARLY_REDACTIONS, EDGES, GAPS, HEADS, MEMBERS, MISSING, Membership, OUTLIERS, Standing, VOIDED,
};

impl Scene {
    /// The messages that I can read, oldest first.
    async fn read(&self) -> Vec<String> {
        let filter = Compiled::default();
        let mut from = None;
        let mut bodies = Vec::new();
        loop {
            let page = Page { from, to: None, forward: true, limit: 100, filter: &filter };
            let (history, _) = self.server.rooms.messages(&self.me, &self.room_id, &page, false).await.unwrap();
            let events = serde_json::to_value(history.events.to_raw().unwrap()).unwrap();
            let events = events.as_array().unwrap().clone();
            if events.is_empty() {
                return bodies;
            }
            bodies.extend(events.iter().filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned));
            from = history.end;
        }
    }

    /// The ends of the room's graph, as they are stored.
    async fn ends(&self) -> Vec<String> {
        let head = self.server.store.snapshot().get(&HEADS, &self.working.num).await.unwrap().unwrap();
        assert_eq!(head, self.working.head, "the working copy is true");
        head.extremities.into_iter().map(|end| end.id).collect()
    }

    async fn is_in_state(&self, root: NodeNum, pdu: &Pdu) -> bool {
        let key = pdu.state_key.clone().unwrap();
        let kind = pdu.kind.to_string().into();
        let found = self.working.state_event_at(&self.server.rooms, root, &kind, &key).await.unwrap();
        found.is_some_and(|(_, found)| found.event_id == pdu.event_id)
    }

    async fn count<K: matron_storage::Key, V: matron_storage::Value>(&self, space: &Keyspace<K, V>) -> usize {
        self.server.store.snapshot().scan(space, space.all()).collect().await.unwrap().len()
    }

    async fn topic(&mut self, topic: &str, prev: &[Arc<Pdu>], root: NodeNum) -> Sent {
        self.make(FAR, "m.room.topic", Some(""), json!({ "topic": topic }), prev, root, None).await
    }
}

fn id(pdu: &Pdu) -> String {
    pdu.event_id.to_string()
}

#[tokio::test]
async fn an_outlier_goes_live_under_its_number() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let sent = scene.message(FAR, "late", &[scene.last()]).await;
    scene.outlier(&sent).await;
    let before = scene.stored(&sent.0).await.unwrap();
    let header = &before.event.header;
    assert_eq!((header.standing, header.partial, before.place.arrival), (Standing::Outlier, true, None));
    assert_eq!(scene.read().await, [""; 0]);
    assert_eq!(scene.ends().await, [id(&scene.last())], "an outlier is no end");

    // The same again changes nothing.
    let again = scene.built(&sent, EMPTY).await;
    scene.commit(async |append| append.outlier(again, Standing::Rejected).await.unwrap()).await;
    assert_eq!(scene.stored(&sent.0).await.unwrap().event, before.event);

    scene.live(&sent).await;
    let after = scene.stored(&sent.0).await.unwrap();
    assert_eq!(after.event.header.num, before.event.header.num);
    assert_eq!(after.event.header.standing, Standing::Live);
    assert!(matches!(after.place.arrival, Some(Arrival::Live(_))));
    assert!(!after.event.header.partial);
    assert_eq!(scene.count(&OUTLIERS).await, 0);
    assert_eq!(scene.read().await, ["late"]);
    assert_eq!(scene.ends().await, [id(&sent.0)]);
    let known = crate::rooms::receive::received(&scene.server.rooms, &scene.working, sent.0, sent.1, EMPTY).await;
    assert!(known.unwrap().is_none(), "it has its place");
}

#[tokio::test]
async fn what_comes_after_its_successor_is_no_end() {
    for is_known in [true, false] {
        let mut scene = Scene::new(RoomVersionId::V10).await;
        let early = scene.message(FAR, "early", &[scene.last()]).await;
        let later = scene.message(FAR, "later", &[Arc::clone(&early.0)]).await;
        if is_known {
            scene.outlier(&early).await;
        }
        scene.live(&later).await;
        assert_eq!(scene.count(&GAPS).await, 1, "an outlier has no place: history misses it");
        assert_eq!(scene.ends().await, [id(&scene.last()), id(&later.0)]);
        scene.live(&early).await;
        assert_eq!(scene.ends().await, [id(&later.0)], "its successor is there");
        assert_eq!((scene.count(&GAPS).await, scene.count(&MISSING).await), (0, 0));
        assert_eq!(scene.read().await, ["early", "later"], "by depth, not by arrival");
        let (early, later) = (scene.stored(&early.0).await.unwrap(), scene.stored(&later.0).await.unwrap());
        assert_eq!(later.event.header.prev, [early.event.header.num]);
        let edge = (early.event.header.num, later.event.header.num);
        assert!(scene.server.store.snapshot().get(&EDGES, &edge).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_set_aside_is_no_end_and_is_passed() {
    for standing in [Standing::Rejected, Standing::SoftFailed] {
        let mut scene = Scene::new(RoomVersionId::V10).await;
        let root = scene.working.head.state;
        let first = scene.topic("aside", &[scene.last()], root).await;
        let second = scene.message(FAR, "aside too", &[Arc::clone(&first.0)]).await;
        let built = scene.built(&first, root).await;
        scene.commit(async |append| append.outlier(built, standing).await.unwrap()).await;
        let header = scene.stored(&first.0).await.unwrap().event.header;
        assert_eq!((header.standing, header.state_before, header.partial), (standing, root, false));
        assert_eq!(header.state_after == root, standing == Standing::Rejected, "a rejected event changes no state");
        assert_eq!((header.prev.len(), header.auth.len()), (1, first.0.auth_events.len()));
        assert_eq!(scene.working.head.state, root);
        let after = header.state_after;
        let built = scene.built(&second, after).await;
        scene.commit(async |append| append.outlier(built, standing).await.unwrap()).await;
        let edges = scene.server.store.snapshot().scan(&EDGES, EDGES.under(&(header.num,))).collect().await.unwrap();
        assert_eq!(edges.len(), 1);
        assert_eq!(scene.ends().await, [id(&scene.last())]);

        let after_all = scene.message(FAR, "goes on", &[Arc::clone(&second.0)]).await;
        let built = scene.built(&after_all, after).await;
        assert_eq!(built.received.as_ref().unwrap().missing, [""; 0], "what is set aside is not missing");
        scene.commit(async |append| append.live(built, None).await.unwrap()).await;
        assert_eq!(scene.ends().await, [id(&after_all.0)], "what lies before both is passed");
        assert_eq!(scene.working.head.state, after);
        assert_eq!(scene.read().await, ["goes on"], "being named makes nothing live");
    }
}

#[tokio::test]
async fn what_was_rejected_is_accepted() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let root = scene.working.head.state;
    let sent = scene.topic("rejected", &[scene.last()], root).await;
    let built = scene.built(&sent, root).await;
    let num = built.num;
    scene.commit(async |append| append.outlier(built, Standing::Rejected).await.unwrap()).await;
    let rooms = Arc::clone(&scene.server.rooms);
    assert!(rooms.authority(&scene.server.store.snapshot(), num).await.unwrap().rejected, "rules are told");

    scene.commit(async |append| append.restand(num, Standing::SoftFailed).await.unwrap()).await;
    let header = scene.stored(&sent.0).await.unwrap().event.header;
    assert_eq!((header.num, header.standing, header.state_before), (num, Standing::SoftFailed, root));
    assert!(scene.is_in_state(header.state_after, &sent.0).await);
    assert!(!rooms.authority(&scene.server.store.snapshot(), num).await.unwrap().rejected);

    // Back again, and twice in one batch.
    scene
        .commit(async |append| {
            append.restand(num, Standing::Rejected).await.unwrap();
            append.restand(num, Standing::Outlier).await.unwrap();
            append.restand(num, Standing::Rejected).await.unwrap();
        })
        .await;
    let header = scene.stored(&sent.0).await.unwrap().event.header;
    assert_eq!((header.standing, header.state_after), (Standing::Rejected, root));
    assert!(rooms.authority(&scene.server.store.snapshot(), num).await.unwrap().rejected);

    scene.live(&sent).await;
    assert_eq!(scene.stored(&sent.0).await.unwrap().event.header.num, num);
    assert!(scene.is_in_state(scene.working.head.state, &sent.0).await);
    assert!(!rooms.authority(&scene.server.store.snapshot(), num).await.unwrap().rejected);
    scene
        .commit(async |append| {
            assert!(append.restand(num, Standing::Rejected).await.is_err(), "what has a place keeps it");
        })
        .await;
}

#[tokio::test]
async fn no_place_is_given_by_restanding() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let sent = scene.message(FAR, "aside", &[scene.last()]).await;
    scene.outlier(&sent).await;
    let num = scene.stored(&sent.0).await.unwrap().event.header.num;
    for standing in [Standing::Live, Standing::Backfilled] {
        scene.commit(async |append| assert!(append.restand(num, standing).await.is_err())).await;
    }
    assert_eq!(scene.stored(&sent.0).await.unwrap().event.header.standing, Standing::Outlier);
}

#[tokio::test]
async fn what_was_partial_becomes_whole() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let whole = scene.working.head.state;
    // Of the members only two are known at first.
    let kind = "m.room.member".into();
    let neighbour = scene.working.state_event_at(&scene.server.rooms, whole, &kind, NEIGHBOUR).await.unwrap().unwrap();
    let key = scene.server.ids.find_state_key("m.room.member", NEIGHBOUR).await.unwrap().unwrap();
    let part = scene.working.editor.remove(whole, key).await.unwrap();
    scene.working.row.partial = true;
    let topic = scene.topic("in part", &[scene.last()], part).await;
    let said = scene.message(FAR, "in part", &[Arc::clone(&topic.0)]).await;
    let (first, num) = {
        let built = scene.built(&topic, part).await;
        let num = built.num;
        let first = scene.commit(async |append| append.live(built, None).await.unwrap()).await;
        (first, num)
    };
    assert!(first.pending_index().is_some());
    scene.live(&said).await;
    let told = scene.server.store.snapshot().position();
    let header = scene.stored(&said.0).await.unwrap().event.header;
    assert!(header.partial && scene.stored(&topic.0).await.unwrap().event.header.partial);
    let user = scene.server.ids.user(&neighbour.1.sender).await.unwrap();
    let member = (scene.working.num, user);
    assert_eq!(scene.server.store.snapshot().get(&MEMBERS, &member).await.unwrap(), None);
    let joined = scene.working.head.joined;

    scene
        .commit(async |append| {
            let after = append.complete(num, whole).await.unwrap();
            let after = append.complete(header.num, after).await.unwrap();
            append.whole().await.unwrap();
            assert_eq!(append.complete(header.num, EMPTY).await.unwrap(), after, "what is whole stays");
        })
        .await;
    let (topic, said) = (scene.stored(&topic.0).await.unwrap(), scene.stored(&said.0).await.unwrap());
    assert!(!topic.event.header.partial && !said.event.header.partial && !scene.working.row.partial);
    assert_eq!(topic.event.header.state_before, whole);
    assert_eq!(said.event.header.state_before, topic.event.header.state_after);
    assert!(scene.is_in_state(said.event.header.state_after, &neighbour.1).await);
    assert_eq!(scene.working.head.state, said.event.header.state_after);
    scene.ends().await;
    let snapshot = scene.server.store.snapshot();
    let room = scene.working.num;
    let then = root_at(&snapshot, room, told).await.unwrap().unwrap();
    let now = root_at(&snapshot, room, snapshot.position()).await.unwrap().unwrap();
    assert!(!scene.is_in_state(then, &neighbour.1).await, "what was told is not changed behind anybody's back");
    assert_eq!(now, scene.working.head.state);
    assert_eq!(snapshot.get(&MEMBERS, &member).await.unwrap().unwrap().membership, Membership::Join);
    assert_eq!(scene.working.head.joined, joined + 1);
}

#[tokio::test]
async fn the_past_is_placed_before_all_that_is_there() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let mut chain = vec![scene.message(FAR, "0", &[scene.last()]).await];
    for nth in 1..4 {
        let prev = Arc::clone(&chain.last().unwrap().0);
        chain.push(scene.message(FAR, &nth.to_string(), &[prev]).await);
    }
    scene.live(&chain[3]).await;
    assert_eq!(scene.read().await, ["3"]);
    assert_eq!((scene.count(&GAPS).await, scene.count(&MISSING).await), (1, 1));
    let ends = scene.ends().await;
    // Two in one batch: the first one's gap is filled before it is on disk.
    scene.outlier(&chain[2]).await;
    let root = scene.working.head.state;
    let (newest, older) = (scene.built(&chain[2], root).await, scene.built(&chain[1], root).await);
    scene
        .commit(async |append| {
            append.backfilled(newest).await.unwrap();
            append.backfilled(older).await.unwrap();
        })
        .await;
    assert_eq!((scene.count(&GAPS).await, scene.count(&MISSING).await), (1, 1), "one more is missing");
    scene.backfilled(&chain[0]).await;
    assert_eq!((scene.count(&GAPS).await, scene.count(&MISSING).await, scene.count(&OUTLIERS).await), (0, 0, 0));
    assert_eq!(scene.read().await, ["0", "1", "2", "3"]);
    assert_eq!(scene.ends().await, ends, "the past moves no end");
    for (nth, arrival) in [(2, -1), (1, -2), (0, -3)] {
        let found = scene.stored(&chain[nth].0).await.unwrap();
        assert_eq!(found.place.arrival, Some(Arrival::Backfilled(arrival)));
        let header = found.event.header;
        assert_eq!((header.standing, header.state_before, header.state_after), (Standing::Backfilled, root, root));
        assert_eq!(header.auth.len(), chain[nth].0.auth_events.len());
    }
}

/// How a target comes after its redaction.
#[derive(Debug, Clone, Copy)]
enum Coming {
    Live,
    Backfilled,
    OutlierThenLive,
    SameBatch,
}

#[tokio::test]
async fn a_redaction_that_comes_first_takes_effect_when_its_target_comes() {
    for version in [RoomVersionId::V6, RoomVersionId::V11] {
        for (redactor, takes_effect) in [(FAR, true), (MODERATOR, true), (NEIGHBOUR, false)] {
            for coming in [Coming::Live, Coming::Backfilled, Coming::OutlierThenLive, Coming::SameBatch] {
                let what = format!("{version} {redactor} {coming:?}");
                let mut scene = Scene::new(version.clone()).await;
                let target = scene.message(FAR, "secret", &[scene.last()]).await;
                let redaction = scene.redaction(redactor, &target.0, &[scene.last()]).await;
                let root = scene.working.head.state;
                if matches!(coming, Coming::SameBatch) {
                    let (first, second) = (scene.built(&redaction, root).await, scene.built(&target, root).await);
                    scene
                        .commit(async |append| {
                            append.live(first, None).await.unwrap();
                            append.live(second, None).await.unwrap();
                        })
                        .await;
                } else {
                    scene.live(&redaction).await;
                    assert_eq!(scene.count(&EARLY_REDACTIONS).await, 1, "{what}");
                }
                match coming {
                    Coming::Live => scene.live(&target).await,
                    Coming::Backfilled => scene.backfilled(&target).await,
                    Coming::OutlierThenLive => {
                        scene.outlier(&target).await;
                        scene.live(&target).await;
                    }
                    Coming::SameBatch => {}
                }
                assert_eq!(scene.count(&EARLY_REDACTIONS).await, 0, "{what}");
                let header = scene.stored(&target.0).await.unwrap().event.header;
                let by = scene.stored(&redaction.0).await.unwrap().event.header.num;
                assert_eq!(header.redacted_by, takes_effect.then_some(by), "{what}");
                assert_eq!(scene.read().await, if takes_effect { vec![] } else { vec!["secret"] }, "{what}");
                // It notified nobody: what counted it is taken back.
                let voided = scene.count(&VOIDED).await;
                assert_eq!(voided == 1, takes_effect && !matches!(coming, Coming::Backfilled), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn of_several_early_redactions_the_first_that_may_counts() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let target = scene.message(FAR, "secret", &[scene.last()]).await;
    let mut last = scene.last();
    for sender in [NEIGHBOUR, MODERATOR, NEIGHBOUR] {
        let redaction = scene.redaction(sender, &target.0, &[last]).await;
        scene.live(&redaction).await;
        last = redaction.0;
    }
    assert_eq!(scene.count(&EARLY_REDACTIONS).await, 3);
    scene.live(&target).await;
    let by = scene.stored(&target.0).await.unwrap().event.header.redacted_by.unwrap();
    let redaction = scene.server.rooms.authority(&scene.server.store.snapshot(), by).await.unwrap();
    assert_eq!(redaction.sender, MODERATOR);
    assert_eq!(scene.count(&EARLY_REDACTIONS).await, 0);
}

#[tokio::test]
async fn a_redaction_is_judged_by_the_state_before_it() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let target = scene.message(FAR, "secret", &[scene.last()]).await;
    scene.live(&target).await;
    let before = scene.working.head.state;
    // The moderator's power is taken on one branch; their redaction goes on from before that.
    let levels = json!({ "users": { FAR: 100 }, "redact": 50, "events_default": 0, "state_default": 0 });
    let prev = [Arc::clone(&target.0)];
    let taken = scene.make(FAR, "m.room.power_levels", Some(""), levels, &prev, before, None).await;
    scene.live(&taken).await;
    let redaction = scene.make(MODERATOR, "m.room.redaction", None, json!({}), &prev, before, Some(&target.0)).await;
    let late = scene.redaction(MODERATOR, &target.0, &[Arc::clone(&taken.0)]).await;
    scene.live(&late).await;
    assert_eq!(scene.stored(&target.0).await.unwrap().event.header.redacted_by, None, "without power");
    let built = scene.built(&redaction, before).await;
    scene.commit(async |append| append.live(built, None).await.unwrap()).await;
    let by = scene.stored(&redaction.0).await.unwrap().event.header.num;
    assert_eq!(scene.stored(&target.0).await.unwrap().event.header.redacted_by, Some(by), "it had the power then");
}

#[tokio::test]
async fn a_redaction_in_history_prunes_what_is_older() {
    let mut scene = Scene::new(RoomVersionId::V11).await;
    let target = scene.message(FAR, "secret", &[scene.last()]).await;
    let redaction = scene.redaction(FAR, &target.0, &[Arc::clone(&target.0)]).await;
    let newest = scene.message(FAR, "newest", &[Arc::clone(&redaction.0)]).await;
    scene.live(&newest).await;
    scene.backfilled(&redaction).await;
    scene.backfilled(&target).await;
    assert_eq!(scene.read().await, ["newest"]);
    assert!(scene.stored(&target.0).await.unwrap().event.header.redacted_by.is_some());
}

#[tokio::test]
async fn the_greatest_depth_does_not_end_a_room() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let mut deep = (*scene.last()).clone();
    deep.depth = (1 << 53) - 2;
    let sent = scene.message(FAR, "deep", &[Arc::new(deep)]).await;
    scene.live(&sent).await;
    for nth in 0..2 {
        let content = matron_matrix::canonical::object(json!({ "msgtype": "m.text", "body": format!("deeper {nth}") }));
        let transaction = TransactionKey::new(scene.me.device, "PUT", &format!("/{nth}"), "t");
        let rooms = &scene.server.rooms;
        rooms.send(&scene.me, &scene.room_id, "m.room.message".into(), content.unwrap(), transaction).await.unwrap();
    }
    assert_eq!(scene.read().await, ["deep", "deeper 0", "deeper 1"]);
}

#[tokio::test]
async fn what_was_redacted_is_shown_nowhere() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let root = scene.working.head.state;
    let content = json!({ "membership": "join", "displayname": "secret", "avatar_url": "mxc://secret/secret" });
    let named = scene.make(NEIGHBOUR, "m.room.member", Some(NEIGHBOUR), content, &[scene.last()], root, None).await;
    scene.live(&named).await;
    let redaction = scene.redaction(NEIGHBOUR, &named.0, &[Arc::clone(&named.0)]).await;
    scene.live(&redaction).await;
    let joined = scene.server.rooms.joined_members(&scene.me, &scene.room_id).await.unwrap();
    let shown: Value = joined.into_iter().map(|(id, name, avatar)| json!([id, name, avatar])).collect();
    assert!(shown.to_string().contains(NEIGHBOUR) && !shown.to_string().contains("secret"), "{shown}");
}
