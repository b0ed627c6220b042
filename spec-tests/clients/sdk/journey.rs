//! Two people, four devices: what a person does in Element X, done by its own library against a running server.
//!
//! Wants `MATRON_URL` (base URL of the server) and `MATRON_SHARED_SECRET` (its registration secret); `./run` gives both.
//! User names are random, so the same server can be walked again and again.

// The library's futures are nested deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod account;
mod chapters {
    pub mod attachments;
    pub mod goodbye;
    pub mod key_backup;
    pub mod meeting;
    pub mod second_device;
    pub mod sign_in;
    pub mod talk;
    pub mod third_device;
    pub mod verification;
}
mod device;
mod password;
mod sdk_log;
mod step;
mod timeline;
mod wait;
mod world;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use chapters::{attachments, goodbye, key_backup, meeting, second_device, sign_in, talk, third_device, verification};
use world::World;

// One thread, the first one: its stack has room for what the library nests.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    sdk_log::keep();
    let world = match World::from_environment() {
        Ok(world) => world,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let walked = Box::pin(journey(&world)).await;
    step::tell_all(began, walked.is_ok());
    if walked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The chapters, each with what the ones before it found.
async fn journey(world: &World) -> Result<()> {
    let people = Box::pin(sign_in::walk(world)).await?;
    let room = Box::pin(meeting::walk(&people)).await?;
    let said = Box::pin(talk::walk(&people, &room)).await?;
    Box::pin(attachments::walk(&people, &room)).await?;
    Box::pin(verification::walk(&people)).await?;
    Box::pin(key_backup::walk(&people, &room, &said)).await?;
    let second = Box::pin(second_device::walk(world, &people, &room, &said)).await?;
    let third = Box::pin(third_device::walk(world, &people, &room, &said)).await?;
    Box::pin(goodbye::walk(world, people, second, third)).await
}
