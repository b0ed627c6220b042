//! Every call out to other servers: whom this server trusts, which addresses it calls, and how much it takes from them.

pub mod addresses;
pub mod bucket;
pub mod dns;
#[cfg(test)]
pub(crate) mod fixture;
pub mod http;
pub mod locate;
pub mod mail;
pub mod servers;
pub mod trust;
pub mod well_known;

/// Who this server is to those that it calls.
const AGENT: &str = concat!("Matron/", env!("CARGO_PKG_VERSION"));
