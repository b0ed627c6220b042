//! Every call out to other servers: whom this server trusts, which addresses it calls, and how much it takes from them.

pub mod addresses;
pub mod bucket;
pub mod http;
pub mod mail;
pub mod trust;
