//! Searching the user directory: by the beginnings of words, best matches first.

use std::cmp::Reverse;
use std::collections::HashSet;

use matron_matrix::text::{fold, words};
use matron_storage::{Snapshot, WordFront};
use ruma::{OwnedMxcUri, OwnedUserId, UserId};

use super::Directory;
use crate::accounts::{Profile, Session, found_by};
use crate::config::Findable;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::AccountKind;
use crate::schema::directory::{NAME_WORDS, OPEN_MEMBERS};
use crate::streams::Joined;

/// The most people that one answer may hold.
const MOST_PEOPLE: usize = 50;
/// How many matches are put in order; of more than these, the first by word are taken.
const MOST_RANKED: usize = 250;
/// How many rows of a word are looked at: somebody who may see few of many stops here.
const MOST_LOOKS: usize = 10_000;
/// Of how many people the profiles are read at once.
const PEOPLE_AT_ONCE: usize = 64;
/// The most words that are looked for.
const MOST_WORDS: usize = 8;

/// Somebody who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user_id: OwnedUserId,
    /// The name that they have everywhere.
    pub display_name: Option<String>,
    /// Their avatar.
    pub avatar_url: Option<OwnedMxcUri>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The best matches, in their order.
    pub people: Vec<Person>,
    /// Whether there are more.
    pub limited: bool,
}

/// What somebody looks for.
#[derive(Debug)]
struct Query {
    /// The whole text, folded.
    text: String,
    /// Its words; every one begins a word of who is found.
    words: Vec<String>,
    /// With what the server's name begins, where a user id was begun.
    server: Option<String>,
}

impl Query {
    fn parse(term: &str) -> Self {
        let (name, server) = match term.trim().strip_prefix('@') {
            Some(id) => id.split_once(':').map_or((id, None), |(name, server)| (name, Some(server))),
            None => (term.trim(), None),
        };
        let mut words = words(name);
        words.truncate(MOST_WORDS);
        Self { text: fold(name), words, server: server.map(str::to_ascii_lowercase) }
    }

    /// The word by which rows are sought, and the others: the longest is in the fewest names.
    fn rarest(&self) -> Option<(&String, impl Iterator<Item = &String>)> {
        let (at, rarest) = self.words.iter().enumerate().max_by_key(|(_, word)| word.len())?;
        Some((rarest, self.words.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, word)| word)))
    }

    /// How well somebody matches, the least best; none where they do not.
    fn rank(&self, user_id: &UserId, display_name: Option<&str>) -> Option<Rank> {
        if self.server.as_ref().is_some_and(|server| !user_id.server_name().as_str().starts_with(server.as_str())) {
            return None;
        }
        let (own, shown) = (fold(user_id.localpart()), display_name.map(fold));
        let theirs: HashSet<_> = found_by(&own, shown.as_deref()).collect();
        let begins = |word: &String| theirs.iter().any(|their| their.starts_with(word.as_str()));
        if !self.words.iter().all(begins) {
            return None;
        }
        let names = || shown.iter().chain([&own]);
        let whole = names().any(|name| *name == self.text);
        let front = names().any(|name| name.starts_with(&self.text));
        let exact = self.words.iter().filter(|word| theirs.contains(word.as_str())).count();
        let order = (Reverse(whole), Reverse(exact), Reverse(front), Reverse(shown.is_some()));
        Some((order, shown.unwrap_or(own)))
    }
}

/// The whole name, words that match wholly, the front of the name, whether there is a display name; then by name.
type Rank = ((Reverse<bool>, Reverse<usize>, Reverse<bool>, Reverse<bool>), String);

/// Whom a searcher may find.
struct Sight<'a> {
    directory: &'a Directory,
    snapshot: &'a Snapshot,
    searcher: UserNum,
    /// Who is joined to the searcher's rooms, one set per room; nothing where everybody may be found.
    rooms: Option<Vec<Joined>>,
}

impl Sight<'_> {
    async fn reaches(&self, user: UserNum) -> Result<bool> {
        if user == self.searcher {
            return Ok(false);
        }
        let Some(rooms) = &self.rooms else { return Ok(true) };
        if rooms.iter().any(|joined| joined.contains(&user)) {
            return Ok(true);
        }
        let mut open = self.snapshot.scan(&OPEN_MEMBERS, OPEN_MEMBERS.under(&(user,))).expecting(1);
        Ok(open.next().await?.is_some())
    }

    /// Whether an account is one that is to be found at all.
    async fn is_there(&self, user: UserNum) -> Result<bool> {
        let account = self.directory.accounts.get(self.snapshot, user).await?;
        Ok(account.is_some_and(|account| !account.deactivated && !account.locked && account.kind == AccountKind::User))
    }
}

