//! Accounts with one device each.

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::{NewDevice, Registration};
use ruma::api::client::uiaa::{AuthData, Dummy};
use tokio::task::JoinSet;

use crate::world::Person;

/// How many register at once: what the store commits together.
const AT_ONCE: usize = 64;

/// Registers and logs in this many.
pub async fn register(server: &Arc<Homeserver>, count: usize) -> Vec<Person> {
    let mut people: Vec<Option<Person>> = vec![None; count];
    let mut begun = JoinSet::new();
    for nth in 0..count {
        let server = Arc::clone(server);
        begun.spawn(async move {
            let device = NewDevice {
                device_id: Some(format!("DEVICE{nth}")),
                display_name: Some("The ward's tablet".to_owned()),
                ..NewDevice::default()
            };
            let wanted = Registration {
                username: Some(format!("person{nth}")),
                password: Some("a password of the bench".to_owned()),
                device: Some(device),
                ..Registration::default()
            };
            let made = server.lifecycle.register(&wanted, Some(&AuthData::Dummy(Dummy::new()))).await.unwrap();
            let device = made.device.unwrap();
            let (id, token) = (made.user_id.to_string(), device.tokens.access_token);
            (nth, Person { id, device: device.device_id.to_string(), token })
        });
        if begun.len() >= AT_ONCE {
            note(&mut people, begun.join_next().await.unwrap().unwrap());
        }
    }
    for made in begun.join_all().await {
        note(&mut people, made);
    }
    people.into_iter().flatten().collect()
}

fn note(people: &mut [Option<Person>], (nth, person): (usize, Person)) {
    people[nth] = Some(person);
}
