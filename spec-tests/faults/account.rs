//! Somebody who changes the account all the time: password, devices, account data, display name.

use reqwest::Method;
use serde_json::{Value, json};

use super::door::{Door, PASSWORD, Person};

/// What is certain of a device.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    In,
    Out,
    Open,
}

/// A value that is counted up; the server holds the last acknowledged one, or the one that was tried then.
#[derive(Debug)]
struct Counter {
    path: String,
    field: &'static str,
    acknowledged: u64,
    tried: u64,
}

/// The restless account.
#[derive(Debug)]
pub struct Account {
    person: Person,
    password: String,
    /// A password whose setting was not answered.
    open_password: Option<String>,
    devices: Vec<(Person, Standing)>,
    counters: Vec<Counter>,
    /// How many changes were acknowledged.
    pub changes: usize,
}

impl Account {
    pub fn new(person: Person) -> Self {
        let counter =
            |path: &str, field| Counter { path: path.replace("ME", &person.id), field, acknowledged: 0, tried: 0 };
        let counters = vec![
            counter("/v3/user/ME/account_data/org.example.count", "count"),
            counter("/v3/profile/ME/displayname", "displayname"),
        ];
        let (password, devices) = (PASSWORD.to_owned(), Vec::new());
        Self { person, password, open_password: None, devices, counters, changes: 0 }
    }

    fn proof(&self, password: &str) -> Value {
        let identifier = json!({ "type": "m.id.user", "user": self.person.id });
        json!({ "type": "m.login.password", "identifier": identifier, "password": password })
    }

    /// Makes one change.
    pub async fn act(&mut self, door: &Door) {
        let is_done = match rand::random_range(0..10) {
            0 | 1 if self.open_password.is_none() => self.change_password(door).await,
            2 | 3 if self.open_password.is_none() => self.log_in(door).await,
            4 => self.log_out(door).await,
            n => self.count(door, n % 2).await,
        };
        self.changes += usize::from(is_done.is_some());
    }

    async fn change_password(&mut self, door: &Door) -> Option<()> {
        let (token, path) = (&self.person.token, "/v3/account/password");
        let new = spec_tests::unique("a fine password");
        let mut body = json!({ "new_password": new, "logout_devices": false });
        let question = door.answer(Method::POST, token, path, Some(&body)).await?;
        body["auth"] = self.proof(&self.password);
        body["auth"]["session"] = question.body["session"].clone();
        if door.post(token, path, &body).await.is_none() {
            self.open_password = Some(new);
            return None;
        }
        self.password = new;
        Some(())
    }

    async fn log_in(&mut self, door: &Door) -> Option<()> {
        let session = door.post("", "/v3/login", &self.proof(&self.password)).await?;
        self.devices.push((Person::of(&session), Standing::In));
        Some(())
    }

    async fn log_out(&mut self, door: &Door) -> Option<()> {
        let (device, standing) = self.devices.iter_mut().find(|(_, standing)| *standing == Standing::In)?;
        *standing = Standing::Open;
        door.post(&device.token, "/v3/logout", &json!({})).await?;
        *standing = Standing::Out;
        Some(())
    }

    async fn count(&mut self, door: &Door, which: usize) -> Option<()> {
        let counter = &mut self.counters[which];
        counter.tried += 1;
        let body = json!({ counter.field: counter.tried.to_string() });
        door.put(&self.person.token, &counter.path, &body).await?;
        counter.acknowledged = counter.tried;
        Some(())
    }

    /// Everything acknowledged must be as it was left.
    pub async fn check(&mut self, door: &Door) {
        self.check_password(door).await;
        for counter in &mut self.counters {
            let answer = door.answer(Method::GET, &self.person.token, &counter.path, None).await;
            let value = answer.as_ref().and_then(|answer| answer.body[counter.field].as_str());
            let value = value.and_then(|value| value.parse().ok()).unwrap_or(0);
            let (acknowledged, tried) = (counter.acknowledged, counter.tried);
            door.verdict.must((acknowledged..=tried).contains(&value), || {
                format!("{} is {value}, and must be from {acknowledged} to {tried}", counter.path)
            });
            counter.acknowledged = value;
        }
        for (device, standing) in &self.devices {
            let Some(answer) = door.whoami(&device.token).await else { continue };
            let is_in = answer.status == 200 && answer.body["device_id"] == device.device.as_str();
            let is_right = match standing {
                Standing::In => is_in,
                Standing::Out => answer.status == 401,
                Standing::Open => is_in || answer.status == 401,
            };
            door.verdict.must(is_right, || format!("device {device:?} is {standing:?}, and whoami says {answer:?}"));
        }
        // Old ones have been checked often enough.
        let old = self.devices.len().saturating_sub(12);
        self.devices.drain(..old);
    }

    async fn check_password(&mut self, door: &Door) {
        if let Some(new) = self.open_password.take() {
            let answer = door.answer(Method::POST, "", "/v3/login", Some(&self.proof(&new))).await;
            if answer.is_some_and(|answer| answer.status == 200) {
                self.password = new;
            }
        }
        let proof = self.proof(&self.password);
        let answer = door.answer(Method::POST, "", "/v3/login", Some(&proof)).await;
        let is_right = answer.as_ref().is_some_and(|answer| answer.status == 200);
        door.verdict.must(is_right, || format!("the password set last does not open: {answer:?}"));
    }
}
