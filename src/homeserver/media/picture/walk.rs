//! A walk through a picture's file before anything of it is decoded. Decoders take memory by what a file says of itself, and
//! some believe all of it: a chunk of 4 GB in a file of sixty bytes, a frame that is larger than its picture.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::{DECODER_BYTES, Refusal};
use crate::schema::media::Form;

/// Bytes of a chunk's name and length.
const CHUNK_HEAD: u64 = 8;
/// Where the chunks of a WebP begin, and how many bytes of a moving one's frame stand before its own.
const WEBP_HEAD: u64 = 12;
const FRAME_HEAD: u64 = 16;

/// Looks whether a picture of at most `most` pixels may be given to its decoder.
///
/// # Errors
/// It says of itself what cannot be, or would take too much memory.
pub fn check(source: &mut (impl BufRead + Seek), form: Form, most: u64) -> Result<(), Refusal> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    match form {
        // Its decoder reads it whole before it looks at its size. None that a camera writes has two bytes a pixel.
        Form::Jpeg if end > most.saturating_mul(2).saturating_add(DECODER_BYTES) => return Err(Refusal::TooLarge),
        // Its decoder keeps the limits that it is given.
        Form::Jpeg | Form::Png => {}
        Form::Gif => {
            gif_frames(&mut *source, 1)?;
        }
        Form::WebP => webp(source, end)?,
    }
    source.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// How many frames a GIF has, of the first `most`. Each lies within the picture.
///
/// # Errors
/// One does not, or it is no GIF.
pub fn gif_frames(source: impl Read, most: usize) -> Result<usize, Refusal> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    options.check_frame_consistency(true);
    let mut frames = options.read_info(source).map_err(|_| Refusal::NoPicture)?;
    let mut count = 0;
    while count < most && frames.next_frame_info().map_err(|_| Refusal::NoPicture)?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// A chunk's name, and where its bytes begin and end.
struct Chunk {
    name: [u8; 4],
    begin: u64,
    end: u64,
}

impl Chunk {
    /// The chunk at a place; none where the file ends.
    fn read(source: &mut (impl Read + Seek), at: u64) -> Result<Option<Self>, Refusal> {
        source.seek(SeekFrom::Start(at))?;
        let (mut name, mut length) = ([0; 4], [0; 4]);
        match source.read_exact(&mut name).and_then(|()| source.read_exact(&mut length)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let begin = at + CHUNK_HEAD;
        Ok(Some(Self { name, begin, end: begin + u64::from(u32::from_le_bytes(length)) }))
    }

    const fn length(&self) -> u64 {
        self.end - self.begin
    }

    /// Where the next one lies: lengths are made even.
    const fn next(&self) -> u64 {
        self.end + self.length() % 2
    }
}

/// Walks through the chunks of a WebP as its decoder does. One without a head of its own is one frame, by which the decoder
/// knows its size.
fn webp(source: &mut (impl Read + Seek), end: u64) -> Result<(), Refusal> {
    let riff = Chunk::read(source, 0)?.ok_or(Refusal::NoPicture)?;
    let head = Chunk::read(source, WEBP_HEAD)?.ok_or(Refusal::NoPicture)?;
    if head.name != *b"VP8X" {
        return Ok(());
    }
    let mut fields = [0; 10];
    source.read_exact(&mut fields)?;
    let [.., w0, w1, w2, h0, h1, h2] = fields;
    let canvas = [[w0, w1, w2, 0], [h0, h1, h2, 0]].map(|side| u32::from_le_bytes(side) + 1);
    let mut at = head.next();
    // What comes after the end of the container is no picture's, but the decoder looks at the first bytes of it.
    let last = at + riff.length().saturating_sub(WEBP_HEAD);
    while at < last
        && let Some(chunk) = Chunk::read(source, at)?
    {
        webp_chunk(source, &chunk, end, canvas)?;
        if chunk.name == *b"ANMF" {
            // The decoder takes an odd length as it is in one place, and makes it even in another.
            if chunk.length() % 2 == 1 {
                return Err(Refusal::NoPicture);
            }
            let mut at = chunk.begin + FRAME_HEAD;
            while at + CHUNK_HEAD <= chunk.end
                && let Some(part) = Chunk::read(source, at)?
            {
                webp_chunk(source, &part, chunk.end, canvas)?;
                at = part.next();
            }
        }
        at = chunk.next();
    }
    Ok(())
}

fn webp_chunk(source: &mut (impl Read + Seek), chunk: &Chunk, end: u64, canvas: [u32; 2]) -> Result<(), Refusal> {
    let is_beside = matches!(&chunk.name, b"ICCP" | b"EXIF" | b"XMP ");
    let is_read = is_beside || matches!(&chunk.name, b"ANIM" | b"ANMF" | b"ALPH" | b"VP8 " | b"VP8L");
    if is_read && chunk.end > end {
        return Err(Refusal::NoPicture);
    }
    if is_beside && chunk.length() > DECODER_BYTES {
        return Err(Refusal::TooLarge);
    }
    if chunk.name == *b"VP8 " {
        // Three bytes of flags and three that mark a frame, then its sides.
        let mut head = [0; 10];
        source.seek(SeekFrom::Start(chunk.begin))?;
        source.read_exact(&mut head)?;
        let [.., w0, w1, h0, h1] = head;
        let sides = [[w0, w1], [h0, h1]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff));
        if sides.into_iter().zip(canvas).any(|(side, most)| side > most) {
            return Err(Refusal::NoPicture);
        }
    }
    Ok(())
}
