//! E-mail pushers: from time to time a letter that says in which rooms something is unread, and never what.
//!
//! A letter leaves one's own network, so it names rooms and people and quotes nobody. It waits some minutes, since who reads
//! in an app meanwhile needs none; and each further letter waits longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use matron_storage::{Batch, Error as StorageError};
use sha2::Sha256;

use super::Push;
use super::deliver::Outcome;
use super::desk::{Item, Name, Work};
use super::pace::Pace;
use crate::error::{Error, Result};
use crate::remote::mail::{Letter, escaped};
use crate::schema::UserNum;
use crate::schema::push::{MAIL_SECRET, PUSHERS, Pusher, PusherKey, PusherKind};

/// How many rooms a letter names.
const MOST_ROOMS: usize = 20;
/// How many people it names of each.
const MOST_PEOPLE: usize = 4;
/// The longest name that it gives, in characters.
const LONGEST_NAME: usize = 80;

/// What is unread in a room.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unread {
    events: u64,
    people: BTreeSet<String>,
}

impl Push {
    /// Sends a letter about all that waits for an e-mail pusher, if it is time; else waits until it is.
    pub(super) async fn send_digest(&self, name: Name, work: &Work) -> Result<Outcome> {
        let (Some(mailer), Some(first)) = (&self.mailer, &work.item) else { return Ok(Outcome::Delivered) };
        let config = &self.config.push;
        let now = self.clock.millis();
        let paced = self.desk.pace(name).map_or(0, Pace::next);
        let due = first.since.saturating_add(config.email_after).max(paced);
        if due > now {
            self.wait(name, Duration::from_millis(due - now)).await;
            return Ok(Outcome::Early);
        }
        let items = self.desk.waiting_for(name);
        let rooms = self.unread_by_room(&items).await?;
        if !rooms.is_empty() {
            let letter = self.digest(name, &work.pusher, &rooms).await?;
            let sent = tokio::select! {
                sent = mailer.send(&letter) => sent,
                () = self.stop.cancelled() => return Ok(Outcome::Failed),
            };
            if let Err(error) = sent {
                tracing::warn!(%error, "the SMTP server does not take a letter");
                return Ok(Outcome::Failed);
            }
            self.desk.set_pace(name, Pace::after(self.desk.pace(name), self.clock.millis(), config.email_pause));
        }
        for item in items {
            self.desk.finish(name, &Work { item: Some(item), pusher: work.pusher.clone(), unread: work.unread });
        }
        Ok(Outcome::Delivered)
    }

    async fn unread_by_room(&self, items: &[Item]) -> Result<BTreeMap<String, Unread>> {
        let mut rooms: BTreeMap<String, Unread> = BTreeMap::new();
        for item in items {
            let Some(told) = self.told_of(item).await? else { continue };
            let unread = rooms.entry(told.room_name().unwrap_or_default().to_owned()).or_default();
            unread.events += 1;
            unread.people.insert(short(told.sender_name()));
        }
        Ok(rooms)
    }

    async fn digest(&self, name: Name, pusher: &Pusher, rooms: &BTreeMap<String, Unread>) -> Result<Letter> {
        let base = self.config.public_url.as_deref().unwrap_or_default();
        let unsubscribe = format!("{base}/_matron/email/unsubscribe?token={}", self.unsubscribe_token(name).await?);
        let app = self.config.mail.as_ref().and_then(|mail| mail.client_url.as_deref());
        Ok(written(&pusher.pushkey, self.config.server_name.as_str(), rooms, app, unsubscribe))
    }

    async fn unsubscribe_token(&self, (user, key): Name) -> Result<String> {
        let mut token = user.0.to_be_bytes().to_vec();
        token.extend(key);
        let mac = self.mail_mac(&token).await?;
        token.extend(mac.finalize().into_bytes());
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// What signs the links in letters: a secret of this store's own.
    async fn mail_mac(&self, signed: &[u8]) -> Result<Hmac<Sha256>> {
        let secret = loop {
            if let Some(secret) = self.store.snapshot().get(&MAIL_SECRET, &()).await? {
                break secret;
            }
            let mut batch = Batch::new();
            batch.expect_absent(&MAIL_SECRET, &());
            batch.put(&MAIL_SECRET, &(), &rand::random::<[u8; 32]>().to_vec());
            match self.store.commit(batch).await {
                Ok(_) | Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).map_err(Error::internal)?;
        mac.update(signed);
        Ok(mac)
    }

    /// The address that letters stop going to by a link of theirs, if they still do.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn subscription(&self, token: &str) -> Result<Option<String>> {
        Ok(self.subscribed(token).await?.map(|(_, pusher)| pusher.pushkey))
    }

    /// Ends letters by a link of theirs. Whether the link was one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn unsubscribe(&self, token: &str) -> Result<bool> {
        let Some(((user, key), _)) = self.subscribed(token).await? else { return Ok(false) };
        self.drop_pusher(user, key).await?;
        Ok(true)
    }

