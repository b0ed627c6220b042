//! Those who are there wait in `/sync`, each by a connection of their own, as an app does that is open.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::hand::Hand;
use crate::stage::Stage;
use crate::wire::Answer;

/// How many come at once.
const AT_ONCE: usize = 8;
/// What messages begin with; then the time when they were sent, in microseconds since the beginning.
pub const MARK: &str = "soak ";
/// As apps ask: members of large rooms only where they say something.
const FILTER: &str =
    r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":50,"lazy_load_members":true}}}"#;

/// Everybody comes: the first `/sync` of each is through when this answers.
pub async fn gather(stage: &Arc<Stage>) -> JoinSet<()> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut coming = JoinSet::new();
    for person in stage.present.clone() {
        let permit = Arc::clone(&gate).acquire_owned().await.unwrap();
        let stage = Arc::clone(stage);
        coming.spawn(async move {
            let listener = Listener::come(&stage, person).await;
            drop(permit);
            listener
        });
    }
    let mut listeners = JoinSet::new();
    for listener in coming.join_all().await {
        listeners.spawn(listener.listen());
    }
    listeners
}

struct Listener {
    hand: Hand,
    filter: String,
    since: String,
}

impl Listener {
    async fn come(stage: &Arc<Stage>, person: usize) -> Self {
        let mut hand = Hand::of(stage, person).await;
        let path = format!("/v3/user/{}/filter", stage.world.people[person].id);
        let kept = hand.ask("POST", &path, FILTER).await.expect("a filter can be kept");
        let filter = kept.text("filter_id").unwrap().to_owned();
        let first = hand.ask("GET", &format!("/v3/sync?timeout=0&filter={filter}"), "").await;
        let since = first.expect("people can sync").text("next_batch").unwrap().to_owned();
        Self { hand, filter, since }
    }

    async fn listen(mut self) {
        loop {
            let path = format!("/v3/sync?timeout=30000&filter={}&since={}", self.filter, self.since);
            let Some(news) = self.hand.ask("GET", &path, "").await else { continue };
            let stage = &self.hand.stage;
            let now = stage.begun.elapsed();
            let millis: Vec<_> = sent(&news).map(|sent| now.saturating_sub(sent).as_secs_f64() * 1000.0).collect();
            if !millis.is_empty() {
                stage.tally.heard(&millis);
            }
            match news.text("next_batch") {
                Some(next) => next.clone_into(&mut self.since),
                None => stage.tally.failed("a /sync says not how to go on"),
            }
        }
    }
}

/// When the messages of an answer were sent. They are looked for, and nothing is parsed: that would cost more than to answer.
fn sent(news: &Answer) -> impl Iterator<Item = Duration> {
    let text = std::str::from_utf8(&news.body).unwrap_or_default();
    text.split("\"body\":\"").skip(1).filter_map(|message| {
        let (micros, _) = message.strip_prefix(MARK)?.split_once(' ')?;
        micros.parse().ok().map(Duration::from_micros)
    })
}
