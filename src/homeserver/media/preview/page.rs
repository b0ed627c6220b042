//! What a page says of itself: `OpenGraph`'s properties, or what comes near them.

use std::cell::{Cell, RefCell};

use html5ever::tendril::{SliceExt as _, StrTendril};
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use serde_json::{Map, Value};

/// How many properties are taken over, and how many characters of each.
const MAX_PROPERTIES: usize = 50;
const MAX_CHARS: usize = 1000;
/// A page is read in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;
/// What may be read in vain. The tokenizer compares each attribute of a tag with all that the tag has before, so that a tag
/// costs as much as its length squared; it says when a tag is over, and until then that is how it is counted. This is one
/// tag (or comment) of 64 KiB, or 250 of 4 KiB; behind it nothing is read.
const MAX_COST: usize = 1 << 31;

/// What was read of a page.
#[derive(Debug, Default)]
pub struct Page {
    /// Those whose names begin with `og:`.
    properties: Map<String, Value>,
    title: Words,
    heading: Words,
    paragraph: Words,
    summary: Option<String>,
    picture: Option<String>,
    /// One that is shown where `OpenGraph` names none.
    second_picture: Option<String>,
}

/// Text between tags, with single spaces.
#[derive(Debug, Default)]
struct Words(String);

/// Where the words go that come now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Title,
    Heading,
    Paragraph,
}

/// What takes the page's tokens, one after the other: no tree is built, so nothing nests.
#[derive(Debug, Default)]
struct Reader {
    page: RefCell<Page>,
    place: RefCell<Option<Place>>,
    /// Whether anything came since this was last asked.
    came: Cell<bool>,
}

fn clipped(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_CHARS).collect()
}

impl Words {
    fn push(&mut self, text: &str) {
        // A page may be all one paragraph.
        if self.0.len() < 4 * MAX_CHARS {
            self.0.push_str(text);
        }
    }

    fn into_text(self) -> Option<String> {
        Some(clipped(&self.0)).filter(|text| !text.is_empty())
    }
}

impl Place {
    fn of(name: &str) -> Option<Self> {
        match name {
            "title" => Some(Self::Title),
            "h1" | "h2" | "h3" => Some(Self::Heading),
            "p" => Some(Self::Paragraph),
            _ => None,
        }
    }
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        // Errors come in the middle of a tag too.
        if !matches!(token, Token::ParseError(_)) {
            self.came.set(true);
        }
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return self.start(&tag),
            Token::TagToken(tag) if Place::of(&tag.name) == *self.place.borrow() => {
                self.place.replace(None);
            }
            Token::CharacterTokens(text) => self.words(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Reader {
    fn start(&self, tag: &Tag) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        match &*tag.name {
            "meta" => page.meta(tag),
            "link" => page.link(tag),
            name => {
                if let Some(place) = Place::of(name).filter(|place| page.words(*place).0.trim().is_empty()) {
                    self.place.replace(Some(place));
                }
            }
        }
        match &*tag.name {
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn words(&self, text: &str) {
        if let Some(place) = *self.place.borrow() {
            self.page.borrow_mut().words(place).push(text);
        }
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}

impl Page {
    /// Reads a page, up to where reading on would cost too much.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::read_part(text).0
    }

    /// What was read of a page, and how many bytes of it were.
    fn read_part(text: &str) -> (Self, usize) {
        let input = BufferQueue::default();
        let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
        let (mut rest, mut silent, mut cost) = (text, 0, 0);
        while !rest.is_empty() && cost < MAX_COST {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            rest = after;
            input.push_back(StrTendril::from(piece.to_tendril()));
            // It stops where a script would run, and goes on behind it.
            while !input.is_empty() {
                let _ = tokenizer.feed(&input);
            }
            silent = if tokenizer.sink.came.take() { 0 } else { silent + piece.len() };
            cost += silent * piece.len();
        }
        tokenizer.end();
        (tokenizer.sink.page.into_inner(), text.len() - rest.len())
    }

    const fn words(&mut self, place: Place) -> &mut Words {
        match place {
            Place::Title => &mut self.title,
            Place::Heading => &mut self.heading,
            Place::Paragraph => &mut self.paragraph,
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let name = attribute(tag, "property").or_else(|| attribute(tag, "name")).or_else(|| attribute(tag, "itemprop"));
        let (Some(name), Some(content)) = (name, attribute(tag, "content").map(clipped)) else { return };
        if content.is_empty() {
            return;
        }
        match name.to_ascii_lowercase().as_str() {
            "og:image" | "og:image:url" | "og:image:secure_url" => self.picture = self.picture.take().or(Some(content)),
            "twitter:image" | "twitter:image:src" | "image" => {
                self.second_picture = self.second_picture.take().or(Some(content));
            }
            "description" | "twitter:description" => self.summary = self.summary.take().or(Some(content)),
            name if name.starts_with("og:") && !name.starts_with("og:image") && self.has_room_for(name) => {
                self.properties.entry(name).or_insert(content.into());
            }
            _ => {}
        }
    }

    fn has_room_for(&self, name: &str) -> bool {
        self.properties.len() < MAX_PROPERTIES && name.len() <= MAX_CHARS
    }

    fn link(&mut self, tag: &Tag) {
        let rel = attribute(tag, "rel").unwrap_or_default();
        if let Some(href) = attribute(tag, "href")
            && rel.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("image_src"))
        {
            self.second_picture = self.second_picture.take().or(Some(clipped(href)));
        }
    }

    /// The address of the page's picture, as the page writes it.
    #[must_use]
    pub fn picture(&self) -> Option<&str> {
        self.picture.as_deref().or(self.second_picture.as_deref())
    }

    /// All that is shown of it but the picture.
    #[must_use]
    pub fn into_answer(self) -> Map<String, Value> {
        let mut answer = self.properties;
        let title = self.title.into_text().or_else(|| self.heading.into_text());
        let description = self.summary.or_else(|| self.paragraph.into_text());
        for (name, text) in [("og:title", title), ("og:description", description)] {
            if let Some(text) = text {
                answer.entry(name).or_insert(text.into());
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests;
