//! Whom people turn to.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::text(
        "support.email",
        None,
        "\"help@example.org\"",
        "Whom to write to about this server, told in `/.well-known/matrix/support`.",
    ),
    Key::text(
        "support.page",
        None,
        "\"https://example.org/help\"",
        "A page about this server's support, told there too.",
    ),
];
