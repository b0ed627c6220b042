//! Results in groups: by room, and by sender.

use std::collections::BTreeMap;

use matron_matrix::digest;
use serde::Serialize;

use super::Search;
use super::find::Match;
use super::query::{Asked, GroupBy, Of, Order, Page};
use crate::error::Result;
use crate::rooms::view::View;
use crate::schema::RoomNum;

/// A group of results.
#[derive(Debug, Serialize)]
pub struct Group {
    /// Where more of the group begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// Groups are to be shown in the order of this.
    pub order: usize,
    /// The ids of the results.
    pub results: Vec<String>,
}

impl GroupBy {
    const fn name(self) -> &'static str {
        match self {
            Self::Room => "room_id",
            Self::Sender => "sender",
        }
    }

    const fn of(self, found: &Match) -> Of {
        match self {
            Self::Room => Of::Room(found.room),
            Self::Sender => Of::Sender(found.sender),
        }
    }
}

/// Where the next page of a group begins, after the results up to `end`.
fn next(all: &[Match], end: usize, asked: &Asked, page: &Page, count: usize, of: Of) -> Option<Page> {
    let mut told = all.get(..end)?.iter().filter(|found| found.is_of(of));
    Some(match asked.order {
        Order::Recent => {
            let last = told.next_back()?.position;
            let until = matron_storage::Position::new(last.get().saturating_sub(1));
            Page { until, told: 0, count: Some(count), of: Some(of) }
        }
        Order::Rank => Page { told: told.count(), count: None, of: Some(of), ..*page },
    })
}

impl Search {
    /// The groups of a page: `all` that was found, of which the page holds `start..end`.
    pub(super) async fn groups(
        &self,
        (all, start, end): (&[Match], usize, usize),
        asked: &Asked,
        page: &Page,
        count: usize,
        views: &std::collections::HashMap<RoomNum, View<'_>>,
        more: bool,
    ) -> Result<BTreeMap<&'static str, BTreeMap<String, Group>>> {
        let mut kinds = BTreeMap::new();
        for by in &asked.groups {
            let mut groups: BTreeMap<String, Group> = BTreeMap::new();
            for (order, found) in all.get(start..end).unwrap_or_default().iter().enumerate() {
                let of = by.of(found);
                let name = match of {
                    Of::Room(room) => views.get(&room).map(|view| view.room_id.clone()).unwrap_or_default(),
                    Of::Sender(user) => self.ids.user_id(user).await?.to_string(),
                };
                let next = || next(all, end, asked, page, count, of).map(Page::render);
                let group = groups.entry(name).or_insert_with(|| Group {
                    next_batch: if more { next() } else { None },
                    order,
                    results: Vec::new(),
                });
                group.results.push(digest::to_event_id(&found.digest));
            }
            kinds.insert(by.name(), groups);
        }
        Ok(kinds)
    }
}
