//! What the server is called, where it is reached, and whom it calls.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::text(
        "server_name",
        Some("\"localhost\""),
        "\"example.org\"",
        "The name that user ids and room ids end with: `@alice:example.org`. It is part of everything that is stored and \
         signed, so it can never be changed; choose it before the first start. An empty one, as in the package's file, stops the \
         start.",
    ),
    Key::text(
        "data_dir",
        Some("\"./data\""),
        "\"/var/lib/matron\"",
        "The folder that holds everything. It is made where it does not exist, and readable by its owner alone.",
    ),
    Key::text(
        "public_url",
        None,
        "\"https://matrix.example.org\"",
        "Where clients reach this server. It is told in `/.well-known/matrix/client`, by which they find it from the \
         server name alone; without it that document is not there.",
    ),
    Key::text(
        "default_room_version",
        Some("\"12\""),
        "\"11\"",
        "The version of new rooms, where the client names none: 6 to 12.",
    ),
    Key::toml(
        "extra_ca_files",
        Some("[]"),
        "[\"/etc/ssl/certs/our-ca.pem\"]",
        "PEM files of certificate authorities that are trusted when this server calls others, beside those of \
         the system. They are read at the start.",
    ),
    Key::toml(
        "outgoing.denied_networks",
        Some("[\"private\"]"),
        "[\"private\", \"198.51.100.0/24\"]",
        "Networks that this server does not call where somebody outside names the address: push gateways, previews of \
         links, other Matrix servers. `private` stands for all that are no part of the public Internet: this machine, the \
         networks around it, multicast.",
    ),
    Key::toml(
        "outgoing.allowed_networks",
        Some("[]"),
        "[\"10.20.30.40\"]",
        "Addresses or networks that are called though they lie in a denied one: a push gateway of one's own, say.",
    ),
    Key::toml(
        "federation.allowed_networks",
        Some("[]"),
        "[\"10.20.0.0/16\"]",
        "Addresses or networks where other Matrix servers are called though they lie in one of \
         `outgoing.denied_networks`: those of a trust's own, say. For push gateways and previews they stay closed; what \
         `outgoing.allowed_networks` names is open for servers too.",
    ),
    Key::toml(
        "trusted_proxies",
        Some("[]"),
        "[\"127.0.0.1\", \"10.0.0.0/8\"]",
        "Addresses or networks of reverse proxies. Behind them, and only behind them, a client's address is taken from \
         `X-Forwarded-For`; limits on requests go by it.",
    )
    .reload(),
    Key::toml(
        "listeners",
        Some("[{ bind = \"127.0.0.1:8008\" }]"),
        "[{ bind = \"0.0.0.0:8448\", tls_certificate = \"/etc/matron/tls.crt\", tls_key = \"/etc/matron/tls.key\" }]",
        "Where the server listens: one entry per address, in a file best written as `[[listeners]]` sections.",
    ),
    Key::text(
        "listeners[].bind",
        None,
        "\"[::]:8008\"",
        "Address and port. Port 0 takes a free one and names it in the log.",
    ),
    Key::text(
        "listeners[].tls_certificate",
        None,
        "\"/etc/matron/tls.crt\"",
        "A PEM file with the certificate and those between it and its authority. With `tls_key` it makes the listener \
         speak TLS; without both it is plain.",
    ),
    Key::text("listeners[].tls_key", None, "\"/etc/matron/tls.key\"", "A PEM file with the certificate's private key."),
];
