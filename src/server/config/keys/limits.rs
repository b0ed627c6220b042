//! How much is asked of the server at once.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::toml(
        "rate_limits.enabled",
        Some("true"),
        "false",
        "Whether clients that ask too often are told to wait, and how long (429, `M_LIMIT_EXCEEDED`). Off is for tests \
         alone: then passwords can be guessed as often as one likes, too.",
    )
    .reload(),
    Key::toml(
        "rate_limits.log_in",
        Some("{ burst = 200, per_minute = 300 }"),
        "{ burst = 50, per_minute = 60 }",
        "How often one address may log in and refresh tokens: `burst` times at once after a rest, `per_minute` for long, \
         each 1 to 1000000; so it is with all keys of this section. Many people may stand behind one address, at the \
         change of shift; wrong passwords are counted apart.",
    )
    .reload(),
    Key::toml(
        "rate_limits.register",
        Some("{ burst = 20, per_minute = 20 }"),
        "{ burst = 5, per_minute = 1 }",
        "How often one address may ask for an account. Making one takes a client two requests or more.",
    )
    .reload(),
    Key::toml(
        "rate_limits.join",
        Some("{ burst = 50, per_minute = 60 }"),
        "{ burst = 20, per_minute = 20 }",
        "How often one user may join rooms, knock, invite, and make or upgrade rooms.",
    )
    .reload(),
    Key::toml(
        "rate_limits.send",
        Some("{ burst = 100, per_minute = 600 }"),
        "{ burst = 20, per_minute = 60 }",
        "How often one user may write into rooms: messages, state, redactions, and also receipts and that they are \
         typing; and as often again send to devices, which clients do for up to a hundred devices at once where they share \
         the keys of encrypted rooms. Administrators set it otherwise for single users, bots say, by \
         `/_synapse/admin/v1/users/{user_id}/override_ratelimit`.",
    )
    .reload(),
    Key::toml(
        "rate_limits.media",
        Some("{ burst = 300, per_minute = 900 }"),
        "{ burst = 100, per_minute = 300 }",
        "How often one user may upload, download, and ask for thumbnails and previews of links; where media are had without \
         a token, one address.",
    )
    .reload(),
    Key::toml(
        "rate_limits.other",
        Some("{ burst = 300, per_minute = 1800 }"),
        "{ burst = 100, per_minute = 600 }",
        "How often one user, or one address where nobody is logged in, may do all else that Matrix marks as limited: \
         searching, profiles, key backups and so on. Sync is not among it.",
    )
    .reload(),
    Key::toml(
        "rate_limits.failed_per_account",
        Some("{ burst = 10, per_minute = 12 }"),
        "{ burst = 5, per_minute = 1 }",
        "How many wrong passwords are taken for one account, wherever they come from. After them the right one is not \
         taken either, for a while.",
    )
    .reload(),
    Key::toml(
        "rate_limits.failed_per_address",
        Some("{ burst = 60, per_minute = 60 }"),
        "{ burst = 20, per_minute = 10 }",
        "How many wrong passwords, log-in tokens, registration tokens and links are taken from one address.",
    )
    .reload(),
];
