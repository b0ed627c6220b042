//! Pictures: what is in one by its head, and thumbnails of it. Blocks for as long as the drawing takes.

mod moving;
mod walk;

use std::io::{BufRead, Cursor, Seek, SeekFrom};

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::schema::media::{Fit, Form};

/// How good a JPEG thumbnail is, of 100.
const JPEG_QUALITY: u8 = 82;
/// What a decoder may take beside the pixels, in bytes.
const DECODER_BYTES: u64 = 16 << 20;

/// A thumbnail.
#[derive(Debug)]
pub struct Made {
    /// Its form.
    pub form: Form,
    /// Its bytes; none where the picture itself does, since it is not larger.
    pub picture: Option<Vec<u8>>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has too many pixels.
    TooLarge,
    /// It is nothing that can be read.
    NoPicture,
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        if matches!(error, ImageError::Limits(_)) { Self::TooLarge } else { Self::NoPicture }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(_: std::io::Error) -> Self {
        Self::NoPicture
    }
}

/// What a picture's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its form.
    pub form: Form,
    /// Its width, as it is to be looked at.
    pub width: u32,
    /// Its height, as it is to be looked at.
    pub height: u32,
    orientation: Orientation,
}

fn limits(most: u64) -> Limits {
    let mut limits = Limits::default();
    // Eight bytes a pixel: red, green, blue and alpha of 16 bits each.
    limits.max_alloc = Some(most.saturating_mul(8).saturating_add(DECODER_BYTES));
    limits
}

fn form(format: Option<ImageFormat>) -> Result<Form, Refusal> {
    match format {
        Some(ImageFormat::Png) => Ok(Form::Png),
        Some(ImageFormat::Jpeg) => Ok(Form::Jpeg),
        Some(ImageFormat::Gif) => Ok(Form::Gif),
        Some(ImageFormat::WebP) => Ok(Form::WebP),
        _ => Err(Refusal::NoPicture),
    }
}

impl From<Form> for ImageFormat {
    fn from(form: Form) -> Self {
        match form {
            Form::Png => Self::Png,
            Form::Jpeg => Self::Jpeg,
            Form::Gif => Self::Gif,
            Form::WebP => Self::WebP,
        }
    }
}

/// A picture's decoder, its pixels not yet decoded.
fn open<'a>(source: impl BufRead + Seek + 'a, most: u64) -> Result<(Head, impl ImageDecoder + 'a), Refusal> {
    let guessed = ImageReader::new(source).with_guessed_format()?;
    let form = form(guessed.format())?;
    let mut source = guessed.into_inner();
    walk::check(&mut source, form, most)?;
    let mut reader = ImageReader::with_format(source, form.into());
    reader.limits(limits(most));
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most {
        return Err(Refusal::TooLarge);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = turned(orientation, (width, height));
    Ok((Head { form, width, height, orientation }, decoder))
}

/// What a picture's first bytes say.
///
/// # Errors
/// It is no picture, or has more than `most` pixels.
pub fn head(source: impl BufRead + Seek, most: u64) -> Result<Head, Refusal> {
    Ok(open(source, most)?.0)
}

/// The sides of a picture, or their exchange where it lies on its side.
const fn turned(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

/// The sides of a thumbnail; none where the picture is not larger than it would be. It is never drawn larger than it is.
fn sides((width, height): (u32, u32), size: (u32, u32), fit: Fit) -> Option<(u32, u32)> {
    if width <= size.0 && height <= size.1 {
        return None;
    }
    let [w, h, tw, th] = [width, height, size.0, size.1].map(|side| u64::from(side).max(1));
    let (across, down) = match fit {
        Fit::Scale | Fit::ScaleAnimated if w * th >= h * tw => (tw, (h * tw + w / 2) / w),
        Fit::Scale | Fit::ScaleAnimated => ((w * th + h / 2) / h, th),
        // The largest part of the picture that has the ratio, or the size where that is smaller.
        Fit::Crop | Fit::CropAnimated => (tw.min(w).min(h * tw / th), th.min(h).min(w * th / tw)),
    };
    let side = |side: u64| u32::try_from(side.max(1)).unwrap_or(u32::MAX);
    Some((side(across), side(down)))
}

/// Draws a picture smaller: the middle of it, where the ratio differs.
fn draw(picture: DynamicImage, (width, height): (u32, u32)) -> Result<DynamicImage, Refusal> {
    let picture = match picture.color() {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => picture,
        ColorType::L16 => picture.into_luma8().into(),
        ColorType::La16 => picture.into_luma_alpha8().into(),
        color if color.has_alpha() => picture.into_rgba8().into(),
        _ => picture.into_rgb8().into(),
    };
    if (picture.width(), picture.height()) == (width, height) {
        return Ok(picture);
    }
    let mut small = DynamicImage::new(width, height, picture.color());
    let how =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).fit_into_destination(None);
    Resizer::new().resize(&picture, &mut small, &how).map_err(|_| Refusal::NoPicture)?;
    Ok(small)
}

/// A thumbnail of a picture with at most `most` pixels.
///
/// # Errors
/// It is no picture, or has more pixels.
pub fn thumbnail(mut source: impl BufRead + Seek, size: (u32, u32), fit: Fit, most: u64) -> Result<Made, Refusal> {
    let head = head(&mut source, most)?;
    let sides = sides((head.width, head.height), size, fit);
    source.seek(SeekFrom::Start(0))?;
    let is_moving = head.form != Form::Jpeg && moving::is(&mut source, head.form, &limits(most))?;
    source.seek(SeekFrom::Start(0))?;
    let may_move = matches!(fit, Fit::ScaleAnimated | Fit::CropAnimated);
    match sides {
        None if may_move || !is_moving => return Ok(Made { form: head.form, picture: None }),
        Some(sides) if may_move && is_moving => {
            if let Some(picture) = moving::draw(&mut source, head.form, sides, &limits(most))? {
                return Ok(Made { form: Form::Gif, picture: Some(picture) });
            }
            source.seek(SeekFrom::Start(0))?;
        }
        _ => {}
    }
    let (_, decoder) = open(source, most)?;
    let picture = DynamicImage::from_decoder(decoder)?;
    // Turned when it is small: that moves fewer pixels.
    let sides = sides.unwrap_or((head.width, head.height));
    let mut small = draw(picture, turned(head.orientation, sides))?;
    small.apply_orientation(head.orientation);
    write(&small, head.form)
}

/// A still thumbnail in the form that suits the picture's own.
fn write(small: &DynamicImage, form: Form) -> Result<Made, Refusal> {
    let mut picture = Cursor::new(Vec::new());
    let form = match form {
        Form::Png | Form::Gif => Form::Png,
        Form::WebP if small.color().has_alpha() => Form::Png,
        Form::Jpeg | Form::WebP => Form::Jpeg,
    };
    if form == Form::Jpeg {
        small.write_with_encoder(JpegEncoder::new_with_quality(&mut picture, JPEG_QUALITY))?;
    } else {
        small.write_to(&mut picture, ImageFormat::Png)?;
    }
    Ok(Made { form, picture: Some(picture.into_inner()) })
}

#[cfg(test)]
pub(super) mod tests;
