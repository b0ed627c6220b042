//! Passwords: argon2id on threads of its own, no more at once than there are cores, and the same time for everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use matron_matrix::Error as MatrixError;
use tokio::sync::{OnceCell, Semaphore};

use crate::config::PasswordHashing;
use crate::error::{Error, Result};

/// The longest password in bytes, so that hashing costs what it is said to.
const LONGEST: usize = 512;
/// The shortest password in characters.
const SHORTEST: usize = 8;
/// How many may wait for a core each before the next one is sent away.
const WAITING_PER_CORE: usize = 64;

/// What a password turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not the account's.
    Wrong,
    /// The account's.
    Right,
    /// The account's, and this is its hash at today's cost.
    Rehashed(String),
}

/// Hashes and verifies.
#[derive(Debug)]
pub(crate) struct Passwords {
    cost: PasswordHashing,
    cores: usize,
    gate: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// What the password of an unknown user is compared with.
    nobody: OnceCell<String>,
}

/// Refuses passwords that are too short or too long.
pub(crate) fn check(password: &str) -> Result<()> {
    if password.len() > LONGEST {
        return Err(MatrixError::invalid_param(format!("a password may have {LONGEST} bytes")).into());
    }
    if password.chars().count() < SHORTEST {
        return Err(MatrixError::weak_password(format!("a password needs {SHORTEST} characters")).into());
    }
    Ok(())
}

impl Passwords {
    pub(crate) fn new(cost: PasswordHashing) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cost,
            cores,
            gate: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            nobody: OnceCell::new(),
        }
    }

    /// How many wait for a core.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The hash in PHC form, with a salt of its own.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let (cost, password) = (self.cost, password.to_owned());
        self.apart(move || hash(cost, &password)).await
    }

    /// Whether `password` belongs to `hash`. Takes as long where there is no hash.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<Verdict> {
        let known = hash.is_some();
        let against = match hash {
            Some(hash) => hash.to_owned(),
            None => self.nobody.get_or_try_init(|| self.hash("nobody's password")).await?.clone(),
        };
        // A password longer than any that was ever set is wrong, but that takes its time as well.
        let mut password = password.to_owned();
        let possible = known && password.len() <= LONGEST;
        if password.len() > LONGEST {
            password.clear();
        }
        let cost = self.cost;
        self.apart(move || verify(cost, &password, &against, possible)).await
    }

    /// Runs on a thread that may be busy for long, in turn.
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place = Place::take(&self.waiting, self.cores * WAITING_PER_CORE)?;
        let permit = Arc::clone(&self.gate).acquire_owned().await.map_err(Error::internal)?;
        drop(place);
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(Error::internal)?
    }
}

/// A place in the queue, left when the caller goes away too.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Result<Self> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::AcqRel) >= most {
            return Err(MatrixError::limit_exceeded(2000).into());
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn argon2(cost: PasswordHashing) -> Result<Argon2<'static>> {
    let params = Params::new(cost.memory_kib, cost.iterations, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(cost: PasswordHashing, password: &str) -> Result<String> {
    let salt: [u8; 16] = rand::random();
    let hash = argon2(cost)?.hash_password_with_salt(password.as_bytes(), &salt).map_err(Error::internal)?;
    Ok(hash.to_string())
}

fn verify(cost: PasswordHashing, password: &str, against: &str, possible: bool) -> Result<Verdict> {
    let stored = PasswordHash::new(against).map_err(Error::internal)?;
    let right = argon2(cost)?.verify_password(password.as_bytes(), &stored).is_ok();
    if !(right && possible) {
        return Ok(Verdict::Wrong);
    }
    let today = Params::try_from(&stored).is_ok_and(|params| {
        params.m_cost() == cost.memory_kib && params.t_cost() == cost.iterations && params.p_cost() == 1
    });
    if today && stored.algorithm == Algorithm::Argon2id.ident() {
        return Ok(Verdict::Right);
    }
    hash(cost, password).map(Verdict::Rehashed)
}

#[cfg(test)]
mod tests;
