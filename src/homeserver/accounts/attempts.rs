//! Guessing: how many wrong passwords an account and an address may bring.

use std::net::IpAddr;

use matron_matrix::Error as MatrixError;

use crate::clock::Clock;
use crate::error::Result;
use crate::limiter::{Budget, Limiter, network};

/// A person mistypes some times; a program that guesses gets nowhere with twelve a minute.
const PER_ACCOUNT: Budget = Budget { burst: 10, per_minute: 12 };
/// A whole building may stand behind one address.
const PER_ADDRESS: Budget = Budget { burst: 60, per_minute: 60 };
/// How many accounts and addresses are remembered.
const REMEMBERED: usize = 50_000;

#[derive(Debug)]
pub(super) struct Attempts {
    on: bool,
    clock: Clock,
    accounts: Limiter<String>,
    addresses: Limiter<IpAddr>,
}

/// An attempt that counts as wrong until it is said to be right: so that many at once do not all slip through before the
/// first of them is known to be wrong.
#[must_use]
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    account: Option<String>,
    address: Option<IpAddr>,
}

impl Attempts {
    pub(super) fn new(on: bool, clock: Clock) -> Self {
        Self {
            on,
            clock,
            accounts: Limiter::new(PER_ACCOUNT, REMEMBERED),
            addresses: Limiter::new(PER_ADDRESS, REMEMBERED),
        }
    }

    /// Begins an attempt on an account (by whatever name the client calls it) from an address.
    pub(super) fn begin(&self, account: Option<&str>, address: Option<IpAddr>) -> Result<Attempt<'_>> {
        let mut attempt = Attempt { attempts: self, account: None, address: None };
        if !self.on {
            return Ok(attempt);
        }
        let now = self.clock.millis();
        if let Some(account) = account {
            let account: String = account.chars().take(255).collect::<String>().to_lowercase();
            self.accounts.take(&account, now).map_err(MatrixError::limit_exceeded)?;
            attempt.account = Some(account);
        }
        if let Some(address) = address.map(network) {
            if let Err(wait) = self.addresses.take(&address, now) {
                attempt.right();
                return Err(MatrixError::limit_exceeded(wait).into());
            }
            attempt.address = Some(address);
        }
        Ok(attempt)
    }
}

impl Attempt<'_> {
    /// It was right: it does not count.
    pub(crate) fn right(self) {
        if let Some(account) = &self.account {
            self.attempts.accounts.give_back(account);
        }
        if let Some(address) = &self.address {
            self.attempts.addresses.give_back(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Attempts;
    use crate::clock::Clock;

    #[test]
    fn wrong_ones_run_out_and_right_ones_do_not() {
        let attempts = Attempts::new(true, Clock::by(|| 1_000_000));
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
        let attempts = Attempts::new(true, Clock::by(|| 1_000_000));
        for n in 0..60 {
            let _ = attempts.begin(None, format!("2001:db8::{n:x}").parse().ok()).unwrap();
        }
        assert!(attempts.begin(None, "2001:db8::ffff".parse().ok()).is_err());
        assert!(attempts.begin(None, "2001:db8:0:1::".parse().ok()).is_ok());
        assert!(attempts.begin(None, "::ffff:10.0.0.1".parse().ok()).is_ok());
    }

    #[test]
    fn off_is_off() {
        let attempts = Attempts::new(false, Clock::by(|| 1_000_000));
        for _ in 0..1000 {
            let _ = attempts.begin(Some("ann"), "10.0.0.1".parse().ok()).unwrap();
        }
    }
}
