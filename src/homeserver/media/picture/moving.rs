//! Pictures that move: told from still ones, and drawn smaller.

use std::io::{BufRead, Seek, SeekFrom};

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder as _, DynamicImage, Frame, Frames, ImageDecoder as _, Limits};

use super::walk::gif_frames;
use super::{Refusal, draw as draw_still};
use crate::schema::media::Form;

/// What moves longer stands still in its thumbnail.
const MAX_FRAMES: usize = 300;
/// So does what has more pixels than this in all its frames, or would have in those of its thumbnail.
const MAX_PIXELS: u64 = 200_000_000;
const MAX_DRAWN_PIXELS: u64 = 30_000_000;
/// How carefully colours are chosen: 1 is best, 30 quickest.
const SPEED: i32 = 20;

/// Whether a picture has more than one frame.
pub fn is(source: impl BufRead + Seek, form: Form, limits: &Limits) -> Result<bool, Refusal> {
    Ok(match form {
        Form::Jpeg => false,
        Form::Png => PngDecoder::with_limits(source, limits.clone())?.is_apng()?,
        Form::WebP => WebPDecoder::new(source)?.has_animation(),
        Form::Gif => gif_frames(source, 2)? > 1,
    })
}

fn frames<'a>(source: impl BufRead + Seek + 'a, form: Form, limits: &Limits) -> Result<Option<Frames<'a>>, Refusal> {
    Ok(match form {
        Form::Jpeg => None,
        Form::Png => Some(PngDecoder::with_limits(source, limits.clone())?.apng()?.into_frames()),
        Form::WebP => {
            let mut decoder = WebPDecoder::new(source)?;
            decoder.set_limits(limits.clone())?;
            Some(decoder.into_frames())
        }
        Form::Gif => {
            let mut decoder = GifDecoder::new(source)?;
            decoder.set_limits(limits.clone())?;
            Some(decoder.into_frames())
        }
    })
}

/// A moving picture drawn smaller, as a GIF; none where it moves too long for that.
pub fn draw(
    mut source: impl BufRead + Seek,
    form: Form,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Refusal> {
    // No frame is larger than the picture, by which pixels are counted below.
    if form == Form::Gif && gif_frames(&mut source, MAX_FRAMES + 1)? > MAX_FRAMES {
        return Ok(None);
    }
    source.seek(SeekFrom::Start(0))?;
    let Some(frames) = frames(source, form, limits)? else { return Ok(None) };
    let mut picture = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut picture, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    let (mut pixels, mut drawn_pixels) = (0, 0);
    for (nth, frame) in frames.enumerate() {
        let frame = frame?;
        let (delay, still) = (frame.delay(), DynamicImage::from(frame.into_buffer()));
        pixels += u64::from(still.width()) * u64::from(still.height());
        drawn_pixels += u64::from(width) * u64::from(height);
        if nth >= MAX_FRAMES || pixels > MAX_PIXELS || drawn_pixels > MAX_DRAWN_PIXELS {
            return Ok(None);
        }
        let small = draw_still(still, (width, height))?.into_rgba8();
        encoder.encode_frame(Frame::from_parts(small, 0, 0, delay))?;
    }
    drop(encoder);
    Ok(Some(picture))
}
