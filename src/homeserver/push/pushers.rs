//! Pushers: whom to tell of notifications, and where. Client-server API, "Push Notifications", `/pushers`.

use http::Uri;
use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Error as StorageError, Snapshot};
use serde_json::{Map, Value};

use super::Push;
use crate::accounts::{Session, TRIES};
use crate::error::{Error, Result};
use crate::remote::mail;
use crate::schema::devices::DEVICES;
use crate::schema::push::{PUSHER_OWNERS, PUSHER_ROUNDS, PUSHERS, Pusher, PusherKey, PusherKind, WAITING};
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Subject;

/// The longest app id, in characters, as the spec has it.
const MAX_APP_ID: usize = 64;
/// The longest pushkey, in bytes, as the spec has it.
const MAX_PUSHKEY: usize = 512;
/// The longest names, language and profile tag, in bytes.
const MAX_TEXT: usize = 1024;
/// The longest `data`, as JSON.
const MAX_DATA: usize = 8192;
/// How many pushers a user may have: every event may call each of them.
const MOST: usize = 50;
/// Where a push gateway is called.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";
/// The app id of every e-mail pusher.
const EMAIL_APP: &str = "m.email";

/// A pusher as a client wants it.
#[derive(Debug, Clone)]
pub struct NewPusher {
    /// `http`, `email`, or something that is neither.
    pub kind: String,
    /// The app's id.
    pub app_id: String,
    /// Where the app is to be found; an e-mail address.
    pub pushkey: String,
    /// The app's name for people.
    pub app_display_name: String,
    /// The device's name for people.
    pub device_display_name: String,
    /// Which set of rules it follows.
    pub profile_tag: Option<String>,
    /// The language.
    pub lang: String,
    /// `data`.
    pub data: Map<String, Value>,
    /// Whether it tells at all.
    pub enabled: bool,
    /// Whether other users' pushers of the same app id and pushkey stay.
    pub append: bool,
}

/// What names a pusher among its user's.
#[must_use]
pub fn key_of(app_id: &str, pushkey: &str) -> PusherKey {
    let digest = digest::of_parts([app_id.as_bytes(), pushkey.as_bytes()]);
    let mut key = PusherKey::default();
    key.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    key
}

