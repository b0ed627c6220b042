//! Passwords on their way in: made up, asked for at the terminal, or read from standard input; never from the command line.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use rand::RngExt as _;

use crate::failure::{Failure, Result};

/// Letters and digits that nobody takes for one another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The longest line that is read for a password.
const MAX_BYTES: u64 = 1024;

/// A password of 140 bits in groups of six, so that it can be read aloud.
pub fn random() -> String {
    let mut rng = rand::rng();
    let mut group = || -> String {
        (0..6).filter_map(|_| LETTERS.get(rng.random_range(0..LETTERS.len()))).copied().map(char::from).collect()
    };
    [group(), group(), group(), group()].join("-")
}

/// Asks for a password, twice at a terminal.
///
/// # Errors
/// There is none, or the two differ.
pub fn ask(name: &str) -> Result<String> {
    let failed = |error: io::Error| Failure::because("the password cannot be read", &error);
    let password = if io::stdin().is_terminal() {
        let first = rpassword::prompt_password(format!("Password for {name}: ")).map_err(failed)?;
        if rpassword::prompt_password("Once more: ").map_err(failed)? != first {
            return Err(Failure::new("the two passwords differ"));
        }
        first
    } else {
        let mut line = String::new();
        io::stdin().lock().take(MAX_BYTES).read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(Failure::new("a password is needed: on standard input, or by --random"));
    }
    Ok(password)
}
