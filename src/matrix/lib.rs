//! Matrix's rules, pure: no store, no network, no clock.

pub mod authentication;
pub mod authorize;
pub mod canonical;
pub mod client_event;
pub mod digest;
pub mod error;
pub mod event;
pub mod filter;
pub mod policy;
pub mod power;
pub mod push;
pub mod resolve;
pub mod signed;
pub mod splice;
pub mod text;
pub mod visibility;

pub use error::{Error, Result};
