//! User-interactive authentication by password: try without, read the server's flows, answer with the password.

use anyhow::{Result, ensure};
use matrix_sdk::ruma::api::client::uiaa::{AuthData, AuthType, Password, UiaaInfo};

use crate::account::Account;

/// Calls `request`, first without authentication. The server may let that pass (it does for a user's first
/// cross-signing keys) or ask for the password.
pub async fn with_password<T>(
    account: &Account,
    request: impl AsyncFn(Option<AuthData>) -> matrix_sdk::Result<T>,
) -> Result<T> {
    let refusal = match request(None).await {
        Ok(done) => return Ok(done),
        Err(refusal) => refusal,
    };
    let Some(asked) = refusal.as_uiaa_response() else { return Err(refusal.into()) };
    let auth = answer(account, asked)?;
    Ok(request(Some(auth)).await?)
}

/// The password, as an answer to what the server asks for: of its flows, one must want nothing else.
pub fn answer(account: &Account, asked: &UiaaInfo) -> Result<AuthData> {
    let alone = asked.flows.iter().any(|flow| flow.stages == [AuthType::Password]);
    ensure!(alone, "no flow by password alone in {asked:?}");
    let mut password = Password::new(account.user_id.clone().into(), account.password.clone());
    password.session = asked.session.clone();
    Ok(AuthData::Password(password))
}
