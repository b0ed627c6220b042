use std::io::Cursor;

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{AnimationDecoder as _, Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::{Made, Refusal, head, sides, thumbnail};
use crate::schema::media::{Fit, Form};

const MOST: u64 = 1_000_000;

/// A picture that is red on its left and blue on its right.
fn two_halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) })
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG of this size.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    written(&two_halves(width, height).into(), ImageFormat::Png)
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    written(&two_halves(width, height).into(), ImageFormat::Jpeg)
}

/// A GIF of so many frames.
fn gif(width: u32, height: u32, frames: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    for nth in 0..frames {
        let frame = RgbaImage::from_pixel(width, height, Rgba([nth * 40, 0, 0, 255]));
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(100, 1))).unwrap();
    }
    drop(encoder);
    bytes
}

fn make(bytes: &[u8], size: (u32, u32), fit: Fit) -> Result<Made, Refusal> {
    thumbnail(Cursor::new(bytes), size, fit, MOST)
}

#[track_caller]
fn drawn(bytes: &[u8], size: (u32, u32), fit: Fit) -> (Form, DynamicImage) {
    let made = make(bytes, size, fit).unwrap();
    let picture = made.picture.expect("the picture itself does");
    (made.form, image::load_from_memory(&picture).unwrap())
}

#[test]
fn thumbnails_have_the_size_that_was_asked_for() {
    for (source, form) in [(png(400, 200), Form::Png), (jpeg(400, 200), Form::Jpeg), (gif(400, 200, 1), Form::Png)] {
        let (made, picture) = drawn(&source, (320, 240), Fit::Scale);
        assert_eq!((made, picture.width(), picture.height()), (form, 320, 160));
        let (made, picture) = drawn(&source, (96, 96), Fit::Crop);
        assert_eq!((made, picture.width(), picture.height()), (form, 96, 96));
    }
    let webp = written(&two_halves(400, 200).into(), ImageFormat::WebP);
    assert_eq!(drawn(&webp, (32, 32), Fit::Crop).0, Form::Jpeg);
    let clear = RgbaImage::from_pixel(400, 200, Rgba([0, 0, 0, 100]));
    let (form, picture) = drawn(&written(&clear.into(), ImageFormat::WebP), (32, 32), Fit::Crop);
    assert_eq!((form, picture.to_rgba8().get_pixel(5, 5).0[3]), (Form::Png, 100));
}

#[test]
fn a_crop_is_the_middle() {
    let (_, picture) = drawn(&png(400, 100), (32, 32), Fit::Crop);
    let picture = picture.to_rgb8();
    assert!(picture.get_pixel(2, 16).0[0] > 200 && picture.get_pixel(29, 16).0[2] > 200);
}

#[test]
fn nothing_is_drawn_larger_than_it_is() {
    for fit in [Fit::Scale, Fit::Crop, Fit::ScaleAnimated, Fit::CropAnimated] {
        let made = make(&png(20, 30), (32, 32), fit).unwrap();
        assert_eq!((made.form, made.picture), (Form::Png, None));
    }
    // Cropped to its ratio as far as it goes.
    let (_, picture) = drawn(&png(400, 20), (96, 96), Fit::Crop);
    assert_eq!((picture.width(), picture.height()), (20, 20));
    assert_eq!(sides((1, 60_000), (320, 240), Fit::Scale), Some((1, 240)));
    assert_eq!(sides((60_000, 1), (1, 1600), Fit::Crop), Some((1, 1)));
}

