//! One-time keys: somebody uploads them, others claim them, and none is handed out twice.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::door::{Door, Person};

/// Uploads keys of ever new names.
#[derive(Debug)]
pub struct Locksmith {
    pub person: Person,
    next: usize,
    /// Names of acknowledged keys.
    pub uploaded: HashSet<String>,
    /// Names of keys whose upload was not answered.
    open: HashSet<String>,
}

impl Locksmith {
    pub fn new(person: Person) -> Self {
        Self { person, next: 0, uploaded: HashSet::new(), open: HashSet::new() }
    }

    async fn upload(&self, door: &Door, keys: Value) -> Option<u64> {
        let answer = door.post(&self.person.token, "/v3/keys/upload", &json!({ "one_time_keys": keys })).await?;
        Some(answer["one_time_key_counts"]["signed_curve25519"].as_u64().unwrap_or(0))
    }

    /// Uploads some more.
    pub async fn act(&mut self, door: &Door) {
        let names: Vec<_> = (self.next..self.next + 4).map(|n| format!("signed_curve25519:{n:06}")).collect();
        self.next += 4;
        let keys = names.iter().map(|name| (name.clone(), json!({ "key": name, "signatures": {} })));
        let answer = self.upload(door, Value::Object(keys.collect())).await;
        if answer.is_some() { &mut self.uploaded } else { &mut self.open }.extend(names);
        // There must be keys at all times, and not many more than are claimed.
        if answer.is_some_and(|count| count > 40) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// No key may be lost or handed out twice, whoever claimed it.
    pub async fn check(&self, door: &Door, claimers: &[&Claimer]) {
        let mut out = HashSet::new();
        for name in claimers.iter().flat_map(|claimer| &claimer.got) {
            door.verdict.must(out.insert(name), || format!("{name} was handed out twice"));
            let is_known = self.uploaded.contains(name) || self.open.contains(name);
            door.verdict.must(is_known, || format!("{name} was handed out and never uploaded"));
        }
        let Some(count) = self.upload(door, json!({})).await else { return };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let open_claims: usize = claimers.iter().map(|claimer| claimer.open).sum();
        let least = self.uploaded.len().saturating_sub(out.len() + open_claims);
        let most = (self.uploaded.len() + self.open.len()).saturating_sub(out.len());
        door.verdict.must((least..=most).contains(&count), || {
            format!("{count} one-time keys are left, and between {least} and {most} must be")
        });
    }
}

/// Claims keys of one device, one by one.
#[derive(Debug)]
pub struct Claimer {
    person: Person,
    of: Person,
    /// Names of the keys that were handed out.
    pub got: Vec<String>,
    /// Claims that were not answered; each may have cost a key.
    open: usize,
}

impl Claimer {
    pub const fn new(person: Person, of: Person) -> Self {
        Self { person, of, got: Vec::new(), open: 0 }
    }

    /// Claims a key and answers whether there was one.
    pub async fn act(&mut self, door: &Door) -> bool {
        let (user, device) = (&self.of.id, &self.of.device);
        let body = json!({ "one_time_keys": { user: { device: "signed_curve25519" } } });
        let Some(answer) = door.post(&self.person.token, "/v3/keys/claim", &body).await else {
            self.open += 1;
            return false;
        };
        let keys = answer["one_time_keys"][user][device].as_object();
        let names: Vec<_> = keys.into_iter().flat_map(|keys| keys.keys().cloned()).collect();
        let found = !names.is_empty();
        self.got.extend(names);
        if !found {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        found
    }
}
