//! Every figure is a file with one function that measures it. A new one: its file, and its line here.

use std::pin::Pin;

use crate::bench::Bench;

mod backup;
mod create_room;
mod delivery;
mod directory;
mod door;
mod floor;
mod fresh;
mod joins;
mod keys;
mod media;
mod messages;
mod parked;
mod push;
mod search;
mod send;
mod sync;
mod to_device;

type Measuring<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A figure, or some that are measured together.
pub struct Figure {
    pub name: &'static str,
    pub measure: for<'a> fn(&'a mut Bench) -> Measuring<'a>,
}

/// All that are measured where none is named, in the order of the table.
const USUAL: &[Figure] = &[
    Figure { name: "floor", measure: |bench| Box::pin(floor::measure(bench)) },
    Figure { name: "door", measure: |bench| Box::pin(door::measure(bench)) },
    Figure { name: "send", measure: |bench| Box::pin(send::measure(bench)) },
    Figure { name: "delivery", measure: |bench| Box::pin(delivery::measure(bench)) },
    Figure { name: "crowd", measure: |bench| Box::pin(delivery::measure_crowd(bench)) },
    Figure { name: "sync", measure: |bench| Box::pin(sync::measure(bench)) },
    Figure { name: "messages", measure: |bench| Box::pin(messages::measure(bench)) },
    Figure { name: "create_room", measure: |bench| Box::pin(create_room::measure(bench)) },
    Figure { name: "joins", measure: |bench| Box::pin(joins::measure(bench)) },
    Figure { name: "keys", measure: |bench| Box::pin(keys::measure(bench)) },
    Figure { name: "to_device", measure: |bench| Box::pin(to_device::measure(bench)) },
    Figure { name: "media", measure: |bench| Box::pin(media::measure(bench)) },
    Figure { name: "parked", measure: |bench| Box::pin(parked::measure(bench)) },
    Figure { name: "push", measure: |bench| Box::pin(push::measure(bench)) },
    Figure { name: "fresh", measure: |bench| Box::pin(fresh::measure(bench)) },
    Figure { name: "search", measure: |bench| Box::pin(search::measure(bench)) },
    Figure { name: "directory", measure: |bench| Box::pin(directory::measure(bench)) },
];

/// Those that take long, or much of the disk: measured where they are named.
const NAMED: &[Figure] = &[Figure { name: "backup", measure: |bench| Box::pin(backup::measure(bench)) }];

/// All of both.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    USUAL.iter().chain(NAMED)
}

/// A figure by its name.
pub fn find(name: &str) -> Option<&'static Figure> {
    all().find(|figure| figure.name == name)
}

/// Those that are measured where these are named.
pub fn chosen(names: &[String]) -> Vec<&'static Figure> {
    if names.is_empty() {
        return USUAL.iter().collect();
    }
    all().filter(|figure| names.iter().any(|name| name == figure.name)).collect()
}
