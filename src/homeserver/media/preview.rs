//! Previews of web pages: client-server API, "Content repository". A page is fetched for all who ask,
//! and what was found is true for a while.

mod fetch;
mod page;

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use matron_matrix::{Error as MatrixError, digest};
use matron_storage::Batch;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Media, Medium, Name};
use crate::error::{Error, Result};
use crate::schema::media::{Content, MEDIA_EXPIRY, Origin, PREVIEW_EXPIRY, PREVIEWS, Preview};
use fetch::{Body, Text, Trouble};
pub use page::Page;

/// The longest address that is looked at.
pub const MAX_URL_BYTES: usize = 2048;
/// How long what was found is true, in milliseconds; and how long it is remembered that nothing was.
const TRUE_FOR: u64 = 60 * 60 * 1000;
const NOTHING_FOR: u64 = 5 * 60 * 1000;
/// How much longer the picture of a preview stays: clients show old ones.
const PICTURE_STAYS: u64 = 24 * 60 * 60 * 1000;
/// How long a page and its picture may take together.
const WITHIN: Duration = Duration::from_secs(25);

/// What was at an address.
enum Fetched {
    /// A picture, and what is known of it.
    Picture(Map<String, Value>),
    /// A page's text; none where it is something else.
    Page(Option<Text>),
}

/// The address as it is fetched.
fn parse(text: &str) -> Result<Url, MatrixError> {
    let refused = |why: &str| MatrixError::invalid_param(format!("no preview is made of this address: {why}"));
    if text.len() > MAX_URL_BYTES {
        return Err(refused("it is too long"));
    }
    let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    if !fetch::may_be_fetched(&url) {
        return Err(refused("it is none of the web, or holds a password"));
    }
    url.set_fragment(None);
    Ok(url)
}

impl Media {
    /// What is at an address, as JSON in the manner of `OpenGraph`.
    ///
    /// # Errors
    /// `M_UNRECOGNIZED` where previews are off, `M_INVALID_PARAM`, `M_FORBIDDEN` for addresses inside the house, and
    /// [`Error::Upstream`] where the page cannot be had.
    pub async fn preview(self: &Arc<Self>, url: &str) -> Result<String> {
        if !self.config.media.url_previews {
            return Err(MatrixError::unrecognized("previews of web pages are off").into());
        }
        let url = parse(url)?;
        let key = digest::of(url.as_str().as_bytes());
        if let Some(known) = self.known(&key).await? {
            return answered(known);
        }
        let _turn = self.page_turns.take(&key).await;
        if let Some(known) = self.known(&key).await? {
            return answered(known);
        }
        // Who hangs up while all fetchers are out is gone.
        let fetcher = Arc::clone(&self.fetchers).acquire_owned().await.map_err(Error::internal)?;
        let media = Arc::clone(self);
        let looked = self.tasks.spawn(async move { media.look(url, key, fetcher).await });
        answered(looked.await.map_err(Error::internal)??)
    }

    /// What was found before and is still true. Without its picture, which made room for others or was deleted, it is not.
    async fn known(&self, key: &[u8; 32]) -> Result<Option<Preview>> {
        let snapshot = self.store.snapshot();
        let known = snapshot.get(&PREVIEWS, key).await?.filter(|preview| self.clock.millis() < preview.expires);
        match known.as_ref().and_then(|preview| picture_of(preview.answer.as_deref()?)) {
            Some(name) if self.row(&snapshot, &name).await?.is_none() => Ok(None),
            _ => Ok(known),
        }
    }

    /// Fetches a page, and keeps what was found, be it nothing.
    async fn look(self: &Arc<Self>, url: Url, key: [u8; 32], fetcher: OwnedSemaphorePermit) -> Result<Preview> {
        let fetcher = Arc::new(fetcher);
        let found = tokio::select! {
            found = self.find_page(url, &fetcher) => found,
            () = self.stop.cancelled() => Err(Trouble::Unreachable),
        };
        self.meters.pages.add(1);
        if found.is_err() {
            self.meters.pages_lost.add(1);
        }
        let answer = match found {
            Ok(found) => Some(Value::Object(found).to_string()),
            Err(Trouble::Ours(error)) => return Err(error),
            Err(Trouble::Denied) => {
                return Err(MatrixError::forbidden("this server does not call addresses of that network").into());
            }
            Err(Trouble::Unreachable) => None,
        };
        let lasting = if answer.is_some() { TRUE_FOR } else { NOTHING_FOR };
        let preview = Preview { expires: self.clock.millis() + lasting, answer };
        let mut batch = Batch::new();
        batch.put(&PREVIEWS, &key, &preview);
        batch.put(&PREVIEW_EXPIRY, &(preview.expires, key), &());
        self.store.commit(batch).await?;
        Ok(preview)
    }

