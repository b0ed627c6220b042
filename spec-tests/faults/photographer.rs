//! Somebody who uploads pictures: each that was acknowledged can be downloaded, whole.

use reqwest::Method;
use serde_json::{Value, json};

use super::door::{Door, Person};

/// The longest picture, in bytes: it takes more than one piece to write.
const MAX_BYTES: usize = 300_000;

/// Uploads pictures (of letters, since they need be none), now and then one that is there already.
#[derive(Debug)]
pub struct Photographer {
    person: Person,
    /// What was acknowledged: where it is, and what.
    pub kept: Vec<(String, Value)>,
    /// An address whose upload was not answered.
    open: Option<(String, Value)>,
}

impl Photographer {
    pub const fn new(person: Person) -> Self {
        Self { person, kept: Vec::new(), open: None }
    }

    fn picture(&self) -> Value {
        if !self.kept.is_empty() && rand::random_ratio(1, 4) {
            return self.kept[rand::random_range(0..self.kept.len())].1.clone();
        }
        json!({ "number": rand::random::<u64>(), "letters": "x".repeat(rand::random_range(0..MAX_BYTES)) })
    }

    /// Uploads one, at once or by an address that was asked for.
    pub async fn act(&mut self, door: &Door) {
        let token = &self.person.token;
        let name = |answer: &Value| {
            let uri = answer["content_uri"].as_str().unwrap_or_default();
            uri.strip_prefix("mxc://").unwrap_or_default().to_owned()
        };
        if self.open.is_none() && rand::random_ratio(1, 6) {
            let created = door.post(token, "/_matrix/media/v1/create", &json!({})).await;
            self.open = created.map(|created| (name(&created), self.picture()));
        } else if let Some((name, picture)) = self.open.take() {
            let path = format!("/_matrix/media/v3/upload/{name}");
            let answer = door.answer(Method::PUT, token, &path, Some(&picture)).await;
            let Some(answer) = answer else {
                self.open = Some((name, picture));
                return;
            };
            // The upload that was not answered may have been done.
            let is_done = answer.status == 200 || answer.status == 409;
            door.verdict.must(is_done, || format!("{path} was refused: {answer:?}"));
            self.kept.push((name, picture));
        } else {
            let picture = self.picture();
            let Some(answer) = door.post(token, "/_matrix/media/v3/upload", &picture).await else { return };
            self.kept.push((name(&answer), picture));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    /// The last ones, and some old one, must be there.
    pub async fn check(&self, door: &Door) {
        let last = self.kept.len().saturating_sub(20)..self.kept.len();
        for nth in last.chain((!self.kept.is_empty()).then(|| rand::random_range(0..self.kept.len()))) {
            let (name, picture) = &self.kept[nth];
            let got = door.get(&self.person.token, &format!("/v1/media/download/{name}")).await;
            door.verdict
                .must(got.is_none_or(|got| got == *picture), || format!("the picture {name} is not what it was"));
        }
    }
}
