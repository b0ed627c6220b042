//! What the server does for its users besides rooms: calls, notices, pushes, e-mail; and how it keeps what is theirs.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::toml(
        "turn.uris",
        Some("[]"),
        "[\"turn:turn.example.org?transport=udp\"]",
        "TURN servers that carry the calls of clients that do not reach each other. Without any, clients are told of none.",
    ),
    Key::text(
        "turn.shared_secret",
        None,
        "\"a long random text\"",
        "The secret that the TURN servers know too (coturn's `static-auth-secret`): clients get passwords made with it, each \
         for a while.",
    )
    .secret(),
    Key::text("turn.username", None, "\"matrix\"", "One user name for all clients, where there is no shared secret."),
    Key::text("turn.password", None, "\"a password\"", "The password that goes with `turn.username`.").secret(),
    Key::toml("turn.ttl_seconds", Some("86400"), "3600", "For how many seconds clients use what they were given: 60 to 604800."),
    Key::text(
        "server_notices.localpart",
        None,
        "\"notices\"",
        "The user in whose name administrators send notices to users (`/_synapse/admin/v1/send_server_notice`), without `@` \
         and server name. Its account is made at the first notice; nobody can register the name. Where somebody had it \
         before and can log in, since the account has a password, notices are refused. Without this key there are none.",
    ),
    Key::text("server_notices.display_name", Some("\"Server notices\""), "\"IT department\"", "The name that this user is shown by."),
    Key::text("server_notices.room_name", Some("\"Server notices\""), "\"IT department\"", "The name of the rooms that notices come in."),
    Key::toml(
        "password_hashing.memory_kib",
        Some("19456"),
        "65536",
        "Memory that one password's hash (argon2id) takes, in KiB: 8 to 4194304.",
    ),
    Key::toml("password_hashing.iterations", Some("2"), "3", "Passes over that memory: 1 to 1000."),
    Key::toml(
        "push.plain_gateways",
        Some("false"),
        "true",
        "Whether people may name push gateways that are called without TLS: for a gateway of one's own, inside one's own \
         network. Its address must be allowed as well (`outgoing.allowed_networks`).",
    ),
    Key::toml(
        "push.count_rooms",
        Some("false"),
        "true",
        "What the number beside an app's icon counts: unread messages, or with `true` the rooms that have any.",
    ),
    Key::toml(
        "push.email_after_seconds",
        Some("600"),
        "1800",
        "How long something is unread before those who want it get an e-mail about it.",
    ),
    Key::toml(
        "push.email_pause_seconds",
        Some("3600"),
        "7200",
        "The shortest time between two such e-mails to one address. It doubles with each, up to a day, until there was \
         peace for half a day.",
    ),
    Key::text(
        "mail.host",
        None,
        "\"smtp.example.org\"",
        "The SMTP server that e-mail is sent by. Without it no e-mail is sent, and accounts have no addresses. Needs \
         `public_url`, which links in e-mails begin with, and `mail.from`.",
    ),
    Key::toml("mail.port", Some("587"), "25", "Its port."),
    Key::text(
        "mail.security",
        Some("\"starttls\""),
        "\"tls\"",
        "How it is spoken to: `starttls` (by TLS after a first word, or not at all), `tls` (by TLS from the first byte, \
         mostly on port 465) or `none` (in the clear: inside one's own network alone).",
    ),
    Key::text("mail.username", None, "\"matron\"", "Who this server is to it; it stands with `mail.password`."),
    Key::text("mail.password", None, "\"a password\"", "The password that goes with it.").secret(),
    Key::text("mail.from", None, "\"Ward Chat <chat@example.org>\"", "Whom e-mails come from."),
    Key::text(
        "mail.client_url",
        None,
        "\"https://element.example.org\"",
        "Where people read their messages: e-mails about unread ones link to it.",
    ),
    Key::toml(
        "mail.hide_addresses",
        Some("true"),
        "false",
        "Whether who asks for an e-mail gets the same answer for addresses that belong to an account and those that do \
         not: then only the e-mail itself says so. `false` tells everybody, which some find more comfortable.",
    ),
    Key::toml(
        "redaction.keep_days",
        Some("7"),
        "0",
        "Days for which the content of a redacted message is kept, hidden from everybody, before it is overwritten for \
         good: 0 to 3650.",
    ),
];
