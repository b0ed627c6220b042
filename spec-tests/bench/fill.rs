//! Filling a store: people, rooms and talk come in by the domain's own doors, not by HTTP and not by hand-written rows.

mod keys;
mod people;
mod rooms;
mod talk;

use std::time::Instant;

use crate::domain;
use crate::machine::commit;
use crate::meter::Meter;
use crate::world::{Shelf, Size, World};

/// Fills a store of this size and keeps it.
pub async fn fill(shelf: &Shelf, size: Size) -> World {
    let folder = shelf.clear();
    eprintln!(
        "Filling a store, once: {} people, {} rooms (one of {} members, one account in {}), {} events.",
        size.people, size.rooms, size.large, size.many, size.events
    );
    let (begun, meter) = (Instant::now(), Meter::of(std::process::id()));
    let cpu = meter.cpu();
    let told = |what: &str| eprintln!("  {what}: {:.0} s", begun.elapsed().as_secs_f64());

    let server = domain::open(&folder, false).await;
    let people = people::register(&server, size.people).await;
    // Those at the end speak in no figure but those of keys.
    let keyed = size.people - size.keyed..size.people;
    keys::publish(&server, &people[keyed.clone()], size.one_time_keys).await;
    told("people");
    let mut rooms = rooms::found(&server, &people, &size).await;
    told("rooms");
    rooms.events += talk::talk(&server, &people, &rooms, size.events - rooms.events).await;
    told("events");
    domain::close(server).await;

    settle(shelf).await;
    told("compacted");
    let filled_in = (begun.elapsed().as_secs_f64(), (meter.cpu() - cpu) / 1000.0);
    let world = World {
        size,
        people,
        large: rooms.large,
        hundred: rooms.hundred,
        fifty: rooms.fifty,
        quiet: rooms.quiet,
        pairs: rooms.pairs,
        wards: rooms.wards,
        keyed,
        events: rooms.events,
        filled_in,
        filled_by: commit(),
    };
    shelf.keep(&world);
    world
}

/// Opens the kept store once more: what stands in the log alone goes into files. With its first commit the snapshot that it
/// opened with goes, and files are rewritten that held rows for it: every start would do that otherwise. Then there is
/// nothing to compact.
pub async fn settle(shelf: &Shelf) {
    let (server, meter) = (domain::open(&shelf.kept(), true).await, Meter::of(std::process::id()));
    let somebody = domain::session(&server, "@person2:localhost").await;
    server.accounts.set_account_data(somebody.user, None, "org.example.settled", "{}").await.unwrap();
    meter.quiet().await;
    domain::close(server).await;
}
