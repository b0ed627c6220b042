//! The domain: rooms, sync, followers, push, e-mail, media, backups, caches.

use std::fmt;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::meters::Held;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;

/// Asks this homeserver.
#[derive(Debug)]
pub struct Collect(pub Arc<Homeserver>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (homeserver, mut sheet) = (&*self.0, Sheet(encoder));
        rooms(homeserver, &mut sheet)?;
        sync(homeserver, &mut sheet)?;
        followers(homeserver, &mut sheet)?;
        push(homeserver, &mut sheet)?;
        media(homeserver, &mut sheet)?;
        backups(homeserver, &mut sheet)?;
        people(homeserver, &mut sheet)?;
        caches(homeserver, &mut sheet)
    }
}

fn rooms(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let meters = &homeserver.rooms.meters;
    sheet.counters(("events_placed", "standing"), "Events that were written into rooms", meters.placed())?;
    sheet.times("append", "Time from wanting an event until it is on disk", &meters.appends)?;
    let (writers, waiting) = homeserver.rooms.writing();
    sheet.gauge("room_writers", "Rooms that are being written to", writers)?;
    sheet.gauge("room_writes_waiting", "Events that wait for the writers of their rooms", waiting)
}

fn sync(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let meters = &homeserver.sync.meters;
    let requests = [("initial", meters.initial.get()), ("incremental", meters.incremental.get())];
    sheet.counters(("sync_requests", "kind"), "Requests of /sync", requests)?;
    sheet.counter("sync_timed_out", "Requests that waited and were told of nothing", meters.timed_out.get())?;
    sheet.times("sync_answer", "Time to find out what is new, without waiting for it", &meters.answers)?;
    sheet.gauge("sync_parked_users", "Users whose clients wait for news", homeserver.streams.waiting())
}

fn followers(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let search = homeserver.search.behind().map(|behind| ("search", behind));
    let others = [("user_directory", homeserver.directory.behind()), ("push", homeserver.push.behind())];
    let help = "Positions that a follower of the commits has not passed";
    sheet.gauges(("follower_behind", "follower"), help, search.into_iter().chain(others))
}

fn push(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let (push, meters) = (&homeserver.push, &homeserver.push.meters);
    sheet.gauge("push_waiting", "Events that wait for push gateways and letters", push.waiting())?;
    let outcomes =
        [("delivered", meters.delivered.get()), ("failed", meters.failed.get()), ("rejected", meters.rejected.get())];
    sheet.counters(("push_calls", "outcome"), "How pushes ended; a failed one is made again", outcomes)?;
    sheet.times("push_delay", "Time from an event's coming until its gateway took it", &meters.delay)?;
    let Some(letters) = push.letters() else { return Ok(()) };
    sheet.gauge("letters_waiting", "Letters on their way", letters.waiting.get())?;
    let outcomes = [("sent", letters.sent.get()), ("failed", letters.failed.get())];
    sheet.counters(("letters", "outcome"), "Letters, by what the SMTP server said", outcomes)
}

fn media(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let (media, meters) = (&homeserver.media, &homeserver.media.meters);
    let help = "Whether the place of media was seen to be this server's";
    sheet.gauge("media_owned", help, u64::from(media.has_place()))?;
    sheet.counter("media_uploaded_bytes", "Bytes of uploads", meters.uploaded.get())?;
    sheet.counter("media_served_bytes", "Bytes of media and thumbnails that were asked for", meters.served.get())?;
    let outcomes = [("drawn", meters.drawn.get()), ("refused", meters.refused.get())];
    sheet.counters(("media_thumbnails", "outcome"), "Thumbnails that were drawn, or cannot be", outcomes)?;
    sheet.gauge("media_thumbnails_waiting", "Who waits for a thumbnail", meters.drawing.get())?;
    let lost = meters.pages_lost.get();
    let outcomes = [("found", meters.pages.get().saturating_sub(lost)), ("failed", lost)];
    sheet.counters(("media_previews", "outcome"), "Pages that were fetched for a preview", outcomes)
}

fn backups(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let help = "When the last good backup was begun, in seconds since 1970; 0 where there is none";
    sheet.gauge("backup_last_success_timestamp_seconds", help, homeserver.last_backup.taken_at() / 1000)
}

fn people(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let meters = &homeserver.lifecycle.log_ins;
    let outcomes = [("done", meters.done.get()), ("refused", meters.refused.get())];
    sheet.counters(("log_ins", "outcome"), "Log-ins", outcomes)?;
    let waiting = homeserver.accounts.passwords_waiting();
    sheet.gauge("passwords_waiting", "Passwords that wait for a core to be hashed", waiting)?;
    let devices = &homeserver.devices;
    sheet.counter("to_device_messages", "Messages left for devices", devices.to_device.get())?;
    let help = "Messages for devices that went before those took them: too many, or too old";
    sheet.counter("to_device_dropped", help, devices.to_device_dropped.get())
}

fn caches(homeserver: &Homeserver, sheet: &mut Sheet<'_>) -> fmt::Result {
    let held: Vec<Held> = [
        homeserver.ids.caches(),
        homeserver.streams.caches(),
        homeserver.accounts.caches(),
        homeserver.devices.caches(),
        homeserver.rooms.caches(),
        homeserver.sync.caches(),
        homeserver.lifecycle.caches(),
    ]
    .concat();
    let entries = held.iter().map(|held| (held.name, held.entries));
    sheet.gauges(("cache_entries", "cache"), "What a cache in memory holds", entries)?;
    let fullness = held.iter().map(|held| (held.name, held.fullness));
    sheet.gauges(("cache_fullness", "cache"), "How full it is: 1 where new entries drive out old ones", fullness)
}