proptest! {
    #[test]
    fn sides_are_never_more_than_there_is(w in 1_u32..70_000, h in 1_u32..70_000, tw in 1_u32..2000, th in 1_u32..2000) {
        for fit in [Fit::Scale, Fit::Crop] {
            let Some((across, down)) = sides((w, h), (tw, th), fit) else { continue };
            prop_assert!((1..=w).contains(&across) && (1..=h).contains(&down));
            prop_assert!(across <= tw && down <= th);
            // One side is filled, unless the picture is too small for that.
            prop_assert!(across == tw || down == th || across == w || down == h);
        }
    }

    #[test]
    fn bytes_that_are_no_picture_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), start in 0_usize..4) {
        let mut bytes = bytes;
        bytes.splice(0..0, [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"][start].iter().copied());
        prop_assert!(make(&bytes, (32, 32), Fit::CropAnimated).is_err());
    }
}

/// A JPEG with an orientation in its Exif, as cameras write it.
fn turned_jpeg(orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).encode_image(&two_halves(400, 200)).unwrap();
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn pictures_that_lie_on_their_side_are_set_upright() {
    let upright = turned_jpeg(1);
    assert_eq!(head(Cursor::new(&upright), MOST).unwrap().width, 400);
    let turned = turned_jpeg(6);
    let seen = head(Cursor::new(&turned), MOST).unwrap();
    assert_eq!((seen.width, seen.height), (200, 400));
    let (_, picture) = drawn(&turned, (320, 240), Fit::Scale);
    assert_eq!((picture.width(), picture.height()), (120, 240));
    // Turned clockwise, what was left is above.
    let picture = picture.to_rgb8();
    assert!(picture.get_pixel(60, 20).0[0] > 200 && picture.get_pixel(60, 220).0[2] > 200);
}

#[test]
fn what_moves_moves_only_where_that_is_wanted() {
    let moving = gif(64, 64, 5);
    let frames = |picture: &[u8]| {
        let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(picture)).unwrap();
        decoder.into_frames().collect_frames().unwrap()
    };
    let made = make(&moving, (32, 32), Fit::CropAnimated).unwrap();
    let drawn_frames = frames(&made.picture.unwrap());
    assert_eq!((made.form, drawn_frames.len(), drawn_frames[0].buffer().dimensions()), (Form::Gif, 5, (32, 32)));
    assert_eq!(drawn_frames[0].delay().numer_denom_ms(), (100, 1));
    assert_eq!(drawn(&moving, (32, 32), Fit::Crop).0, Form::Png);
    // Small ones too: one that moves is not served where a still one is wanted.
    let (form, picture) = drawn(&moving, (96, 96), Fit::Crop);
    assert_eq!((form, picture.width()), (Form::Png, 64));
    assert!(make(&moving, (96, 96), Fit::CropAnimated).unwrap().picture.is_none());
    assert!(make(&gif(64, 64, 1), (96, 96), Fit::Crop).unwrap().picture.is_none());
    assert_eq!(drawn(&png(64, 64), (32, 32), Fit::CropAnimated).0, Form::Png);
}

/// A chunk of a WebP, which may say that it is longer than it is.
fn chunk(name: &str, bytes: &[u8], said: u32) -> Vec<u8> {
    [name.as_bytes(), &said.to_le_bytes(), bytes, &[0][..bytes.len() % 2]].concat()
}

fn whole(name: &str, bytes: &[u8]) -> Vec<u8> {
    chunk(name, bytes, u32::try_from(bytes.len()).unwrap())
}

/// A WebP with a head of its own: flags, a canvas of 10 × 10, and chunks.
fn webp(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let head = whole("VP8X", &[flags, 0, 0, 0, 9, 0, 0, 9, 0, 0]);
    whole("RIFF", &[b"WEBP".as_slice(), &head, &chunks.concat()].concat())
}

/// The beginning of a frame of a WebP.
fn frame_of(side: u16) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    whole("VP8 ", &[0x10, 0, 0, 0x9d, 1, 0x2a, low, high, low, high])
}

/// A frame of a moving WebP, as large as its canvas.
fn moving_frame(parts: &[Vec<u8>]) -> Vec<u8> {
    let head = [0, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 100, 0, 0, 0];
    whole("ANMF", &[head.as_slice(), &parts.concat()].concat())
}