impl Push {
    /// The pushers of who asks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pushers(&self, user: UserNum) -> Result<Vec<Pusher>> {
        let rows = self.store.snapshot().scan(&PUSHERS, PUSHERS.under(&(user,))).collect().await?;
        Ok(rows.into_iter().map(|(_, pusher)| pusher).collect())
    }

    /// Makes a pusher, or changes the one of this app id and pushkey. It lives as long as the device that sets it.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where something is too long, the kind is not known, or the address is none that is called;
    /// `M_FORBIDDEN` where the user has too many; `M_UNKNOWN_TOKEN` where the device is logged out meanwhile.
    pub async fn set_pusher(&self, session: &Session, new: NewPusher) -> Result<()> {
        let append = new.append;
        let pusher = self.checked(session, new).await?;
        let key = key_of(&pusher.app_id, &pusher.pushkey);
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            self.expect_device(&mut batch, &snapshot, session).await?;
            self.next_round(&mut batch, &snapshot, session.user).await?;
            let mine = snapshot.scan(&PUSHERS, PUSHERS.under(&(session.user,))).collect().await?;
            let is_new = !mine.iter().any(|((_, known), _)| *known == key);
            if is_new && mine.len() >= MOST {
                return Err(MatrixError::forbidden(format!("an account may have {MOST} pushers")).into());
            }
            if !append {
                for ((_, owner), ()) in snapshot.scan(&PUSHER_OWNERS, PUSHER_OWNERS.under(&(key,))).collect().await? {
                    if owner != session.user {
                        delete(&mut batch, owner, key);
                    }
                }
            }
            batch.put(&PUSHERS, &(session.user, key), &pusher);
            batch.put(&PUSHER_OWNERS, &(key, session.user), &());
            announce(&mut batch, session.user);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("pushers change all the time"))
    }

    /// Deletes a pusher, if it is there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_pusher(&self, user: UserNum, app_id: &str, pushkey: &str) -> Result<()> {
        self.drop_pusher(user, key_of(app_id, pushkey)).await
    }

    /// Deletes a pusher, if it is there: its user asks for it, or its gateway knows its pushkey no more.
    pub(super) async fn drop_pusher(&self, user: UserNum, key: PusherKey) -> Result<()> {
        if self.store.snapshot().get(&PUSHERS, &(user, key)).await?.is_none() {
            return Ok(());
        }
        let mut batch = Batch::new();
        delete(&mut batch, user, key);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Deletes the pushers of devices that are deleted, by `batch`, which conflicts with whoever sets one meanwhile.
    pub(crate) async fn forget_devices(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        which: impl Fn(DeviceNum) -> bool,
    ) -> Result<()> {
        let round = snapshot.get(&PUSHER_ROUNDS, &user).await?;
        batch.expect(&PUSHER_ROUNDS, &user, round.as_ref());
        let mut scan = snapshot.scan(&PUSHERS, PUSHERS.under(&(user,)));
        while let Some(((_, key), pusher)) = scan.next().await? {
            if which(pusher.device) {
                delete(batch, user, key);
            }
        }
        Ok(())
    }

    /// Deletes the e-mail pushers to an address that a user has no more, by `batch`.
    pub(crate) async fn forget_address(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        address: &str,
    ) -> Result<()> {
        let round = snapshot.get(&PUSHER_ROUNDS, &user).await?;
        batch.expect(&PUSHER_ROUNDS, &user, round.as_ref());
        let mut scan = snapshot.scan(&PUSHERS, PUSHERS.under(&(user,)));
        while let Some(((_, key), pusher)) = scan.next().await? {
            if pusher.kind == PusherKind::Email && mail::address(&pusher.pushkey).as_deref() == Some(address) {
                delete(batch, user, key);
            }
        }
        Ok(())
    }

    /// The batch holds only while the session's device is there.
    async fn expect_device(&self, batch: &mut Batch, snapshot: &Snapshot, session: &Session) -> Result<()> {
        let row = (session.user, session.device_id.to_string());
        let device = snapshot.get(&DEVICES, &row).await?.filter(|device| device.num == session.device);
        let device = device.ok_or_else(|| MatrixError::unknown_token(false, "the device was logged out"))?;
        batch.expect_value(&DEVICES, &row, &device);
        Ok(())
    }

    async fn next_round(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let round = snapshot.get(&PUSHER_ROUNDS, &user).await?;
        batch.expect(&PUSHER_ROUNDS, &user, round.as_ref());
        batch.put(&PUSHER_ROUNDS, &user, &round.unwrap_or_default().wrapping_add(1));
        Ok(())
    }

    async fn checked(&self, session: &Session, new: NewPusher) -> Result<Pusher> {
        let NewPusher { app_id, pushkey, app_display_name, device_display_name, profile_tag, lang, .. } = new;
        if app_id.is_empty() || app_id.chars().count() > MAX_APP_ID {
            return Err(invalid("an app id has 1 to 64 characters"));
        }
        if pushkey.is_empty() || pushkey.len() > MAX_PUSHKEY {
            return Err(invalid("a pushkey has 1 to 512 bytes"));
        }
        let texts = [Some(&app_display_name), Some(&device_display_name), profile_tag.as_ref(), Some(&lang)];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT) {
            return Err(invalid(&format!("names, language and profile tag have {MAX_TEXT} bytes at most")));
        }
        let data = serde_json::to_string(&new.data).map_err(Error::internal)?;
        if data.len() > MAX_DATA {
            return Err(invalid(&format!("data has {MAX_DATA} bytes at most")));
        }
        let kind = match new.kind.as_str() {
            "http" => {
                let url = new.data.get("url").and_then(Value::as_str);
                let url = url.ok_or_else(|| MatrixError::missing_param("data.url is needed"))?;
                check_gateway(url, self.config.push.plain_gateways)?;
                PusherKind::Http
            }
            "email" => {
                if self.mailer.is_none() {
                    return Err(MatrixError::threepid_medium_not_supported("this server sends no e-mail").into());
                }
                if app_id != EMAIL_APP {
                    return Err(invalid("the app id of an e-mail pusher is m.email"));
                }
                let address =
                    mail::address(&pushkey).ok_or_else(|| MatrixError::invalid_param("pushkey is no address"))?;
                if !self.accounts.has_email(&self.store.snapshot(), session.user, &address).await? {
                    return Err(MatrixError::threepid_not_found("the address is not one of yours").into());
                }
                PusherKind::Email
            }
            _ => return Err(invalid("this kind of pusher is not known here")),
        };
        Ok(Pusher {
            app_id,
            pushkey,
            kind,
            app_display_name,
            device_display_name,
            profile_tag,
            lang,
            data,
            enabled: new.enabled,
            device: session.device,
            device_id: session.device_id.to_string(),
            set: self.clock.millis(),
        })
    }
}

