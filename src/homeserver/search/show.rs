//! The answer to a search: a page of what was found, with what stands around it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use matron_matrix::Error as MatrixError;
use matron_matrix::client_event::content;
use matron_matrix::filter::Compiled;
use matron_matrix::splice::List;
use matron_storage::Position;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Search;
use super::find::Found;
use super::groups::Group;
use super::index::searched;
use super::query::{Around, Asked, Order, Page, Sought};
use super::rank::highlights;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::rooms::context::around;
use crate::rooms::history::{Between, History, Page as HistoryPage};
use crate::rooms::state::{members_of, names_in, state_of};
use crate::rooms::view::View;
use crate::schema::RoomNum;
use crate::schema::rooms::{Arrival, EventHeader, TIMELINE};

/// How many results a page holds where the client does not say, and at most.
const USUAL_RESULTS: usize = 10;
const MOST_RESULTS: usize = 100;
/// The most events on each side of a result.
const MOST_AROUND: usize = 100;
/// The most events around all results of a page, and about how many bytes of them: results beyond stand alone.
const MOST_AROUND_ALL: usize = 500;
const MOST_AROUND_BYTES: usize = 8 << 20;
/// Bytes of state after which no more rooms' state is told.
const MOST_STATE_BYTES: usize = 16 << 20;

/// What a search answers.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// How many results there are, about.
    pub count: usize,
    /// Words to show as found.
    pub highlights: BTreeSet<String>,
    /// The page.
    pub results: Vec<Hit>,
    /// The state of the rooms that the results are in, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BTreeMap<String, Vec<Box<RawValue>>>>,
    /// The results in groups, if that was asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<&'static str, BTreeMap<String, Group>>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A result.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// How well it matches: the higher the closer.
    pub rank: f64,
    /// The event.
    pub result: Box<RawValue>,
    /// What stands around it, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

/// What stands around a result.
#[derive(Debug, Serialize)]
pub struct Context {
    start: String,
    end: String,
    events_before: Vec<Box<RawValue>>,
    events_after: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_info: Option<BTreeMap<String, Named>>,
}

/// What a member event tells of its user.
#[derive(Debug, Serialize)]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct MemberEvent {
    state_key: String,
}

/// What may still stand around the results of a page.
struct Spare {
    events: usize,
    bytes: usize,
}

impl Spare {
    const fn new() -> Self {
        Self { events: MOST_AROUND_ALL, bytes: MOST_AROUND_BYTES }
    }

    /// How many events may stand on the next side of a result.
    fn side(&self, wanted: usize) -> usize {
        if self.bytes == 0 { 0 } else { wanted.min(MOST_AROUND).min(self.events) }
    }

    const fn take(&mut self, events: &List) {
        self.events = self.events.saturating_sub(events.len());
        self.bytes = self.bytes.saturating_sub(events.bytes());
    }
}

impl Search {
    /// Searches what the user may see.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the page begins nowhere, or where the term or a list of the filter is too long;
    /// `M_UNRECOGNIZED` where search is off.
    pub async fn search(&self, session: &Session, asked: &Asked) -> Result<Answer> {
        if !self.config.finding.messages {
            return Err(MatrixError::unrecognized("nothing is searched on this server").into());
        }
        let wrong = || MatrixError::invalid_param("the token is of no page of search results");
        let page = asked.from.as_deref().map(|from| Page::parse(from).ok_or_else(wrong)).transpose()?;
        let sought = Sought::of(&asked.term)?;
        if sought.words.is_empty() {
            return Ok(Answer::default());
        }
        self.follower.catch_up().await;
        let snapshot = self.store.snapshot();
        let page = page.unwrap_or(Page { until: snapshot.position(), told: 0, count: None, of: None });
        let limit = asked.filter.limit.map_or(USUAL_RESULTS, |limit| {
            usize::try_from(u64::from(limit)).unwrap_or(MOST_RESULTS).clamp(1, MOST_RESULTS)
        });
        let mut found = self.find(&snapshot, session, (asked, &sought), &page, limit).await?;
        let count = page.count.unwrap_or(found.count);
        let start = if asked.order == Order::Rank { page.told.min(found.matches.len()) } else { 0 };
        let end = found.matches.len().min(start.saturating_add(limit));
        let next = next(&found, (start, end), asked.order, &page, count, limit);
        let shown = (found.matches.as_slice(), start, end);
        let groups = self.groups(shown, asked, &page, count, &found.views, next.is_some()).await?;
        let mut answer = Answer { count, groups, next_batch: next.map(Page::render), ..Answer::default() };
        let (mut in_rooms, mut spare) = (BTreeSet::new(), Spare::new());
        for hit in found.matches.get(start..end).unwrap_or_default() {
            let view = found.views.get_mut(&hit.room).ok_or_else(|| Error::internal("a view is missing"))?;
            let event = snapshot.get(&TIMELINE, &(hit.room, Arrival::Live(hit.position))).await?;
            let event = event.ok_or_else(|| Error::internal("a match is missing"))?;
            let text = searched(&event).unwrap_or_default();
            highlights(&text, &sought.words, &mut answer.highlights);
            in_rooms.insert(hit.room);
            let context = match asked.around {
                Some(wanted) => Some(self.context(view, (hit.position, &event.header), wanted, &mut spare).await?),
                None => None,
            };
            let rank = hit.rank.unwrap_or_else(|| sought.rank(&text));
            answer.results.push(Hit { rank, result: view.show_bundled(event, true).await?, context });
        }
        if asked.state {
            answer.state = Some(state_of_all(&mut found.views, in_rooms).await?);
        }
        Ok(answer)
    }

