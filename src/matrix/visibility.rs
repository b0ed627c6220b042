//! Who may see which event: client-server API, "Room history visibility".

use ruma::events::room::history_visibility::HistoryVisibility;
use ruma::events::room::member::MembershipState;

/// How a user stands to an event.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The room's visibility at the event.
    pub visibility: &'a HistoryVisibility,
    /// The user's membership at the event.
    pub membership: &'a MembershipState,
    /// Whether the user is joined now, or was at some time after the event.
    pub joined_since: bool,
}

impl View<'_> {
    /// Whether the user may see the event.
    #[must_use]
    pub fn allows(&self) -> bool {
        if *self.membership == MembershipState::Join {
            return true;
        }
        match self.visibility {
            HistoryVisibility::WorldReadable => true,
            HistoryVisibility::Invited => *self.membership == MembershipState::Invite && self.joined_since,
            HistoryVisibility::Joined => false,
            // `shared` is the default, and what an unknown value means.
            _ => self.joined_since,
        }
    }
}
