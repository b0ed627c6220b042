//! How many letters somebody may ask for, and how many an address gets, whoever asks: it may be a stranger's.

use std::net::IpAddr;

use matron_matrix::Error as MatrixError;

use crate::limiter::{Budget, Limiter, Pace, network};

/// How many letters one client may ask for.
const PER_CLIENT: Budget = Budget { burst: 30, per_minute: 10 };
/// How many an address gets: five at once, then three an hour.
const PER_ADDRESS: Pace = Pace::daily(5, 3 * 24);
/// And no more than these and as many again in any day.
const PER_ADDRESS_AND_DAY: Pace = Pace::daily(10, 10);
/// How many addresses and clients are remembered.
const REMEMBERED: usize = 20_000;

/// What was asked for lately.
#[derive(Debug)]
pub(in crate::lifecycle) struct Limits {
    addresses: Limiter<String>,
    clients: Limiter<Option<IpAddr>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { addresses: Limiter::new(2 * REMEMBERED), clients: Limiter::new(REMEMBERED) }
    }
}

impl Limits {
    /// Takes a letter to an address that a client asks for, at `now` in milliseconds.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn take(&self, address: &str, client: Option<IpAddr>, now: u64) -> Result<(), MatrixError> {
        let address = address.to_owned();
        self.clients.take(&client.map(network), PER_CLIENT, now).map_err(MatrixError::limit_exceeded)?;
        self.addresses.take(&address, PER_ADDRESS_AND_DAY, now).map_err(MatrixError::limit_exceeded)?;
        self.addresses.take(&address, PER_ADDRESS, now).map_err(|wait| {
            self.addresses.give_back(&address, PER_ADDRESS_AND_DAY);
            MatrixError::limit_exceeded(wait)
        })
    }

    /// Gives back what was taken for an address that got no letter in the end. Its client asked all the same.
    pub fn give_back(&self, address: &str) {
        let address = address.to_owned();
        self.addresses.give_back(&address, PER_ADDRESS);
        self.addresses.give_back(&address, PER_ADDRESS_AND_DAY);
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    const MINUTE: u64 = 60_000;

    /// How many letters an address gets of one that is asked for each minute.
    fn letters(limits: &Limits, from: u64, minutes: u64) -> usize {
        let clients = (0..minutes).map(|n| format!("10.0.{}.{}", n / 250, n % 250).parse().ok());
        let asked = (0..minutes).zip(clients);
        asked.filter(|(n, client)| limits.take("ann@trust.example", *client, from + n * MINUTE).is_ok()).count()
    }

    #[test]
    fn an_address_gets_few_letters_whoever_asks() {
        let limits = Limits::default();
        let day = 24 * 60;
        let at_once = (0..20).filter(|_| limits.take("bob@trust.example", None, MINUTE).is_ok()).count();
        assert_eq!(at_once, 5);
        assert_eq!(letters(&limits, MINUTE, 5), 5);
        assert_eq!(letters(&limits, 6 * MINUTE, 60), 3);
        assert_eq!(letters(&limits, 66 * MINUTE, day - 65), 11, "nineteen in the first day");
        assert_eq!(letters(&limits, (day + 1) * MINUTE, day), 10);
        assert!(limits.take("eve@trust.example", None, MINUTE).is_ok());
    }

    #[test]
    fn letters_that_were_not_sent_do_not_count() {
        let limits = Limits::default();
        for _ in 0..30 {
            limits.take("bob@trust.example", None, MINUTE).unwrap();
            limits.give_back("bob@trust.example");
        }
        assert!(limits.take("bob@trust.example", None, MINUTE).is_err(), "the client has asked often enough");
        let client = "10.0.0.1".parse().ok();
        let sent = (0..20).filter(|_| limits.take("bob@trust.example", client, MINUTE).is_ok()).count();
        assert_eq!(sent, 5);
    }

    #[test]
    fn a_client_asks_for_no_more_than_its_share() {
        let limits = Limits::default();
        let client = "10.0.0.1".parse().ok();
        let sent = (0..100).filter(|n| limits.take(&format!("{n}@trust.example"), client, MINUTE).is_ok()).count();
        assert_eq!(sent, 30);
    }
}
