//! The parts of a value: numbers as varints, text and bytes with their length in front.

use super::{Corrupt, Encoder, Reader};
use crate::Position;

/// A part of a record.
pub trait Field: Sized {
    /// Appends the part.
    fn put(&self, out: &mut Encoder);

    /// Reads the part from the front of what is left.
    ///
    /// # Errors
    /// The bytes have another form.
    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

/// Whole numbers of up to 64 bits in as few bytes as they need (LEB128).
#[derive(Debug, Clone, Copy)]
pub struct Varint;

impl Varint {
    /// Appends a number.
    pub fn put(mut number: u64, out: &mut Encoder) {
        loop {
            let low = (number & 0x7f) as u8;
            number >>= 7;
            if number == 0 {
                return out.push(&[low]);
            }
            out.push(&[low | 0x80]);
        }
    }

    /// Reads a number.
    ///
    /// # Errors
    /// The bytes end too early or hold more than 64 bits.
    pub fn get(input: &mut Reader<'_>) -> Result<u64, Corrupt> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = input.array()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Corrupt("a number has more than 64 bits"))
    }

    /// Reads a number that counts things of which each takes a byte at least.
    fn count(input: &mut Reader<'_>) -> Result<usize, Corrupt> {
        let count = usize::try_from(Self::get(input)?).map_err(|_| Corrupt("a length is too great"))?;
        if count > input.0.len() {
            return Err(Corrupt("a length is greater than what is left"));
        }
        Ok(count)
    }
}

macro_rules! number_fields {
    ($($t:ty),*) => {$(
        impl Field for $t {
            fn put(&self, out: &mut Encoder) {
                Varint::put(u64::from(*self), out);
            }

            fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
                Self::try_from(Varint::get(input)?).map_err(|_| Corrupt("a number is too great"))
            }
        }
    )*};
}

number_fields!(u8, u16, u32, u64);

/// Zigzag, so that small negative numbers stay short.
impl Field for i64 {
    fn put(&self, out: &mut Encoder) {
        Varint::put(((self << 1) ^ (self >> 63)).cast_unsigned(), out);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let raw = Varint::get(input)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }
}

impl Field for bool {
    fn put(&self, out: &mut Encoder) {
        out.push(&[u8::from(*self)]);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match input.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Corrupt("a yes or no is neither")),
        }
    }
}

/// Eight bytes, since its number is filled in at commit. Until then it is read as [`Position::MAX`]: values can be asked
/// for while their batch is built ([`crate::Batch::written`]).
impl Field for Position {
    fn put(&self, out: &mut Encoder) {
        out.push_position(*self);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self::new(u64::from_be_bytes(input.array()?)))
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Encoder) {
        out.push(self);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        input.array()
    }
}

impl Field for String {
    fn put(&self, out: &mut Encoder) {
        Varint::put(self.len() as u64, out);
        out.push(self.as_bytes());
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let count = Varint::count(input)?;
        String::from_utf8(input.take(count)?.to_vec()).map_err(|_| Corrupt("a text is not UTF-8"))
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Encoder) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        bool::get(input)?.then(|| T::get(input)).transpose()
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Encoder) {
        Varint::put(self.len() as u64, out);
        for value in self {
            value.put(out);
        }
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let count = Varint::count(input)?;
        (0..count).map(|_| T::get(input)).collect()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, out: &mut Encoder) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok((A::get(input)?, B::get(input)?))
    }
}