impl Directory {
    /// The people whom a text finds, best matches first; the searcher is not among them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn search(&self, session: &Session, term: &str, limit: usize) -> Result<Found> {
        let limit = limit.min(MOST_PEOPLE);
        let query = Query::parse(term);
        let Some((rarest, others)) = query.rarest() else { return Ok(Found::default()) };
        if self.config.finding.people == Findable::Known {
            self.follower.catch_up().await;
        }
        let snapshot = self.store.snapshot();
        let sight = self.sight(&snapshot, session.user).await?;
        let mut named = Vec::new();
        for word in others {
            named.extend(all_named(&snapshot, word).await?);
        }
        let mut scan = snapshot.scan(&NAME_WORDS, NAME_WORDS.under(&WordFront(rarest.clone())));
        let (mut seen, mut ranked) = (HashSet::new(), Vec::new());
        let (mut looks, mut cut, mut ended) = (0, false, false);
        while !ended && !cut {
            let most = PEOPLE_AT_ONCE.min(MOST_RANKED - ranked.len());
            let mut some = Vec::with_capacity(most);
            while let Some(((_, user), ())) = scan.next().await? {
                looks += 1;
                if most == 0 || looks > MOST_LOOKS {
                    cut = true;
                    break;
                }
                if named.iter().all(|named| named.contains(&user)) && seen.insert(user) && sight.reaches(user).await? {
                    some.push(user);
                }
                if some.len() == most {
                    break;
                }
            }
            ended = some.len() < most || most == 0;
            for (user, name) in some.iter().zip(self.accounts.display_names(&snapshot, &some).await?) {
                let user_id = self.ids.user_id(*user).await?;
                if let Some(rank) = query.rank(&user_id, name.as_deref()) {
                    ranked.push((rank, user_id, *user));
                }
            }
        }
        ranked.sort_unstable();
        let (mut told, mut limited) = (Vec::new(), cut);
        for (_, user_id, user) in ranked {
            if !sight.is_there(user).await? {
                continue;
            }
            if told.len() == limit {
                limited = true;
                break;
            }
            told.push((user, user_id));
        }
        let users: Vec<_> = told.iter().map(|(user, _)| *user).collect();
        let profiles = self.accounts.profiles(&snapshot, &users).await?.into_iter();
        let people = told.into_iter().zip(profiles).map(|((_, user_id), profile)| {
            let Profile { displayname: display_name, avatar_url } = profile;
            Person { user_id, display_name, avatar_url }
        });
        Ok(Found { people: people.collect(), limited })
    }

    async fn sight<'a>(&'a self, snapshot: &'a Snapshot, searcher: UserNum) -> Result<Sight<'a>> {
        let rooms = match self.config.finding.people {
            Findable::All => None,
            Findable::Known => {
                let mut rooms = Vec::new();
                for room in self.rooms.joined_rooms(snapshot, searcher).await?.iter() {
                    rooms.push(self.streams.joined(snapshot, *room).await?);
                }
                Some(rooms)
            }
        };
        Ok(Sight { directory: self, snapshot, searcher, rooms })
    }
}

/// All whose names have a word that begins so; none where they are too many to be gathered.
async fn all_named(snapshot: &Snapshot, word: &str) -> Result<Option<HashSet<UserNum>>> {
    let rows = NAME_WORDS.under(&WordFront(word.to_owned()));
    let rows = snapshot.scan(&NAME_WORDS, rows).take(MOST_LOOKS).await?;
    Ok((rows.len() < MOST_LOOKS).then(|| rows.into_iter().map(|((_, user), ())| user).collect()))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::Query;

    #[test]
    fn every_word_begins_a_word() {
        let ann = user_id!("@a.smith:ward.example");
        let matches = |term: &str| Query::parse(term).rank(ann, Some("Dr Ånn Smith-Jones")).is_some();
        for term in ["ann", "AN SM", "jones dr", "@a.smi", "@a.smith:ward.example", "@a:ward", "a smith", "dr. ann"] {
            assert!(matches(term), "{term}");
        }
        for term in ["nn", "ann x", "@a.smith:other", "mith"] {
            assert!(!matches(term), "{term}");
        }
        assert!(Query::parse(" @!").rarest().is_none());
    }

    #[test]
    fn better_matches_rank_first() {
        let query = Query::parse("ann");
        let rank = |id: &ruma::UserId, name: &str| query.rank(id, Some(name)).unwrap();
        let order = [
            rank(user_id!("@x:a"), "Ann"),
            rank(user_id!("@y:a"), "Ann Smith"),
            rank(user_id!("@z:a"), "Mary Ann"),
            rank(user_id!("@w:a"), "Anna"),
            rank(user_id!("@v:a"), "Mary Anna"),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }
}
