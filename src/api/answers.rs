//! What was answered, by path: counted without a lock, since every request passes here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use matron_storage::{Count, Spread};

/// Methods by name; clients can make up others.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "other"];
/// The statuses that this server answers with. Any other one would be counted with the last.
const STATUSES: [u16; 27] = [
    200, 201, 202, 204, 206, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 411, 413, 415, 416, 429,
    502, 503, 504, 500,
];

/// A method's name, out of a bounded set.
#[must_use]
pub fn method_name(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// A path that is served, with what was answered there: every answer to it carries this as an extension. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Route(Arc<Answers>);

#[derive(Debug)]
struct Answers {
    pattern: String,
    by_method: [OnceLock<OfMethod>; METHODS.len()],
}

#[derive(Debug)]
struct OfMethod {
    took: Spread,
    by_status: [Count; STATUSES.len()],
}

/// What was answered to requests of one method.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The method.
    pub method: &'static str,
    of_method: &'a OfMethod,
}

impl Route {
    /// A route of this pattern: `/_matrix/client/v3/rooms/{room_id}/join`.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(Arc::new(Answers { pattern: pattern.to_owned(), by_method: Default::default() }))
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// Counts an answer to a method that [`method_name`] gave.
    pub fn answered(&self, method: &str, status: u16, took: Duration) {
        let nth = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let Some(of_method) = self.0.by_method.get(nth) else { return };
        let of_method = of_method.get_or_init(|| OfMethod { took: Spread::of_times(), by_status: Default::default() });
        of_method.took.note_time(took);
        let nth = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        if let Some(count) = of_method.by_status.get(nth) {
            count.add(1);
        }
    }

    /// What was answered so far, by method.
    pub fn all(&self) -> impl Iterator<Item = Answered<'_>> {
        let by_method = METHODS.into_iter().zip(&self.0.by_method);
        by_method.filter_map(|(method, slot)| Some(Answered { method, of_method: slot.get()? }))
    }
}

impl<'a> Answered<'a> {
    /// The time from a request's head to its answer's.
    #[must_use]
    pub const fn took(&self) -> &'a Spread {
        &self.of_method.took
    }

    /// How often each status was answered, of those that were.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> + use<'a> {
        let counts = STATUSES.into_iter().zip(&self.of_method.by_status);
        counts.map(|(status, count)| (status, count.get())).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::{Route, method_name};

    #[test]
    fn answers_are_counted_by_method_and_status() {
        let route = Route::new("/health");
        for (method, status) in [("GET", 200), ("GET", 200), ("GET", 503), ("PUT", 405), ("made up", 999)] {
            route.answered(method, status, Duration::from_millis(3));
        }
        let all: Vec<_> = route.all().map(|of| (of.method, of.statuses().collect::<Vec<_>>())).collect();
        assert_eq!(
            all,
            [
                ("GET", vec![(200, 2), (503, 1)]),
                ("PUT", vec![(405, 1)]),
                // A status that nobody answers is told as a failure.
                ("other", vec![(500, 1)]),
            ]
        );
        assert_eq!(route.all().next().unwrap().took().sum(), 9000);
    }

    #[test]
    fn methods_are_a_bounded_set() {
        assert_eq!(method_name(&Method::PUT), "PUT");
        assert_eq!(method_name(&Method::from_bytes(b"MADEUP").unwrap()), "other");
    }
}