    async fn subscribed(&self, token: &str) -> Result<Option<(Name, Pusher)>> {
        let Some((name, signed, mac)) = taken_apart(token) else { return Ok(None) };
        if self.mail_mac(&signed).await?.verify_slice(&mac).is_err() {
            return Ok(None);
        }
        let pusher = self.store.snapshot().get(&PUSHERS, &name).await?;
        Ok(pusher.filter(|pusher| pusher.kind == PusherKind::Email).map(|pusher| (name, pusher)))
    }
}

/// A link's token: whose pusher, the bytes that are signed, and the signature.
fn taken_apart(token: &str) -> Option<(Name, Vec<u8>, Vec<u8>)> {
    // 8 + 16 + 32 bytes.
    if token.len() > 75 {
        return None;
    }
    let mut signed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let mac = (signed.len() == 56).then(|| signed.split_off(24))?;
    let user = u64::from_be_bytes(signed.get(..8)?.try_into().ok()?);
    let key: PusherKey = signed.get(8..)?.try_into().ok()?;
    Some(((UserNum(user), key), signed, mac))
}

fn short(name: &str) -> String {
    let name: String = name.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    if name.chars().count() <= LONGEST_NAME {
        return name;
    }
    name.chars().take(LONGEST_NAME).chain(['…']).collect()
}

fn written(
    to: &str,
    server_name: &str,
    rooms: &BTreeMap<String, Unread>,
    app: Option<&str>,
    unsubscribe: String,
) -> Letter {
    let events: u64 = rooms.values().map(|unread| unread.events).sum();
    let messages =
        |count: u64| if count == 1 { "1 unread message".to_owned() } else { format!("{count} unread messages") };
    let mut lines: Vec<String> = rooms
        .iter()
        .take(MOST_ROOMS)
        .map(|(room, unread)| {
            let mut people: Vec<_> = unread.people.iter().take(MOST_PEOPLE).cloned().collect();
            if unread.people.len() > MOST_PEOPLE {
                people.push("others".to_owned());
            }
            let room = if room.is_empty() { "a conversation".to_owned() } else { short(room) };
            format!("{room}: {} from {}", messages(unread.events), people.join(", "))
        })
        .collect();
    if rooms.len() > MOST_ROOMS {
        lines.push(format!("and {} more rooms", rooms.len() - MOST_ROOMS));
    }
    let items: Vec<_> = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    let (app_text, app_html) = app.map_or_else(Default::default, |app| {
        (format!("Read them: {app}\n\n"), format!("<p><a href=\"{}\">Read them</a></p>\n", escaped(app)))
    });
    let text = format!("{}\n\n{app_text}To get no such letters any more: {unsubscribe}\n", lines.join("\n"));
    let html = format!(
        "<ul>\n{}</ul>\n{app_html}<p><a href=\"{}\">Get no such letters any more</a></p>\n",
        items.concat(),
        escaped(&unsubscribe)
    );
    Letter {
        to: to.to_owned(),
        subject: format!("{} at {server_name}", messages(events)),
        text,
        html,
        unsubscribe: Some(unsubscribe),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Unread, short, taken_apart, written};

    #[test]
    fn a_letter_names_rooms_and_people() {
        let people = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let rooms = BTreeMap::from([
            (String::new(), Unread { events: 1, people: people(&["Ann <b>"]) }),
            ("Ward 7".to_owned(), Unread { events: 9, people: people(&["a", "b", "c", "d", "e"]) }),
        ]);
        let letter = written("me@x.y", "trust.example", &rooms, Some("https://app.example"), "https://end".to_owned());
        assert_eq!(letter.subject, "10 unread messages at trust.example");
        assert!(letter.text.contains("a conversation: 1 unread message from Ann <b>\n"), "{}", letter.text);
        assert!(letter.text.contains("Ward 7: 9 unread messages from a, b, c, d, others\n"), "{}", letter.text);
        assert!(letter.html.contains("from Ann &lt;b&gt;</li>") && letter.html.contains("https://app.example"));
        assert_eq!(letter.unsubscribe.as_deref(), Some("https://end"));
    }

    #[test]
    fn long_names_are_cut_and_lines_stay_lines() {
        assert_eq!(short("a\r\nb"), "a  b");
        assert_eq!(short(&"ä".repeat(100)).chars().count(), 81);
    }

    #[test]
    fn any_token_is_taken_apart_or_refused() {
        for token in ["", "x", "AAAA", &"A".repeat(74), &"A".repeat(75), &"A".repeat(76), &"ä".repeat(30)] {
            assert_eq!(taken_apart(token).is_some(), token.len() == 75 && token.is_ascii(), "{token}");
        }
    }
}
