//! What the letters say by which somebody proves that an address is theirs.

use ruma::{ServerName, UserId};

use crate::remote::mail::{Letter, escaped};
use crate::schema::accounts::Purpose;

/// A letter with a link; where the link would be no good, one that says so: only who reads the address's letters learns
/// whether it is known.
pub(super) fn letter(
    purpose: Purpose,
    server_name: &ServerName,
    address: &str,
    owner: Option<&UserId>,
    link: &str,
) -> Letter {
    let (subject, says, link) = match (purpose, owner) {
        (Purpose::Add, None) => (
            format!("Confirm your e-mail address for {server_name}"),
            format!("Somebody, hopefully you, wants to add the address {address} to an account of {server_name}."),
            Some(link),
        ),
        (Purpose::Register, None) => (
            format!("Confirm your e-mail address for {server_name}"),
            format!("Somebody, hopefully you, wants to make an account of {server_name} with the address {address}."),
            Some(link),
        ),
        (Purpose::Password, Some(owner)) => (
            format!("Set a new password for {server_name}"),
            format!("Somebody, hopefully you, wants to set a new password for {owner}."),
            Some(link),
        ),
        (Purpose::Add | Purpose::Register, Some(owner)) => (
            format!("Your e-mail address and {server_name}"),
            format!(
                "Somebody, hopefully you, wanted to use the address {address} for an account of {server_name}. It belongs \
                 to {owner} already, so nothing was changed."
            ),
            None,
        ),
        (Purpose::Password, None) => (
            format!("Your e-mail address and {server_name}"),
            format!(
                "Somebody, hopefully you, wanted to set a new password for an account of {server_name} with the address \
                 {address}. No account has this address, so nothing was changed."
            ),
            None,
        ),
    };
    let ending = match link {
        Some(_) => "If it was not you, do nothing: without the link nothing happens. It works for an hour.",
        None => "If it was not you, you need not do anything.",
    };
    let link_text = link.map(|link| format!("To go on, open this link:\n\n{link}\n\n")).unwrap_or_default();
    let link_html = link.map(|link| format!("<p><a href=\"{}\">Go on</a></p>\n", escaped(link))).unwrap_or_default();
    Letter {
        to: address.to_owned(),
        subject,
        text: format!("{says}\n\n{link_text}{ending}\n"),
        html: format!("<p>{}</p>\n{link_html}<p>{ending}</p>\n", escaped(&says)),
        unsubscribe: None,
    }
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::letter;
    use crate::schema::accounts::Purpose;

    #[test]
    fn a_link_that_can_do_nothing_is_not_sent() {
        let (server, address, link) = (server_name!("trust.example"), "ann@trust.example", "https://x/?a=1&b=2");
        let owner = user_id!("@ann:trust.example");
        for (purpose, owner, has_link) in [
            (Purpose::Add, None, true),
            (Purpose::Register, None, true),
            (Purpose::Password, Some(owner), true),
            (Purpose::Add, Some(owner), false),
            (Purpose::Register, Some(owner), false),
            (Purpose::Password, None, false),
        ] {
            let letter = letter(purpose, server, address, owner, link);
            assert_eq!(letter.text.contains(link), has_link, "{purpose:?} {owner:?}");
            assert_eq!(letter.html.contains("https://x/?a=1&amp;b=2"), has_link);
            assert_eq!(letter.to, address);
        }
    }
}