/// Deletes a pusher with all that waits for it.
pub(super) fn delete(batch: &mut Batch, user: UserNum, key: PusherKey) {
    batch.delete(&PUSHERS, &(user, key));
    batch.delete(&PUSHER_OWNERS, &(key, user));
    batch.delete_range(&WAITING, &WAITING.under(&(user, key)));
    announce(batch, user);
}

/// Tells the follower.
fn announce(batch: &mut Batch, user: UserNum) {
    batch.announce(Subject::Pushers(user).into());
}

/// An address of a push gateway as the spec has it: HTTPS, with one path. `plain` lets HTTP pass as well.
fn check_gateway(url: &str, plain: bool) -> Result<()> {
    let uri: Uri = url.parse().map_err(|_| MatrixError::invalid_param("data.url is no address"))?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if plain => {}
        _ => return Err(invalid("data.url is no address of HTTPS")),
    }
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if uri.host().is_none_or(str::is_empty) || authority.contains('@') {
        return Err(invalid("data.url names no host"));
    }
    if uri.path() != GATEWAY_PATH {
        return Err(invalid(&format!("the path of data.url is {GATEWAY_PATH}")));
    }
    Ok(())
}

fn invalid(why: &str) -> Error {
    MatrixError::invalid_param(why).into()
}

#[cfg(test)]
mod tests {
    use super::{check_gateway, key_of};

    #[test]
    fn gateways_are_where_the_spec_says() {
        for good in [
            "https://push.example.org/_matrix/push/v1/notify",
            "https://push.example.org:8443/_matrix/push/v1/notify",
            "https://push.example.org/_matrix/push/v1/notify?a=b",
        ] {
            assert!(check_gateway(good, false).is_ok(), "{good}");
        }
        for bad in [
            "",
            "push.example.org/_matrix/push/v1/notify",
            "/_matrix/push/v1/notify",
            "http://push.example.org/_matrix/push/v1/notify",
            "ftp://push.example.org/_matrix/push/v1/notify",
            "https:///_matrix/push/v1/notify",
            "https://push.example.org/",
            "https://push.example.org/_matrix/push/v1/notify/",
            "https://push.example.org/x/../_matrix/push/v1/notify",
            "https://user:password@push.example.org/_matrix/push/v1/notify",
            "https://push.example.org\\_matrix/push/v1/notify",
        ] {
            assert!(check_gateway(bad, false).is_err(), "{bad}");
        }
        assert!(check_gateway("http://push.example.org/_matrix/push/v1/notify", true).is_ok());
    }

    #[test]
    fn what_names_a_pusher_cannot_be_shifted() {
        assert_ne!(key_of("a", "bc"), key_of("ab", "c"));
    }
}
