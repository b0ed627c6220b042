//! The one table of keys: what each is called, means and is by default. Reading, `config show` and the docs all use it.

/// How a key's value is written in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is, without quotes.
    Text,
    /// As in the file: a number, `true`, a list.
    Toml,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted name; `listeners[].bind` is a key of each entry of a list.
    pub name: &'static str,
    /// How the environment has it.
    pub form: Form,
    /// What it is where nobody says otherwise, in TOML; nothing where it is then absent.
    pub default: Option<&'static str>,
    /// A value to start from, in TOML.
    pub example: &'static str,
    /// Whether nobody may see it.
    pub secret: bool,
    /// Whether a reload takes it over.
    pub reload: bool,
    /// What it means.
    pub doc: &'static str,
}

impl Key {
    const fn text(name: &'static str, default: Option<&'static str>, example: &'static str, doc: &'static str) -> Self {
        Self { name, form: Form::Text, default, example, secret: false, reload: false, doc }
    }

    const fn toml(name: &'static str, default: Option<&'static str>, example: &'static str, doc: &'static str) -> Self {
        Self { name, form: Form::Toml, default, example, secret: false, reload: false, doc }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn reload(self) -> Self {
        Self { reload: true, ..self }
    }

    /// The variable that sets it; none for the keys of a list's entries, which are set with the whole list.
    pub fn variable(&self) -> Option<String> {
        (!self.name.contains('[')).then(|| format!("{PREFIX}{}", self.name.replace('.', "__").to_uppercase()))
    }
}

/// What every variable begins with.
pub const PREFIX: &str = "MATRON_";

/// Every key, in the order of the docs.
pub const KEYS: &[Key] = &[
    Key::text(
        "server_name",
        Some("\"localhost\""),
        "\"example.org\"",
        "The name that user ids and room ids end with: `@alice:example.org`. It is part of everything that is stored and \
         signed, so it can never be changed; choose it before the first start.",
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
         typing. Administrators set it otherwise for single users, bots say, by \
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
         and server name. Its account is made at the first notice; a name that begins with `_` can be nobody else's. \
         Without it there are no notices.",
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
    Key::text("log.format", Some("\"text\""), "\"json\"", "`text` for people, `json` for programs."),
    Key::text(
        "log.filter",
        Some("\"info,ruma_state_res=warn\""),
        "\"info,matron_homeserver=debug\"",
        "What is logged: `error`, `warn`, `info`, `debug`, `trace`, for all or by part. At `info` every request is one \
         line; `warn` leaves those out.",
    )
    .reload(),
    Key::text(
        "metrics.bind",
        Some("\"127.0.0.1:9090\""),
        "\"\"",
        "Where `/metrics` is served for Prometheus (and `/health` and `/ready` too). Empty: nowhere.",
    ),
    Key::text(
        "traces.endpoint",
        None,
        "\"http://127.0.0.1:4318\"",
        "Where OpenTelemetry traces are sent, by OTLP over HTTP (protobuf): the address of a collector; `/v1/traces` is added \
         where it has no path. Without it nothing is traced. A trace names no user, room or address.",
    ),
    Key::toml(
        "traces.sample",
        Some("0.1"),
        "1.0",
        "Which part of the requests is traced: 0 to 1. Where a trusted proxy began a trace, its decision holds.",
    ),
    Key::toml(
        "store.cache_mib",
        Some("256"),
        "1024",
        "Memory for the store's blocks and write buffers, in MiB: 16 to 1048576.",
    ),
    Key::text(
        "backup.place",
        None,
        "\"/var/backups/matron\"",
        "The place in which `matron db backup` keeps backups, and from which the other commands of `matron db` read: a folder, \
         which belongs on other disks than `data_dir`, or `s3://BUCKET/PREFIX`, a part of a bucket of an object store that \
         speaks S3. It holds nothing else.",
    ),
    Key::text("backup.s3.region", Some("\"us-east-1\""), "\"eu-west-2\"", "The region of the bucket for backups."),
    Key::text("backup.s3.endpoint", None, "\"https://s3.example.org\"", "Where the object store is, if not at Amazon."),
    Key::toml(
        "backup.s3.path_style",
        Some("true"),
        "false",
        "Whether the bucket's name stands in the path of an address, or in the name of the host.",
    ),
    Key::text(
        "backup.s3.access_key_id",
        None,
        "\"AKIA…\"",
        "The key that opens the bucket. Needed with `s3://…`, like its secret; it should be another one than that of media.",
    ),
    Key::text(
        "backup.s3.secret_access_key",
        None,
        "\"…\"",
        "The secret that goes with the key. `backup.s3.secret_access_key_file` may stand instead.",
    )
    .secret(),
    Key::text(
        "backup.s3.secret_access_key_file",
        None,
        "\"/run/secrets/matron-backup\"",
        "A file that holds the secret alone.",
    ),
    Key::text(
        "media.storage",
        Some("\"folder\""),
        "\"s3\"",
        "Where the bytes of media lie: `folder` (of this machine) or `s3` (a bucket of an object store that speaks S3).",
    ),
    Key::text(
        "media.folder",
        None,
        "\"/srv/matron-media\"",
        "The folder for media; without it, `media` in the data folder. With `s3`, uploads are gathered in it until they are \
         whole, and it may be empty at every start.",
    ),
    Key::toml(
        "media.max_upload_mib",
        Some("100"),
        "50",
        "The largest upload, in MiB: 1 to 1048576. A reverse proxy must let as much pass.",
    ),
    Key::toml(
        "media.max_megapixels",
        Some("50"),
        "32",
        "The largest picture that thumbnails are made of, in millions of pixels: 1 to 1000. A picture takes four bytes of \
         memory for each while it is drawn smaller, eight if it has fine colours; as many are drawn at once as there are cores, at most four.",
    ),
    Key::toml(
        "media.user_quota_mib",
        None,
        "2048",
        "How much one user may have uploaded in all, in MiB: 1 to 1073741824. Without it there is no bound.",
    ),
    Key::toml(
        "media.unauthenticated",
        Some("false"),
        "true",
        "Whether media uploaded from now on can also be had without an access token, at the old addresses below \
         `/_matrix/media`, as clients and servers from before Matrix 1.11 do. What was uploaded meanwhile stays so when this \
         is turned off.",
    ),
    Key::text("media.s3.bucket", None, "\"matron-media\"", "The bucket's name. Needed with `s3`, like the key and its secret."),
    Key::text("media.s3.region", Some("\"us-east-1\""), "\"eu-west-2\"", "The bucket's region."),
    Key::text("media.s3.endpoint", None, "\"https://s3.example.org\"", "Where the object store is, if not at Amazon."),
    Key::text("media.s3.prefix", None, "\"matron/\"", "What the names of all objects in the bucket begin with."),
    Key::toml(
        "media.s3.path_style",
        Some("true"),
        "false",
        "Whether the bucket's name stands in the path of an address, as most object stores of one's own want it, or in the \
         name of the host.",
    ),
    Key::text("media.s3.access_key_id", None, "\"AKIA…\"", "The key that opens the bucket."),
    Key::text(
        "media.s3.secret_access_key",
        None,
        "\"…\"",
        "The secret that goes with the key. `media.s3.secret_access_key_file` may stand instead.",
    )
    .secret(),
    Key::text(
        "media.s3.secret_access_key_file",
        None,
        "\"/run/secrets/matron-media\"",
        "A file that holds the secret alone.",
    ),
    Key::toml(
        "url_previews.enabled",
        Some("false"),
        "true",
        "Whether the server looks at web pages that users write about, so that clients can show what is there. It then \
         calls addresses that users choose: see `outgoing.denied_networks`.",
    ),
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

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
