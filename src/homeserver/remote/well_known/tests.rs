//! What hosts say of where they are, and for how long that is believed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use http::header::{CACHE_CONTROL, EXPIRES};
use ruma::ServerName;

use super::{AT_LEAST, AT_MOST, Failure, HOUR, Known, MINUTE, USUALLY, WellKnown, lifetime};
use crate::clock::Clock;
use crate::remote::addresses::Addresses;
use crate::remote::fixture::{Far, Said};
use crate::remote::http::Client;
use crate::remote::locate::{BoxError, Locate};
use crate::remote::trust;

/// Every host is this one.
#[derive(Debug)]
struct Here(std::net::SocketAddr);

#[async_trait::async_trait]
impl Locate for Here {
    async fn locate(&self, _: &http::Uri) -> Result<Vec<std::net::SocketAddr>, BoxError> {
        Ok(vec![self.0])
    }
}

struct Scene {
    far: Far,
    well_known: WellKnown,
    now: Arc<AtomicU64>,
    /// What the host says by path.
    says: Arc<Mutex<Vec<(&'static str, Said)>>>,
}

const PATH: &str = "/.well-known/matrix/server";

impl Scene {
    async fn new() -> Self {
        let says: Arc<Mutex<Vec<(&'static str, Said)>>> = Arc::default();
        let said = Arc::clone(&says);
        let far = Far::start(&["a.example", "b.example"], move |came| {
            let said = said.lock().unwrap();
            let path = came.asked.trim_start_matches("GET ");
            said.iter()
                .find(|(at, _)| *at == path)
                .map_or(Some(("404 None".to_owned(), String::new())), |found| found.1.clone())
        })
        .await;
        let tls = trust::client(std::slice::from_ref(&far.authority)).unwrap();
        let client = Client::finding(&tls, Arc::new(Addresses::all()), Arc::new(Here(far.address)));
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let tells = Arc::clone(&now);
        let clock = Clock::by(move || tells.load(Ordering::Relaxed));
        Self { far, well_known: WellKnown::new(client, clock), now, says }
    }

    fn says(&self, path: &'static str, head: &str, body: &str) {
        let mut says = self.says.lock().unwrap();
        says.retain(|(at, _)| *at != path);
        says.push((path, Some((head.to_owned(), body.to_owned()))));
    }

    fn later(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    async fn delegate(&self, name: &str) -> String {
        self.well_known.delegate(&ServerName::parse(name).unwrap()).await.to_string()
    }
}

#[tokio::test]
async fn a_host_leads_to_another_name_and_is_not_asked_again_soon() {
    let scene = Scene::new().await;
    scene.says(PATH, "200 OK\r\ncache-control: public, max-age=3600", r#"{"m.server":"matrix.b.example:443","x":1}"#);
    for name in ["a.example", "A.example", "a.example"] {
        assert_eq!(scene.delegate(name).await, "matrix.b.example:443");
    }
    let came = scene.far.came();
    assert_eq!(came.len(), 1);
    assert_eq!((came[0].headers["host"].as_str(), came[0].greeted.as_deref()), ("a.example", Some("a.example")));
    scene.says(PATH, "200 OK", r#"{"m.server":"c.example"}"#);
    scene.later(HOUR - 1);
    assert_eq!(scene.delegate("a.example").await, "matrix.b.example:443");
    scene.later(1);
    assert_eq!(scene.delegate("a.example").await, "c.example");
}

#[tokio::test]
async fn names_with_a_port_and_addresses_lead_nowhere_else() {
    let scene = Scene::new().await;
    scene.says(PATH, "200 OK", r#"{"m.server":"c.example"}"#);
    for name in ["a.example:8448", "1.2.3.4", "1.2.3.4:5", "[::1]", "[::1]:5"] {
        assert_eq!(scene.delegate(name).await, name);
    }
    assert_eq!(scene.far.came().len(), 0);
}

#[tokio::test]
async fn what_is_no_answer_is_asked_again_ever_later() {
    let scene = Scene::new().await;
    for (nth, (head, body)) in [
        ("404 None", r#"{"m.server":"c.example"}"#),
        ("201 Made", r#"{"m.server":"c.example"}"#),
        ("200 OK", "nonsense"),
        ("200 OK", r#"{"m.homeserver":"c.example"}"#),
        ("200 OK", r#"{"m.server":"c.example/path"}"#),
        ("500 Ill", ""),
    ]
    .into_iter()
    .enumerate()
    {
        scene.says(PATH, head, body);
        assert_eq!(scene.delegate("a.example").await, "a.example", "{head} {body}");
        assert_eq!(scene.far.came().len(), 1);
        let wait = ((2 * MINUTE) << nth).min(HOUR);
        scene.later(wait - 1);
        assert_eq!(scene.delegate("a.example").await, "a.example");
        assert_eq!(scene.far.came().len(), 0, "{head} {body}: it is remembered");
        scene.later(1);
    }
    scene.says(PATH, "200 OK", &format!(r#"{{"m.server":"c.example","x":"{}"}}"#, "x".repeat(20_000)));
    assert_eq!(scene.delegate("a.example").await, "a.example", "it is too long");
}

#[tokio::test]
async fn a_name_outlives_an_outage_and_no_denial() {
    let scene = Scene::new().await;
    scene.says(PATH, "200 OK\r\ncache-control: max-age=600", r#"{"m.server":"c.example"}"#);
    assert_eq!(scene.delegate("a.example").await, "c.example");
    assert_eq!(scene.delegate("b.example").await, "c.example");
    scene.later(HOUR);
    scene.says(PATH, "503 Ill", "");
    assert_eq!(scene.delegate("a.example").await, "c.example");
    scene.says(PATH, "404 None", "");
    assert_eq!(scene.delegate("b.example").await, "b.example");
    scene.later(AT_MOST);
    scene.says(PATH, "503 Ill", "");
    assert_eq!(scene.delegate("a.example").await, "a.example", "not for ever");
}

#[tokio::test]
async fn redirects_are_followed_over_tls_and_not_for_ever() {
    let scene = Scene::new().await;
    scene.says(PATH, "302 There\r\nlocation: /one", "");
    scene.says("/one", "301 There\r\nlocation: https://b.example/two", "");
    scene.says("/two", "200 OK", r#"{"m.server":"c.example"}"#);
    assert_eq!(scene.delegate("a.example").await, "c.example");
    scene.says("/one", "301 There\r\nlocation: http://b.example/two", "");
    assert_eq!(scene.delegate("b.example").await, "b.example", "no way leads out of TLS");
    scene.later(HOUR);
    scene.says(PATH, "302 There\r\nlocation: /loop", "");
    scene.says("/loop", "302 There\r\nlocation: /loop", "");
    let _ = scene.far.came();
    assert_eq!(scene.delegate("b.example").await, "b.example");
    assert_eq!(scene.far.came().len(), 6);
}

#[test]
fn answers_say_how_long_they_are_good() {
    let now = 1_700_000_000_000;
    let of = |name, value: &'static str| lifetime(&HeaderMap::from_iter([(name, value.parse().unwrap())]), now);
    assert_eq!(lifetime(&HeaderMap::new(), now), USUALLY);
    assert_eq!(of(CACHE_CONTROL, "public"), USUALLY);
    assert_eq!(of(CACHE_CONTROL, "Max-Age=60, public"), 60_000);
    assert_eq!(of(CACHE_CONTROL, "max-age=60, no-cache"), 0);
    assert_eq!(of(CACHE_CONTROL, "no-store"), 0);
    assert_eq!(of(CACHE_CONTROL, "max-age=-1"), 0);
    assert_eq!(of(EXPIRES, "Tue, 14 Nov 2023 22:14:20 GMT"), 60_000);
    assert_eq!(of(EXPIRES, "Tue, 14 Nov 2023 22:00:00 GMT"), 0);
    assert_eq!(of(EXPIRES, "0"), 0);
    let both = [(EXPIRES, "0".parse().unwrap()), (CACHE_CONTROL, "max-age=60".parse().unwrap())];
    assert_eq!(lifetime(&HeaderMap::from_iter(both), now), 60_000);

    let mut known = Known::default();
    let name = ServerName::parse("c.example").unwrap();
    for (says, is) in [(0, AT_LEAST), (u64::MAX / 2, AT_MOST), (HOUR, HOUR)] {
        known.learn(now, Ok((name.clone(), says)));
        assert_eq!(known.until - now, is);
    }
    known.learn(now, Err(Failure::Nowhere));
    assert_eq!((known.delegate, known.until - now), (None, 2 * MINUTE));
}
