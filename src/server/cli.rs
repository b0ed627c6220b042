//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Matron, a Matrix homeserver.
#[derive(Debug, Parser)]
#[command(name = "matron", version, about, max_term_width = 100)]
pub struct Arguments {
    /// The configuration file (or `MATRON_CONFIG`, or /etc/matron/matron.toml where it is there); none is needed
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; to serve, where nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve,
    /// Say whether the running server can be given work, and why not
    Ready,
    /// Manage accounts, whether the server runs or not
    User {
        /// What to do with them.
        #[command(subcommand)]
        command: User,
    },
    /// Read what users reported, whether the server runs or not
    Report {
        /// What to do with reports.
        #[command(subcommand)]
        command: Report,
    },
    /// Look after what users uploaded, whether the server runs or not
    Media {
        /// What to do with it.
        #[command(subcommand)]
        command: Media,
    },
    /// Back up, restore and look after the store
    Db {
        /// What to do with it.
        #[command(subcommand)]
        command: Db,
    },
    /// Look at the configuration
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: Configuration,
    },
}

/// What to do with accounts. Passwords are asked for at the terminal, or read as one line from standard input.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make an account
    Add {
        /// The part before the colon, or the whole user id
        name: String,
        /// Make it an administrator
        #[arg(long)]
        admin: bool,
        /// Make up a password and print it
        #[arg(long)]
        random: bool,
    },
    /// List all accounts
    List,
    /// Give an account another password, which logs out its devices
    SetPassword {
        /// The part before the colon, or the whole user id
        name: String,
        /// Make up a password and print it
        #[arg(long)]
        random: bool,
    },
    /// Let an account call the admin API
    SetAdmin {
        /// The part before the colon, or the whole user id
        name: String,
        /// Let it do so no more
        #[arg(long)]
        revoke: bool,
    },
    /// Keep an account from everything but logging out
    Lock {
        /// The part before the colon, or the whole user id
        name: String,
    },
    /// Give a locked account back
    Unlock {
        /// The part before the colon, or the whole user id
        name: String,
    },
    /// Let an account read, and say and change nothing
    Suspend {
        /// The part before the colon, or the whole user id
        name: String,
    },
    /// Let a suspended account act again
    Unsuspend {
        /// The part before the colon, or the whole user id
        name: String,
    },
    /// Close an account for good
    Deactivate {
        /// The part before the colon, or the whole user id
        name: String,
        /// Also hide what it sent from those who join later
        #[arg(long)]
        erase: bool,
    },
}

/// What to do with reports.
#[derive(Debug, Subcommand)]
pub enum Report {
    /// List all reports, the newest first
    List,
    /// Show a report, and the event that it is of
    Show {
        /// Its number, as the list has it
        number: u64,
    },
    /// Delete reports that are dealt with
    Delete {
        /// Their numbers, as the list has them
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
    },
}

/// What to do with what users uploaded.
#[derive(Debug, Subcommand)]
pub enum Media {
    /// List what a user has uploaded, in the order of its coming
    List {
        /// The part before the colon, or the whole user id
        name: String,
    },
    /// Put media out of everybody's reach; their bytes stay
    Quarantine {
        /// Their addresses, `mxc://…`
        #[arg(value_name = "MXC", required_unless_present = "user")]
        media: Vec<String>,
        /// All that this user has uploaded
        #[arg(long, value_name = "NAME", conflicts_with = "media")]
        user: Option<String>,
    },
    /// Put media back into reach
    Unquarantine {
        /// Their addresses, `mxc://…`
        #[arg(required = true, value_name = "MXC")]
        media: Vec<String>,
    },
    /// Delete media for good
    Delete {
        /// Their addresses, `mxc://…`
        #[arg(value_name = "MXC", required_unless_present = "user")]
        media: Vec<String>,
        /// All that this user has uploaded
        #[arg(long, value_name = "NAME", conflicts_with = "media")]
        user: Option<String>,
    },
}

/// What to do with the store. Backups lie in a folder or in a bucket (`s3://BUCKET/PREFIX`, opened by the keys `backup.s3.…` of the
/// configuration); `backup.place` names it where none is given.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Take a backup, whether the server runs or not; only what changed is copied
    Backup {
        /// The folder, or `s3://BUCKET/PREFIX`
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
        /// Take it though the place is empty and had backups before: it is a new disk, say
        #[arg(long)]
        anew: bool,
        /// How many of the newest backups stay there; all, where nothing is said
        #[arg(long, value_name = "COUNT")]
        keep: Option<usize>,
        /// Read and write no more than so many MiB in a second, so that messages stay quick; 0: as many as the disks give
        #[arg(long, value_name = "MIB", default_value_t = 32)]
        pace: u64,
    },
    /// List the backups
    Backups {
        /// The folder, or `s3://BUCKET/PREFIX`
        #[arg(long, value_name = "PLACE")]
        from: Option<String>,
    },
    /// Read a backup as a whole and say whether every file is as it was
    Verify {
        /// The folder, or `s3://BUCKET/PREFIX`
        #[arg(long, value_name = "PLACE")]
        from: Option<String>,
        /// The backup's name; the newest, where nothing is said
        name: Option<String>,
    },
    /// Bring a backup back into an empty data folder
    Restore {
        /// The folder, or `s3://BUCKET/PREFIX`
        #[arg(long, value_name = "PLACE")]
        from: Option<String>,
        /// The backup's name; the newest, where nothing is said
        name: Option<String>,
        /// Take the place of media from the server that it belongs to; only where that one is lost for good
        #[arg(long)]
        take_media: bool,
    },
    /// Read the whole store and say whether it is sound
    Check,
    /// Write the store anew, without what was deleted: takes long, and room
    Compact,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Configuration {
    /// Print what is in force, without secrets
    Show,
    /// Say whether it is right
    Check,
    /// Print the page of all keys
    #[command(hide = true)]
    Document,
}
