//! What the black-box tests stand on: a real server as a child process, and users who call it over HTTP.
//!
//! Tests panic where something is not as it must be; that is what they are for.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod gateway;
mod mail;
mod object_store;
mod policy;
mod server;
mod user;

pub use gateway::{Gateway, pusher};
pub use mail::{Letter, MailServer};
pub use object_store::ObjectStore;
pub use policy::{POLICY_ROOM_VERSION, PolicyServer};
pub use server::{SHARED_SECRET, Server};
pub use user::{Answer, PASSWORD, User, unique};
