//! Guessing: how many wrong passwords an account and an address may bring.

use std::net::IpAddr;
use std::sync::Arc;

use matron_matrix::Error as MatrixError;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::limiter::{Budget, Limiter, network};

/// How many accounts and addresses are remembered.
const REMEMBERED: usize = 50_000;

#[derive(Debug)]
pub(super) struct Attempts {
    config: Arc<Config>,
    clock: Clock,
    accounts: Limiter<String>,
    addresses: Limiter<IpAddr>,
}

/// An attempt that counts as wrong until it is said to be right: so that many at once do not all slip through before the
/// first of them is known to be wrong.
#[must_use]
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    account: Option<(String, Budget)>,
    address: Option<(IpAddr, Budget)>,
}

impl Attempts {
    pub(super) fn new(config: Arc<Config>, clock: Clock) -> Self {
        Self { config, clock, accounts: Limiter::new(REMEMBERED), addresses: Limiter::new(REMEMBERED) }
    }

    /// Begins an attempt on an account (by whatever name the client calls it) from an address.
    pub(super) fn begin(&self, account: Option<&str>, address: Option<IpAddr>) -> Result<Attempt<'_>> {
        let mut attempt = Attempt { attempts: self, account: None, address: None };
        let limits = self.config.rate_limits.get();
        if !limits.enabled {
            return Ok(attempt);
        }
        let now = self.clock.millis();
        if let Some(account) = account {
            let account: String = account.chars().take(255).collect::<String>().to_lowercase();
            self.accounts.take(&account, limits.failed_per_account, now).map_err(MatrixError::limit_exceeded)?;
            attempt.account = Some((account, limits.failed_per_account));
        }
        if let Some(address) = address.map(network) {
            if let Err(wait) = self.addresses.take(&address, limits.failed_per_address, now) {
                attempt.right();
                return Err(MatrixError::limit_exceeded(wait).into());
            }
            attempt.address = Some((address, limits.failed_per_address));
        }
        Ok(attempt)
    }
}

impl Attempt<'_> {
    /// It was right: it does not count.
    pub(crate) fn right(self) {
        if let Some((account, budget)) = &self.account {
            self.attempts.accounts.give_back(account, *budget);
        }
        if let Some((address, budget)) = &self.address {
            self.attempts.addresses.give_back(address, *budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Attempts;
    use crate::clock::Clock;
    use crate::config::{Config, RateLimits};
    use crate::limiter::Budget;

    fn attempts(limits: RateLimits) -> Attempts {
        let config = Config::named(ruma::server_name!("localhost").to_owned());
        config.rate_limits.set(limits);
        Attempts::new(Arc::new(config), Clock::by(|| 1_000_000))
    }

    #[test]
    fn wrong_ones_run_out_and_right_ones_do_not() {
        let attempts = attempts(RateLimits::default());
        for _ in 0..100 {
            attempts.begin(Some("ann"), None).unwrap().right();
        }
        for _ in 0..10 {
            let _ = attempts.begin(Some("ann"), None).unwrap();
        }
        assert!(attempts.begin(Some("ann"), None).is_err());
        assert!(attempts.begin(Some("ANN"), None).is_err(), "capitals are no way round");
        assert!(attempts.begin(Some("bob"), None).is_ok());
    }

    #[test]
    fn addresses_run_out_by_network() {
        let attempts = attempts(RateLimits::default());
        for n in 0..60 {
            let _ = attempts.begin(None, format!("2001:db8::{n:x}").parse().ok()).unwrap();
        }
        assert!(attempts.begin(None, "2001:db8::ffff".parse().ok()).is_err());
        assert!(attempts.begin(None, "2001:db8:0:1::".parse().ok()).is_ok());
        assert!(attempts.begin(None, "::ffff:10.0.0.1".parse().ok()).is_ok());
    }

    #[test]
    fn what_is_right_costs_an_address_nothing_and_neither_does_what_its_account_refuses() {
        let attempts = attempts(RateLimits {
            failed_per_account: Budget { burst: 1, per_minute: 1 },
            failed_per_address: Budget { burst: 2, per_minute: 1 },
            ..RateLimits::default()
        });
        let address = "10.0.0.1".parse().ok();
        for _ in 0..10 {
            attempts.begin(Some("ann"), address).unwrap().right();
        }
        let _ = attempts.begin(Some("ann"), address).unwrap();
        assert!(attempts.begin(Some("ann"), address).is_err());
        let _ = attempts.begin(Some("bob"), address).unwrap();
        assert!(attempts.begin(Some("cat"), address).is_err());
        assert!(attempts.begin(Some("cat"), "10.0.0.2".parse().ok()).is_ok());
    }

    #[test]
    fn a_change_of_the_limits_is_heeded_at_once() {
        let attempts = attempts(RateLimits::default());
        for _ in 0..10 {
            let _ = attempts.begin(Some("ann"), None).unwrap();
        }
        assert!(attempts.begin(Some("ann"), None).is_err());
        let more = Budget { burst: 20, per_minute: 20 };
        attempts.config.rate_limits.set(RateLimits { failed_per_account: more, ..RateLimits::default() });
        assert!(attempts.begin(Some("ann"), None).is_ok());
    }

    #[test]
    fn off_is_off() {
        let attempts = attempts(RateLimits::off());
        for _ in 0..1000 {
            let _ = attempts.begin(Some("ann"), "10.0.0.1".parse().ok()).unwrap();
        }
    }
}
