//! Media: where they lie, how much there may be, and previews of links.

use super::Key;

pub(super) const KEYS: &[Key] = &[
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
         memory for each while it is drawn smaller, eight if it has fine colours, a JPEG up to twelve and those of its file; \
         as many are drawn at once as there are cores, at most four.",
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
    Key::text(
        "media.s3.bucket",
        None,
        "\"matron-media\"",
        "The bucket's name. Needed with `s3`, like the key and its secret.",
    ),
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
    Key::toml(
        "url_previews.max_pictures_mib",
        Some("1024"),
        "256",
        "How much the pictures of previews may take together, in MiB: 16 to 1048576. They are kept for a day; where there is \
         no room, the oldest go before.",
    ),
];
