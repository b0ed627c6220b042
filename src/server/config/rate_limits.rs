//! The keys of limits on requests.

use matron_homeserver::config::RateLimits;
use matron_homeserver::limiter::Budget;
use serde::Deserialize;

use super::source::Source;

/// The most of anything.
const MOST: u32 = 1_000_000;

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { burst = 100, per_minute = 600 }")]
struct Told {
    burst: u32,
    per_minute: u32,
}

/// Every limit, and whether there are any.
pub fn read(source: &mut Source<'_>) -> Option<RateLimits> {
    let enabled = source.get("rate_limits.enabled");
    let mut budget = |name: &'static str| {
        let Told { burst, per_minute } = source.get(name)?;
        if [burst, per_minute].iter().any(|number| !(1..=MOST).contains(number)) {
            source.wrong(name, format_args!("`burst` and `per_minute` are between 1 and {MOST}"));
        }
        Some(Budget { burst, per_minute })
    };
    let log_in = budget("rate_limits.log_in");
    let register = budget("rate_limits.register");
    let join = budget("rate_limits.join");
    let send = budget("rate_limits.send");
    let media = budget("rate_limits.media");
    let other = budget("rate_limits.other");
    let failed_per_account = budget("rate_limits.failed_per_account");
    let failed_per_address = budget("rate_limits.failed_per_address");
    Some(RateLimits {
        enabled: enabled?,
        log_in: log_in?,
        register: register?,
        join: join?,
        send: send?,
        media: media?,
        other: other?,
        failed_per_account: failed_per_account?,
        failed_per_address: failed_per_address?,
    })
}
