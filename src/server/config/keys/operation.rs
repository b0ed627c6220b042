//! What operators see of the server, and how store and backups are kept.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key::text("log.format", Some("\"text\""), "\"json\"", "`text` for people, `json` for programs."),
    Key::text(
        "log.filter",
        Some("\"info,ruma_state_res=warn\""),
        "\"info,matron_homeserver=debug\"",
        "What is logged: `error`, `warn`, `info`, `debug`, `trace`, for all or by part. At `info` every request that was \
         refused or failed is one line, at `debug` every other one too; `warn` leaves them out.",
    )
    .reload(),
    Key::text(
        "metrics.bind",
        Some("\"127.0.0.1:9008\""),
        "\"\"",
        "Where `/metrics` is served for Prometheus (and `/health` and `/ready` too). Empty: nowhere. Where another program has the \
         port, the server starts all the same and tries again.",
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
    )
    .reload(),
    Key::text("backup.s3.region", Some("\"us-east-1\""), "\"eu-west-2\"", "The region of the bucket for backups.")
        .reload(),
    Key::text("backup.s3.endpoint", None, "\"https://s3.example.org\"", "Where the object store is, if not at Amazon.")
        .reload(),
    Key::toml(
        "backup.s3.path_style",
        Some("true"),
        "false",
        "Whether the bucket's name stands in the path of an address, or in the name of the host.",
    )
    .reload(),
    Key::text(
        "backup.s3.access_key_id",
        None,
        "\"AKIA…\"",
        "The key that opens the bucket. Needed with `s3://…`, like its secret; it should be another one than that of media.",
    )
    .reload(),
    Key::text(
        "backup.s3.secret_access_key",
        None,
        "\"…\"",
        "The secret that goes with the key. `backup.s3.secret_access_key_file` may stand instead.",
    )
    .secret()
    .reload(),
    Key::text(
        "backup.s3.secret_access_key_file",
        None,
        "\"/run/secrets/matron-backup\"",
        "A file that holds the secret alone.",
    )
    .reload(),
];
