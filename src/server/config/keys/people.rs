//! Who gets an account here, and what people find.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::text(
        "registration.mode",
        Some("\"closed\""),
        "\"token\"",
        "Who may make an account: `closed` (nobody, but for administrators and the shared secret), `token` (who has one of \
         `registration.tokens`) or `open` (everybody who reaches the server).",
    ),
    Key::toml(
        "registration.tokens",
        Some("[]"),
        "[\"welcome-2026\"]",
        "The tokens of mode `token`; each may be used any number of times.",
    )
    .secret(),
    Key::text(
        "registration.shared_secret",
        None,
        "\"a long random text\"",
        "The secret for programs that make accounts by `/_synapse/admin/v1/register`. That endpoint is off without it.",
    )
    .secret(),
    Key::toml(
        "registration.require_email",
        Some("false"),
        "true",
        "Whether an account is made only with an e-mail address that its user has proved to be theirs. Needs `mail`. It \
         does not concern accounts that are made by administrators or with the shared secret.",
    ),
    Key::text(
        "room_list.publish",
        Some("\"everybody\""),
        "\"administrators\"",
        "Who may put a room into the list of published rooms: `everybody` (whose power in the room suffices to change its \
         main alias) or `administrators`.",
    ),
    Key::toml(
        "room_list.without_account",
        Some("false"),
        "true",
        "Whether that list, and what it tells of single rooms, is shown to people who are not logged in.",
    ),
    Key::text(
        "user_directory.search",
        Some("\"known\""),
        "\"all\"",
        "Whom a search for people finds: `known` (those with whom one shares a room, and those in rooms that everybody may \
         join or read) or `all` (everybody with an account here).",
    ),
    Key::toml(
        "search.enabled",
        Some("true"),
        "false",
        "Whether what is said in rooms that are not encrypted can be searched. The index of words follows the rooms in the \
         background; where all rooms are encrypted it is empty.",
    ),
    Key::toml("guests.enabled", Some("false"), "true", "Whether guests may come in without an account."),
    Key::toml(
        "presence.enabled",
        Some("false"),
        "true",
        "Whether users see who is there (online, idle, offline). Off by default: every change is told to everybody who \
         shares a room, which on a large server is a good part of all work.",
    ),
];
