//! The keys of e-mail.

use matron_homeserver::config::{Mail, MailSecurity};
use matron_homeserver::remote::mail::is_mailbox;
use serde::Deserialize;

use super::source::Source;
use super::values::{text, url, within};

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Security {
    Tls,
    StartTls,
    None,
}

/// None where it is off, and where it is wrong: that is noted.
pub fn read(source: &mut Source<'_>, has_public_url: bool) -> Option<Mail> {
    let host = text(source, "mail.host");
    let port = within(source, "mail.port", 1, u32::from(u16::MAX))?;
    let security = match source.get("mail.security")? {
        Security::Tls => MailSecurity::Tls,
        Security::StartTls => MailSecurity::StartTls,
        Security::None => MailSecurity::None,
    };
    let (username, password) = (text(source, "mail.username"), text(source, "mail.password"));
    if username.is_some() != password.is_some() {
        source.wrong("mail.username", "mail.username and mail.password stand together, or neither does");
    }
    let from = text(source, "mail.from");
    if from.as_ref().is_some_and(|from| !is_mailbox(from)) {
        source.wrong("mail.from", "an address such as Ward Chat <chat@example.org> is needed");
    }
    let client_url = url(source, "mail.client_url");
    let hide_addresses = source.get("mail.hide_addresses")?;
    let required = source.get("registration.require_email")?;
    if required && host.is_none() {
        source.wrong("registration.require_email", "`mail.host` is needed for it");
    }
    let host = host?;
    if !has_public_url {
        source.wrong("mail.host", "`public_url` is needed for it: links in e-mails begin with it");
    }
    if from.is_none() {
        source.wrong("mail.host", "`mail.from` is needed for it");
    }
    let port = u16::try_from(port).ok()?;
    Some(Mail { host, port, security, username, password, from: from?, client_url, hide_addresses, required })
}
