//! The form of what is on disk, in a file among the store's: it is read before an engine touches anything, so that a program
//! from before a change leaves alone what a later one wrote.
//!
//! The store holds it in a row too. Who changes the form writes the file first: it never says less than what is there.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// The form that this build writes. A build opens what it knows and refuses what a later one wrote.
pub(crate) const FORMAT: u64 = 1;

const FILE: &str = "FORMAT";

/// Refuses a form that this build does not know.
pub(crate) fn check(format: u64) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the store has format {format}, this version knows {FORMAT}; start the version that wrote it"
    )))
}

/// The form of the store in a folder; none where no file says it: the store is older than such files, or a crash came
/// between its founding and its file.
pub(crate) fn read(store: &Path) -> Result<Option<u64>> {
    match fs::read_to_string(store.join(FILE)) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| Error::Refused(format!("the file {FILE} of the store does not say a format"))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::Refused(format!("the file {FILE} of the store cannot be read: {error}"))),
    }
}

/// Says the form of the store in a folder, wholly or not at all, and on disk when this returns.
pub(crate) fn write(store: &Path) -> std::io::Result<()> {
    let building = store.join(format!("{FILE}.building"));
    let mut file = File::create(&building)?;
    file.write_all(format!("{FORMAT}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&building, store.join(FILE))?;
    File::open(store)?.sync_all()
}
