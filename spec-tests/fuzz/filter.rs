//! Filters: parsed as clients send them, made ready, asked about events.
//!
//! The first line is the filter; then a type, a sender, a room, and the event's JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_matrix::client_event::only_fields;
use matron_matrix::filter::{Candidate, Compiled, check, matches};
use ruma::api::client::filter::{Filter, FilterDefinition, RoomEventFilter};

/// Globs, letter by letter: slow, and plainly right.
fn by_letters(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for letter in pattern {
        if *letter == b'*' {
            let mut any = false;
            for place in &mut reached {
                any |= *place;
                *place = any;
            }
        } else {
            for at in (0..=text.len()).rev() {
                reached[at] = at > 0 && reached[at - 1] && text[at - 1] == *letter;
            }
        }
    }
    reached[text.len()]
}

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(5, '\n');
    let filter = lines.next().unwrap_or_default();
    let [kind, sender, room_id, json] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    assert_eq!(matches(filter, kind), by_letters(filter.as_bytes(), kind.as_bytes()));
    let Ok(filter) = serde_json::from_str::<FilterDefinition>(filter) else { return };
    let stored = serde_json::to_string(&filter).expect("a filter can be kept");
    let again: FilterDefinition = serde_json::from_str(&stored).expect("a kept filter can be read");
    assert_eq!(check(&filter).is_ok(), check(&again).is_ok());
    if check(&filter).is_err() {
        return;
    }
    let candidate = Candidate { kind, sender, room_id, json: Some(json) };
    let compile = |filter: &FilterDefinition| {
        let room = &filter.room;
        let of_room = |events: &RoomEventFilter| Compiled::of_room_events(events).expect("it was checked");
        let of_others = |events: &Filter| Compiled::of_events(events).expect("it was checked");
        let mut compiled = [&room.timeline, &room.state, &room.ephemeral, &room.account_data].map(of_room).to_vec();
        compiled.extend([&filter.presence, &filter.account_data].map(of_others));
        compiled
    };
    for (ours, kept) in compile(&filter).iter().zip(compile(&again)) {
        let wants = ours.wants(&candidate);
        assert_eq!(wants, kept.wants(&candidate));
        assert!(!wants || (!ours.is_closed() && ours.wants_room(room_id)));
        assert!(wants || !ours.is_open());
    }
    if let Some(fields) = &filter.event_fields {
        let _ = only_fields(json, fields);
    }
});