    async fn find_page(
        self: &Arc<Self>,
        url: Url,
        fetcher: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Map<String, Value>, Trouble> {
        let until = Instant::now() + WITHIN;
        let at_address = async {
            let fetched = fetch::fetch(&self.pages, url).await?;
            if fetched.is_picture() {
                return self.picture(fetched).await.map(Fetched::Picture);
            }
            fetched.text().await.map(Fetched::Page)
        };
        let text = match timeout_at(until, at_address).await.unwrap_or(Err(Trouble::Unreachable))? {
            Fetched::Picture(found) => return Ok(found),
            Fetched::Page(None) => return Ok(Map::new()),
            Fetched::Page(Some(text)) => text,
        };
        let base = text.url.clone();
        let fetcher = Arc::clone(fetcher);
        let read = move || {
            let page = Page::read(&text.decoded());
            // Nobody calls a thread back whose page is given up meanwhile.
            drop(fetcher);
            page
        };
        let page = tokio::task::spawn_blocking(read).await;
        let page = page.map_err(|error| Trouble::Ours(Error::internal(error)))?;
        let picture = page.picture().and_then(|picture| base.join(picture).ok());
        let mut found = page.into_answer();
        if let Some(url) = picture.filter(fetch::may_be_fetched) {
            // A page whose picture cannot be had is shown without it.
            let picture = async { self.picture(fetch::fetch(&self.pages, url).await?).await };
            match timeout_at(until, picture).await.unwrap_or(Err(Trouble::Unreachable)) {
                Ok(picture) => found.extend(picture),
                Err(Trouble::Ours(error)) => return Err(Trouble::Ours(error)),
                Err(Trouble::Denied | Trouble::Unreachable) => {}
            }
        }
        Ok(found)
    }

    /// Drops the oldest pictures of previews until there is room for one of so many bytes.
    async fn make_room(self: &Arc<Self>, bytes: u64) -> Result<()> {
        let mut after = (0, String::new());
        let mut usage = self.preview_usage(&self.store.snapshot()).await?;
        while usage.bytes.saturating_add(bytes) > self.config.media.max_preview_bytes {
            let snapshot = self.store.snapshot();
            // All stay equally long, so that those that go next came first. Names whose bytes are awaited have a time too.
            let next = MEDIA_EXPIRY.range((Excluded(after), Unbounded));
            let Some((next, ())) = snapshot.scan(&MEDIA_EXPIRY, next).first().await? else { return Ok(()) };
            let deleted = self.delete_key(next.1.clone(), |medium| medium.origin == Origin::Preview).await;
            let deleted =
                deleted.inspect_err(|error| tracing::warn!(%error, "a picture of a preview does not make room"));
            if deleted? {
                usage = self.preview_usage(&self.store.snapshot()).await?;
            }
            after = next;
        }
        Ok(())
    }

    /// Keeps a picture, and says what is known of it.
    async fn picture(self: &Arc<Self>, fetched: Body) -> Result<Map<String, Value>, Trouble> {
        if !fetched.is_picture() {
            return Err(Trouble::Unreachable);
        }
        let content_type = fetched.content_type.clone();
        let (whole, head) = fetched.picture(self.files.incoming(), self.config.media.max_pixels).await?;
        let (name, now) = (Name::random(&self.config.server_name), self.clock.millis());
        let content =
            Content { file: whole.digest, bytes: whole.bytes, content_type: content_type.clone(), file_name: None };
        let medium = Medium {
            origin: Origin::Preview,
            user: None,
            created: now,
            content: None,
            expires: Some(now + TRUE_FOR + PICTURE_STAYS),
            open: self.config.media.open,
            quarantined: None,
        };
        let bytes = whole.bytes;
        self.make_room(bytes).await?;
        self.keep(whole, name.clone(), (None, medium), content).await.map_err(Trouble::Ours)?;
        let mut found = Map::new();
        found.insert("og:image".to_owned(), name.uri().to_string().into());
        found.insert("og:image:type".to_owned(), content_type.into());
        found.insert("matrix:image:size".to_owned(), bytes.into());
        if let Some(head) = head {
            found.insert("og:image:width".to_owned(), head.width.into());
            found.insert("og:image:height".to_owned(), head.height.into());
        }
        Ok(found)
    }
}

/// The picture that an answer names.
fn picture_of(answer: &str) -> Option<Name> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "og:image")]
        image: Option<String>,
    }
    let Answer { image } = serde_json::from_str(answer).ok()?;
    Name::of_key(image?.strip_prefix("mxc://")?)
}

fn answered(preview: Preview) -> Result<String> {
    let unreachable = || Error::Upstream(MatrixError::unknown("the page cannot be had"));
    preview.answer.ok_or_else(unreachable)
}
