//! Limits on requests, and that they can change while the server runs.

use std::sync::{PoisonError, RwLock};

use crate::limiter::Budget;

/// A part of the configuration that can change while the server runs: whoever asks gets what is in force.
#[derive(Debug)]
pub struct Live<T>(RwLock<T>);

impl<T: Copy> Live<T> {
    /// A part that is this for now.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    /// What is in force.
    #[must_use]
    pub fn get(&self) -> T {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something else in force.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

/// One that changes by itself.
impl<T: Copy> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

/// How often what may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Whether there are limits at all.
    pub enabled: bool,
    /// Logging in and refreshing tokens, by each address.
    pub log_in: Budget,
    /// Making accounts, by each address.
    pub register: Budget,
    /// Joining, knocking, inviting, making and upgrading rooms, by each user.
    pub join: Budget,
    /// Writing into rooms, and as often again to devices, by each user.
    pub send: Budget,
    /// Uploads, downloads, thumbnails and previews, by each user, or each address where no token is needed.
    pub media: Budget,
    /// What else the spec marks as limited, by each user, or each address where nobody is logged in.
    pub other: Budget,
    /// Wrong passwords, for each account.
    pub failed_per_account: Budget,
    /// Wrong passwords and tokens, by each address.
    pub failed_per_address: Budget,
}

impl RateLimits {
    /// None at all: for tests.
    #[must_use]
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        let budget = |burst, per_minute| Budget { burst, per_minute };
        Self {
            enabled: true,
            // Whole wards stand behind one address at the change of shift; wrong passwords are counted apart.
            log_in: budget(200, 300),
            register: budget(20, 20),
            join: budget(50, 60),
            send: budget(100, 600),
            media: budget(300, 900),
            other: budget(300, 1800),
            // A person mistypes some times; a program that guesses gets nowhere with twelve a minute.
            failed_per_account: budget(10, 12),
            // A whole building may stand behind one address.
            failed_per_address: budget(60, 60),
        }
    }
}
