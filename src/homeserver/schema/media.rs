//! Media: what was uploaded, which files hold it, and what was made or fetched for it.
//!
//! A medium is named as in its `mxc://` address, without the scheme: `example.org/abc`. The bytes themselves lie in files
//! named by their SHA-256, outside the store.

use matron_storage::{Family, Keyspace, labels};

use super::{Digest, UserNum};

labels! {
    /// How a medium came here.
    pub enum Origin {
        /// A user of this server uploaded it.
        Upload = 1,
        /// It was fetched for the preview of a page, and goes with it.
        Preview = 2,
        /// It is another server's, kept so that it need not be fetched again.
        Remote = 3,
    }
}

matron_storage::record! {
    /// What a medium's bytes are.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Content {
        /// The file that holds them.
        pub file: Digest,
        /// How many there are.
        pub bytes: u64,
        /// The `Content-Type`, as it was told.
        pub content_type: String,
        /// The file's name, as it was told.
        pub file_name: Option<String>,
    }
}

matron_storage::record! {
    /// A medium.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Medium {
        /// How it came here.
        pub origin: Origin,
        /// Who uploaded it, or may.
        pub user: Option<UserNum>,
        /// When its name was given, in milliseconds since 1970.
        pub created: u64,
        /// What its bytes are; none while they are awaited.
        pub content: Option<Content>,
        /// When it goes: by then its bytes must be here, or its preview is old.
        pub expires: Option<u64>,
        /// Whether it is also served where no token is asked for.
        pub open: bool,
        /// Which administrator put it out of reach; user 0 is whoever runs the server.
        pub quarantined: Option<UserNum>,
    }
}

matron_storage::record! {
    /// What a user has uploaded, or what previews have.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Usage {
        /// Media.
        pub media: u64,
        /// Their bytes, each medium for itself.
        pub bytes: u64,
    }
}

labels! {
    /// How a thumbnail fills its size.
    pub enum Fit {
        /// The whole picture, at its own ratio.
        Scale = 1,
        /// A part of the picture, at the ratio of the size.
        Crop = 2,
        /// As `Scale`, moving.
        ScaleAnimated = 3,
        /// As `Crop`, moving.
        CropAnimated = 4,
    }
}

labels! {
    /// The form of a thumbnail.
    pub enum Form {
        /// `image/png`
        Png = 1,
        /// `image/jpeg`
        Jpeg = 2,
        /// `image/gif`
        Gif = 3,
        /// `image/webp`
        WebP = 4,
    }
}

matron_storage::record! {
    /// A thumbnail that was made.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Thumbnail {
        /// Its form.
        pub form: Form,
        /// Whether the picture itself does, since it is not larger: then the thumbnail has no file.
        pub is_original: bool,
        /// How many bytes it has.
        pub bytes: u64,
    }
}

matron_storage::record! {
    /// What was found at a web page.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Preview {
        /// Until when it is true, in milliseconds since 1970.
        pub expires: u64,
        /// The answer's JSON; none where the page could not be had.
        pub answer: Option<String>,
    }
}

/// Media by their names.
pub const MEDIA: Keyspace<String, Medium> = Keyspace::new(0x0601, "media", Family::Point);
/// Which media a file holds the bytes of. A file without any is swept.
pub const FILE_MEDIA: Keyspace<(Digest, String), ()> = Keyspace::new(0x0602, "media of files", Family::Index);
/// A user's media, by the time when they were made.
pub const USER_MEDIA: Keyspace<(UserNum, u64, String), ()> = Keyspace::new(0x0603, "media of users", Family::Index);
/// What users have uploaded.
pub const USAGE: Keyspace<UserNum, Usage> = Keyspace::new(0x0604, "media usage", Family::Point);
/// Names that were given to a user whose bytes are awaited, and until when.
pub const AWAITED: Keyspace<(UserNum, String), u64> = Keyspace::new(0x0605, "media awaited", Family::Index);
/// Media that go, by when they go.
pub const MEDIA_EXPIRY: Keyspace<(u64, String), ()> = Keyspace::new(0x0606, "media expiry", Family::Index);
/// Thumbnails of a file: width, height, how they fill it.
pub const THUMBNAILS: Keyspace<(Digest, u32, u32, Fit), Thumbnail> = Keyspace::new(0x0607, "thumbnails", Family::Point);
/// Previews, by the digest of their address.
pub const PREVIEWS: Keyspace<Digest, Preview> = Keyspace::new(0x0608, "previews", Family::Point);
/// Previews, by when they are old.
pub const PREVIEW_EXPIRY: Keyspace<(u64, Digest), ()> = Keyspace::new(0x0609, "preview expiry", Family::Index);
/// What the pictures of all previews have together; no row until the first is kept or goes that is counted.
pub const PREVIEW_USAGE: Keyspace<(), Usage> = Keyspace::new(0x060a, "preview usage", Family::Point);
