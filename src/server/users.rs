//! What the program asks of accounts: every call into the domain for `matron user …` and for the first start stands here.

use matron_homeserver::schema::UserNum;
use matron_homeserver::{Error, Homeserver, Result};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// One account in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "what is marked of an account, each by itself")]
pub struct User {
    /// The whole user id.
    pub id: String,
    /// Its place in the list, for the next page.
    pub number: u64,
    /// Whether it may call the admin API.
    pub admin: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it is closed.
    pub deactivated: bool,
}

/// What is said of an account until something else is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Whether it may call the admin API.
    Admin(bool),
    /// Whether it is locked.
    Locked(bool),
    /// Whether it is suspended.
    Suspended(bool),
}

/// Whether there is no account at all.
pub async fn none(homeserver: &Homeserver) -> Result<bool> {
    homeserver.accounts.is_empty().await
}

/// Makes an account and answers its id.
pub async fn add(homeserver: &Homeserver, name: &str, password: &str, admin: bool) -> Result<String> {
    let user_id = homeserver.lifecycle.create_account(local(homeserver, name), password, admin).await?;
    Ok(user_id.to_string())
}

/// Up to `limit` accounts after the one of this number, in the order of their making.
pub async fn list(homeserver: &Homeserver, after: Option<u64>, limit: usize) -> Result<Vec<User>> {
    let accounts = homeserver.accounts.list(after.map(UserNum), limit).await?;
    let user = |(number, user_id, account): (UserNum, OwnedUserId, _)| {
        let matron_homeserver::schema::accounts::Account { admin, locked, suspended, deactivated, .. } = account;
        User { id: user_id.to_string(), number: number.0, admin, locked, suspended, deactivated }
    };
    Ok(accounts.into_iter().map(user).collect())
}

/// Gives an account another password, logs out its devices, and answers its id.
pub async fn set_password(homeserver: &Homeserver, name: &str, password: &str) -> Result<String> {
    let (user_id, user) = find(homeserver, name).await?;
    homeserver.lifecycle.set_password(user, password, true).await?;
    Ok(user_id)
}

/// Says something of an account and answers its id.
pub async fn mark(homeserver: &Homeserver, name: &str, mark: Mark) -> Result<String> {
    let (user_id, user) = find(homeserver, name).await?;
    match mark {
        Mark::Admin(admin) => homeserver.accounts.set_admin(user, admin).await?,
        Mark::Locked(locked) => homeserver.accounts.set_locked(user, locked).await?,
        Mark::Suspended(suspended) => homeserver.accounts.set_suspended(user, suspended).await?,
    }
    Ok(user_id)
}

/// Closes an account for good and answers its id.
pub async fn deactivate(homeserver: &Homeserver, name: &str, erase: bool) -> Result<String> {
    let (user_id, user) = find(homeserver, name).await?;
    homeserver.lifecycle.deactivate_user(user, erase).await?;
    Ok(user_id)
}

/// An account by its name or whole id.
pub async fn find(homeserver: &Homeserver, name: &str) -> Result<(String, UserNum)> {
    let found = homeserver.accounts.identify(name).await?;
    let missing = || Error::from(matron_matrix::Error::not_found(format!("there is no account {name}")));
    let (user_id, user, _) = found.ok_or_else(missing)?;
    Ok((user_id.to_string(), user))
}

/// The name alone, where somebody wrote the whole id of a user of this server.
fn local<'a>(homeserver: &Homeserver, name: &'a str) -> &'a str {
    let whole = name.strip_prefix('@').and_then(|rest| rest.split_once(':'));
    whole.filter(|(_, server)| *server == homeserver.config.server_name).map_or(name, |(local, _)| local)
}
