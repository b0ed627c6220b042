//! Keys: fixed-width big-endian parts, at most one part of variable length, and that one last.

use super::{Corrupt, Encoder, Reader};
use crate::Position;

/// A part of a key, or a whole one. Its bytes sort as the values do.
pub trait Key: Sized {
    /// Appends the key.
    fn encode(&self, out: &mut Encoder);

    /// Reads the key from the front of what is left.
    ///
    /// # Errors
    /// The bytes have another form.
    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

/// A leading part of `K`, by which its rows can be scanned.
pub trait PrefixOf<K>: Key {}

macro_rules! unsigned_keys {
    ($($t:ty),*) => {$(
        impl Key for $t {
            fn encode(&self, out: &mut Encoder) {
                out.push(&self.to_be_bytes());
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
                Ok(Self::from_be_bytes(input.array()?))
            }
        }
    )*};
}

unsigned_keys!(u8, u16, u32, u64);

/// Signed numbers sort by value: the sign bit is flipped.
impl Key for i64 {
    fn encode(&self, out: &mut Encoder) {
        (self.cast_unsigned() ^ (1 << 63)).encode(out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok((u64::decode(input)? ^ (1 << 63)).cast_signed())
    }
}

/// Keys are read as they were committed: a position that is not given yet is in none of them.
impl Key for Position {
    fn encode(&self, out: &mut Encoder) {
        out.push_position(*self);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = u64::decode(input)?;
        if number > Self::MAX.get() {
            return Err(Corrupt("a key's position is greater than all there are"));
        }
        Ok(Self::new(number))
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Encoder) {
        out.push(self);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        input.array()
    }
}

impl Key for () {
    fn encode(&self, _: &mut Encoder) {}

    fn decode(_: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(())
    }
}

/// A string takes all that is left of a key, so it stands last.
impl Key for String {
    fn encode(&self, out: &mut Encoder) {
        out.push(self.as_bytes());
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        String::from_utf8(input.rest().to_vec()).map_err(|_| Corrupt("a key's text is not UTF-8"))
    }
}

/// Bytes take all that is left of a key, so they stand last.
impl Key for Vec<u8> {
    fn encode(&self, out: &mut Encoder) {
        out.push(self);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(input.rest().to_vec())
    }
}

/// A text that something may follow: a NUL ends it, and it holds none. So rows lie by the text, then by what follows.
///
/// For indexes of words alone, which have to lie by the word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

impl Word {
    /// A word; what follows a NUL in the text is left out.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.split('\0').next().unwrap_or_default().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key for Word {
    fn encode(&self, out: &mut Encoder) {
        out.push(self.0.as_bytes());
        out.push(&[0]);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let end = input.0.iter().position(|byte| *byte == 0).ok_or(Corrupt("a word has no end"))?;
        let text = input.take(end)?.to_vec();
        input.take(1)?;
        String::from_utf8(text).map(Self).map_err(|_| Corrupt("a key's text is not UTF-8"))
    }
}

/// The front of a [`Word`], of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordFront(pub String);

impl Key for WordFront {
    fn encode(&self, out: &mut Encoder) {
        out.push(self.0.as_bytes());
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        String::decode(input).map(Self)
    }
}

impl<A> PrefixOf<(Word, A)> for WordFront {}

macro_rules! tuple_keys {
    ($($name:ident),+) => {
        impl<$($name: Key),+> Key for ($($name,)+) {
            fn encode(&self, out: &mut Encoder) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.encode(out);)+
            }

            fn decode(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
                Ok(($($name::decode(input)?,)+))
            }
        }
    };
}

tuple_keys!(A);
tuple_keys!(A, B);
tuple_keys!(A, B, C);
tuple_keys!(A, B, C, D);
tuple_keys!(A, B, C, D, E);

impl<A: Key, B> PrefixOf<(A, B)> for (A,) {}
impl<A: Key, B, C> PrefixOf<(A, B, C)> for (A,) {}
impl<A: Key, B: Key, C> PrefixOf<(A, B, C)> for (A, B) {}
impl<A: Key, B, C, D> PrefixOf<(A, B, C, D)> for (A,) {}
impl<A: Key, B: Key, C, D> PrefixOf<(A, B, C, D)> for (A, B) {}
impl<A: Key, B: Key, C: Key, D> PrefixOf<(A, B, C, D)> for (A, B, C) {}
impl<A: Key, B, C, D, E> PrefixOf<(A, B, C, D, E)> for (A,) {}
impl<A: Key, B: Key, C, D, E> PrefixOf<(A, B, C, D, E)> for (A, B) {}
impl<A: Key, B: Key, C: Key, D, E> PrefixOf<(A, B, C, D, E)> for (A, B, C) {}
impl<A: Key, B: Key, C: Key, D: Key, E> PrefixOf<(A, B, C, D, E)> for (A, B, C, D) {}
/// The front of a text, of any length.
impl PrefixOf<String> for String {}
impl<A: Key> PrefixOf<(A, String)> for (A, String) {}
impl<A: Key, B: Key> PrefixOf<(A, B, String)> for (A, B, String) {}
