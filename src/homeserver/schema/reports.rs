//! Reports: what users told the administrators of.

use matron_storage::{Family, Keyspace, Position};

use super::{RoomNum, UserNum};

matron_storage::record! {
    /// A report.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Report {
        /// Who reports.
        pub by: UserNum,
        /// When, in milliseconds since 1970.
        pub at: u64,
        /// Who is reported: the event's sender, where it is an event.
        pub user_id: Option<String>,
        /// The room that is reported, or that the event is in.
        pub room: Option<RoomNum>,
        /// The event that is reported.
        pub event_id: Option<String>,
        /// Why.
        pub reason: String,
    }
}

/// Reports in the order of their coming.
pub const REPORTS: Keyspace<Position, Report> = Keyspace::new(0x031a, "reports", Family::Queue);
