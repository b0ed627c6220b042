//! The first start: an administrator where there is nobody, and what to do next.

use std::io::IsTerminal as _;
use std::path::Path;

use matron_homeserver::Homeserver;

use crate::data::Data;
use crate::failure::Result;
use crate::{password, users};

const ADMIN: &str = "admin";
const FILE: &str = "admin-password";

/// The administrator that was made.
pub struct Founder {
    user_id: String,
    /// How the password is written in a shell: itself, or where it is.
    shell: String,
    /// How it is told to people.
    told: String,
}

/// Makes an administrator where the store has no user. A password that no terminal can show lies in a private file before
/// the account is made, so that it is never lost.
///
/// # Errors
/// The store or the file cannot be written.
pub async fn found(homeserver: &Homeserver, data: &Data) -> Result<Option<Founder>> {
    if !users::none(homeserver).await? {
        return Ok(None);
    }
    let password = password::random();
    let (shell, told) = if std::io::stdout().is_terminal() {
        (password.clone(), format!("{password}   (shown this once)"))
    } else {
        let path = data.write_private(FILE, &format!("{password}\n"))?;
        let path = std::path::absolute(&path).unwrap_or(path).display().to_string();
        tracing::info!(file = path, "an administrator is made; the password is in the file");
        (format!("$(cat '{path}')"), format!("in {path}"))
    };
    let user_id = users::add(homeserver, ADMIN, &password, true).await?;
    Ok(Some(Founder { user_id, shell, told }))
}

/// What to do next: `here` is the server's address on this machine, `public` the one that clients are told where there is one.
/// Commands are to find the server by the same configuration file.
pub fn next_steps(founder: &Founder, here: &str, public: Option<&str>, file: Option<&Path>) -> String {
    let server = public.unwrap_or(here);
    let Founder { user_id, shell, told } = founder;
    let mut program = std::env::args().next().unwrap_or_else(|| "matron".to_owned());
    if let Some(file) = file {
        program = format!("{program} --config {}", file.display());
    }
    format!(
        r#"
Matron runs, and has its first account:

  server      {server}
  user        {user_id}
  password    {told}

With Element (https://app.element.io, or the desktop app): sign in, "Edit" beside the homeserver, enter the server
above, then user and password. More people: {program} user add alice --random

Or a first message by curl:

  TOKEN=$(curl -s {here}/_matrix/client/v3/login -d '{{"type":"m.login.password","identifier":{{"type":"m.id.user","user":"{ADMIN}"}},"password":"'"{shell}"'"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  ROOM=$(curl -s -H "Authorization: Bearer $TOKEN" {here}/_matrix/client/v3/createRoom -d '{{"name":"First room"}}' | sed 's/.*"room_id":"\([^"]*\)".*/\1/')
  curl -X PUT -H "Authorization: Bearer $TOKEN" "{here}/_matrix/client/v3/rooms/$ROOM/send/m.room.message/1" -d '{{"msgtype":"m.text","body":"Hello"}}'

"#
    )
}
