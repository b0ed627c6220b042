//! How keys and values become bytes: keys fixed-width and big-endian so that they sort, values compact.

use crate::Position;

mod field;
mod key;
mod record;
#[cfg(test)]
mod tests;

pub use field::{Field, Varint};
pub use key::{Key, PrefixOf, Word, WordFront};

/// Bytes that do not have the form they should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(pub &'static str);

/// Collects encoded keys and values and remembers where positions must be filled in at commit.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    stamps: Vec<(usize, u32)>,
}

impl Encoder {
    /// Appends raw bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a position; a pending one is filled in at commit.
    pub fn push_position(&mut self, position: Position) {
        if let Some(nth) = position.pending_index() {
            self.stamps.push((self.bytes.len(), nth));
        }
        self.push(&position.get().to_be_bytes());
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Gives every pending position its number, the first of them being `first`.
    pub(crate) fn fill(&mut self, first: Position) {
        for (offset, nth) in self.stamps.drain(..) {
            let number = first.get() + u64::from(nth);
            if let Some(place) = self.bytes.get_mut(offset..offset + 8) {
                place.copy_from_slice(&number.to_be_bytes());
            }
        }
    }
}

/// Takes encoded bytes apart from the front.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Corrupt> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Corrupt("it ends too early"))?;
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(Corrupt("it ends too early"))?;
        self.0 = tail;
        Ok(*head)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Something is left.
    pub fn finish(self) -> Result<(), Corrupt> {
        if self.0.is_empty() { Ok(()) } else { Err(Corrupt("it goes on after its end")) }
    }
}

/// What stands in a keyspace's value. `record!` implements it for structs, with a version byte in front.
pub trait Value: Sized {
    /// Appends the value.
    fn encode(&self, out: &mut Encoder);

    /// Reads the value from all of `bytes`.
    ///
    /// # Errors
    /// The bytes have another form.
    fn decode(bytes: &[u8]) -> Result<Self, Corrupt>;
}

/// Nothing: the key says it all.
impl Value for () {
    fn encode(&self, _: &mut Encoder) {}

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        Reader::new(bytes).finish()
    }
}

impl Value for Vec<u8> {
    fn encode(&self, out: &mut Encoder) {
        out.push(self);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        Ok(bytes.to_vec())
    }
}

impl Value for String {
    fn encode(&self, out: &mut Encoder) {
        out.push(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        String::from_utf8(bytes.to_vec()).map_err(|_| Corrupt("it is not UTF-8"))
    }
}

/// Whole numbers stand in values as in keys, so that a plain number needs no record around it.
macro_rules! value_as_key {
    ($($t:ty),*) => {$(
        impl Value for $t {
            fn encode(&self, out: &mut Encoder) {
                Key::encode(self, out);
            }

            fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
                let mut reader = Reader::new(bytes);
                let value = <$t as Key>::decode(&mut reader)?;
                reader.finish()?;
                Ok(value)
            }
        }
    )*};
}

value_as_key!(u8, u16, u32, u64, i64, [u8; 16], [u8; 32]);

/// As a field, since its number may not be given yet where it is read.
impl Value for Position {
    fn encode(&self, out: &mut Encoder) {
        Field::put(self, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let value = <Self as Field>::get(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}
