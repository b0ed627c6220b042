//! Requests of people who go on where one fails: the failure is counted, the connection made anew.

use std::sync::Arc;
use std::time::Duration;

use crate::stage::Stage;
use crate::wire::{Answer, Wire};

/// How long somebody rests after a failure.
const REST: Duration = Duration::from_secs(1);

/// A connection that comes back.
pub struct Hand {
    pub stage: Arc<Stage>,
    wire: Wire,
    token: String,
}

impl Hand {
    /// Speaks for somebody.
    pub async fn of(stage: &Arc<Stage>, person: usize) -> Self {
        let token = stage.token(person).to_owned();
        Self { wire: reach(stage, &token).await, stage: Arc::clone(stage), token }
    }

    /// Speaks for somebody else from now on.
    pub fn become_one(&mut self, person: usize) {
        self.stage.token(person).clone_into(&mut self.token);
        self.wire.become_one(&self.token);
    }

    /// An answer that is 200; none where the request failed.
    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let answer = self.wire.ask(method, path, body).await;
        self.look(answer, || format!("{method} {path}")).await
    }

    /// Uploads a file.
    pub async fn hand_in(&mut self, file: &[u8]) -> Option<Answer> {
        let answer = self.wire.hand_in(file).await;
        self.look(answer, || "an upload".to_owned()).await
    }

    /// A transaction's id that nobody has used.
    pub fn transaction(&mut self) -> String {
        self.wire.transaction()
    }

    async fn look(&mut self, answer: std::io::Result<Answer>, what: impl Fn() -> String) -> Option<Answer> {
        match answer {
            Ok(answer) if answer.status == 200 => return Some(answer),
            Ok(answer) => {
                let told = String::from_utf8_lossy(&answer.body);
                self.stage.tally.failed(&format!("{}: {} {told}", what(), answer.status));
                tokio::time::sleep(REST).await;
            }
            Err(error) => {
                self.stage.tally.failed(&format!("{}: {error}", what()));
                tokio::time::sleep(REST).await;
                self.wire = reach(&self.stage, &self.token).await;
            }
        }
        None
    }
}

/// Connects, however often it is to be tried.
async fn reach(stage: &Stage, token: &str) -> Wire {
    loop {
        match Wire::reach(stage.address, token).await {
            Ok(wire) => return wire,
            Err(error) => {
                stage.tally.failed(&format!("connecting: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
}
