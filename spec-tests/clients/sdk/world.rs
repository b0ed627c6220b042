//! Where the journey goes: the server, and a way to ask it without the library.

use std::env;

use anyhow::{Context, Result};

pub struct World {
    pub url: String,
    pub shared_secret: String,
    pub http: reqwest::Client,
}

impl World {
    pub fn from_environment() -> Result<Self> {
        let var = |name: &str| {
            env::var(name).with_context(|| format!("{name} is not set; ./run starts a server and sets it"))
        };
        Ok(Self {
            url: var("MATRON_URL")?.trim_end_matches('/').to_owned(),
            shared_secret: var("MATRON_SHARED_SECRET")?,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }
}