#[test]
fn a_webp_that_says_what_cannot_be_is_refused_before_it_is_decoded() {
    const EXIF: u8 = 8;
    const MOVES: u8 = 2;
    let look = |bytes: &[u8]| head(Cursor::new(bytes), MOST).map(|head| (head.width, head.height));
    let (longest, none) = (chunk("EXIF", b"", u32::MAX - 1), whole("EXIF", b""));
    assert_eq!(look(&webp(EXIF, &[frame_of(10), none.clone()])), Ok((10, 10)));
    assert_eq!(look(&webp(EXIF, &[frame_of(10), longest.clone()])), Err(Refusal::NoPicture));
    assert_eq!(look(&webp(0, &[frame_of(0x3fff)])), Err(Refusal::NoPicture));
    let much = whole("EXIF", &vec![0; 17 << 20]);
    assert_eq!(look(&webp(EXIF, &[frame_of(10), much])), Err(Refusal::TooLarge));

    let still = written(&two_halves(10, 10).into(), ImageFormat::WebP);
    let (frame, repeat) = (still[12..].to_vec(), whole("ANIM", &[0; 6]));
    let first = moving_frame(std::slice::from_ref(&frame));
    let moving = webp(MOVES, &[repeat.clone(), first.clone(), first]);
    assert_eq!(look(&moving), Ok((10, 10)));
    let made = make(&moving, (5, 5), Fit::CropAnimated).unwrap();
    assert!(made.form == Form::Gif && made.picture.is_some());
    for parts in [vec![frame, longest], vec![frame_of(0x3fff)], vec![frame_of(10), chunk("VP8 ", b"", 100)]] {
        let moving = webp(MOVES | EXIF, &[repeat.clone(), moving_frame(&parts), none.clone()]);
        assert_eq!(look(&moving), Err(Refusal::NoPicture));
    }
}

#[test]
fn a_frame_lies_within_its_picture() {
    let mut moving = gif(64, 64, 3);
    moving[6..10].copy_from_slice(&[32, 0, 32, 0]);
    for fit in [Fit::Crop, Fit::CropAnimated] {
        assert_eq!(make(&moving, (16, 16), fit).unwrap_err(), Refusal::NoPicture);
    }
}

#[test]
fn a_jpeg_is_not_read_whole_that_has_more_bytes_than_pixels_can_take() {
    let mut padded = jpeg(40, 20);
    padded.resize(19 << 20, 0);
    assert_eq!(head(Cursor::new(&padded), MOST).unwrap_err(), Refusal::TooLarge);
    padded.truncate(17 << 20);
    assert!(head(Cursor::new(&padded), MOST).is_ok());
}

#[test]
fn too_many_pixels_are_refused_by_the_head_alone() {
    let mut bomb = png(4, 4);
    // Width and height in the header, and its checksum.
    bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let checksum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(make(&bomb, (32, 32), Fit::Crop).unwrap_err(), Refusal::TooLarge);
    assert_eq!(make(&jpeg(1001, 1000), (32, 32), Fit::Crop).unwrap_err(), Refusal::TooLarge);
    let mut moving = gif(4, 4, 2);
    moving[6..10].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(make(&moving, (32, 32), Fit::CropAnimated).unwrap_err(), Refusal::TooLarge);
    assert!(make(&jpeg(1000, 1000), (32, 32), Fit::Crop).is_ok());
}

/// The checksum of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn what_is_cut_off_is_refused() {
    for source in [png(400, 200), jpeg(400, 200)] {
        for length in [0, 3, 8, 20, 40] {
            assert_eq!(make(&source[..length], (32, 32), Fit::Crop).unwrap_err(), Refusal::NoPicture, "{length}");
        }
    }
    assert_eq!(make(b"%PDF-1.7", (32, 32), Fit::Crop).unwrap_err(), Refusal::NoPicture);
    assert_eq!(make(b"<svg></svg>", (32, 32), Fit::Crop).unwrap_err(), Refusal::NoPicture);
}