    async fn context(
        &self,
        view: &mut View<'_>,
        (position, hit): (Position, &EventHeader),
        wanted: Around,
        spare: &mut Spare,
    ) -> Result<Context> {
        let (depth, arrival) = (hit.depth, Arrival::Live(position));
        let until = view.snapshot.position();
        let filter = Compiled::default();
        let side = |from: Between, forward, limit| HistoryPage {
            from: Some(from.token(until)),
            to: None,
            forward,
            limit,
            filter: &filter,
        };
        let (older, newer) = (Between::before(depth, arrival), Between::after(depth, arrival));
        let before = around(view, &side(older, false, spare.side(wanted.before))).await?;
        spare.take(&before.events);
        let after = around(view, &side(newer, true, spare.side(wanted.after))).await?;
        spare.take(&after.events);
        let profile_info = if wanted.profiles { Some(profiles(view, hit, &before, &after).await?) } else { None };
        let epoch = self.store.epoch();
        Ok(Context {
            start: before.end.unwrap_or_else(|| Between::START.token(until)).render(epoch),
            end: after.end.unwrap_or_else(|| newer.token(until)).render(epoch),
            events_before: before.events.to_raw().map_err(Error::internal)?,
            events_after: after.events.to_raw().map_err(Error::internal)?,
            profile_info,
        })
    }
}

/// Where the next page begins; none where there is nothing more.
fn next(
    found: &Found<'_>,
    (start, end): (usize, usize),
    order: Order,
    page: &Page,
    count: usize,
    limit: usize,
) -> Option<Page> {
    let is_full = end - start == limit;
    match order {
        Order::Rank => is_full.then_some(Page { told: end, count: None, ..*page }),
        Order::Recent => {
            let last = found.matches.get(start..end)?.last().map(|last| Position::new(last.position.get() - 1));
            // A page that is not full ends the results, unless the look ended before them.
            let until = if is_full { last } else { found.looked_to }?;
            Some(Page { until, told: page.told + end - start, count: Some(count), of: page.of })
        }
    }
}

/// The state of rooms by their ids, as far as it may be told.
async fn state_of_all(
    views: &mut HashMap<RoomNum, View<'_>>,
    rooms: BTreeSet<RoomNum>,
) -> Result<BTreeMap<String, Vec<Box<RawValue>>>> {
    let (mut all, mut bytes) = (BTreeMap::new(), 0);
    for room in rooms {
        if bytes >= MOST_STATE_BYTES {
            break;
        }
        let view = views.get_mut(&room).ok_or_else(|| Error::internal("a view is missing"))?;
        let root = view.state().await?;
        let state = state_of(view, root, None, &Compiled::default()).await?;
        bytes += state.bytes();
        all.insert(view.room_id.clone(), state.to_raw().map_err(Error::internal)?);
    }
    Ok(all)
}

/// The names that those had who speak around a result, as of then.
async fn profiles(
    view: &mut View<'_>,
    hit: &EventHeader,
    before: &History,
    after: &History,
) -> Result<BTreeMap<String, Named>> {
    let mut senders: Vec<_> = before.senders.iter().chain(&after.senders).copied().collect();
    senders.push(hit.sender);
    senders.sort_unstable();
    senders.dedup();
    let members = members_of(view, hit.state_after, &senders).await?;
    let named = |event: Box<RawValue>| -> Result<(String, Named)> {
        let MemberEvent { state_key } = serde_json::from_str(event.get()).map_err(Error::internal)?;
        let (displayname, avatar_url) = names_in(content(event.get())?);
        Ok((state_key, Named { displayname, avatar_url }))
    };
    members.to_raw().map_err(Error::internal)?.into_iter().map(named).collect()
}
