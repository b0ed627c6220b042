//! Thumbnails: their sizes, their forms, and what is refused.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{Frame, ImageFormat, Rgb, RgbImage, RgbaImage};

use super::{Got, Visitor};
use crate::{run, server};

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 0]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

impl Visitor {
    async fn thumbnail(&self, medium: &str, query: &str) -> Got {
        self.get(&format!("/client/v1/media/thumbnail/{medium}?{query}")).await
    }
}

#[track_caller]
fn size(got: &Got) -> (u32, u32) {
    assert_eq!(got.status, 200, "{}", got.json());
    let picture = image::load_from_memory(&got.bytes).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn the_specs_sizes_are_drawn() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        for (format, content_type) in [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg")] {
            // What it is goes by its bytes, not by what the uploader says.
            let medium = ann.upload("", "application/octet-stream", &picture(1000, 500, format)).await;
            for (query, wanted) in [
                ("width=32&height=32&method=crop", (32, 32)),
                ("width=96&height=96&method=crop", (96, 96)),
                ("width=320&height=240&method=scale", (320, 160)),
                ("width=640&height=480&method=scale", (640, 320)),
                ("width=800&height=600&method=scale", (800, 400)),
                ("width=800&height=600", (800, 400)),
                ("width=700&height=10&method=scale", (800, 400)),
                ("width=64&height=64&method=crop", (96, 96)),
                ("width=2000&height=2000&method=scale", (1000, 500)),
            ] {
                for _ in 0..2 {
                    let got = ann.thumbnail(&medium, query).await;
                    assert_eq!(size(&got), wanted, "{query}");
                    assert_eq!(got.header("content-type"), content_type);
                    let extension = content_type.trim_start_matches("image/");
                    assert_eq!(got.header("content-disposition"), format!("inline; filename=thumbnail.{extension}"));
                    assert_eq!(got.header("content-length"), got.bytes.len().to_string());
                }
            }
        }
    });
}

#[test]
fn small_pictures_are_served_as_they_are() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        let small = picture(20, 30, ImageFormat::Png);
        let medium = ann.upload("", "image/png", &small).await;
        for query in ["width=32&height=32&method=crop", "width=800&height=600&method=scale"] {
            assert_eq!(ann.thumbnail(&medium, query).await.bytes, small);
        }
    });
}

#[test]
fn nothing_smaller_than_what_was_asked_for_is_served() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        let large = picture(2100, 1300, ImageFormat::Jpeg);
        let medium = ann.upload("", "image/jpeg", &large).await;
        for query in ["width=2000&height=1000&method=scale", "width=1700&height=1300&method=crop"] {
            for _ in 0..2 {
                let got = ann.thumbnail(&medium, query).await;
                assert!(got.bytes == large, "{query}");
                assert_eq!(got.header("content-type"), "image/jpeg");
            }
        }
        let mut moving = Vec::new();
        let frame = |shade| Frame::new(RgbaImage::from_pixel(1700, 40, image::Rgba([shade, 0, 0, 255])));
        GifEncoder::new(&mut moving).encode_frames((0..2).map(|nth| frame(nth * 60))).unwrap();
        let medium = ann.upload("", "image/gif", &moving).await;
        let still = ann.thumbnail(&medium, "width=1700&height=40&method=crop").await;
        assert_eq!((size(&still), still.header("content-type")), ((1700, 40), "image/png"));
        assert!(ann.thumbnail(&medium, "width=1700&height=40&animated=true").await.bytes == moving);
    });
}

#[test]
fn pictures_move_where_that_is_wanted() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        let mut moving = Vec::new();
        let frame = |shade| Frame::new(RgbaImage::from_pixel(200, 200, image::Rgba([shade, 0, 0, 255])));
        GifEncoder::new(&mut moving).encode_frames((0..4).map(|nth| frame(nth * 60))).unwrap();
        let medium = ann.upload("", "image/gif", &moving).await;
        for (query, content_type) in
            [("", "image/png"), ("&animated=false", "image/png"), ("&animated=true", "image/gif")]
        {
            let got = ann.thumbnail(&medium, &format!("width=96&height=96&method=crop{query}")).await;
            assert_eq!((size(&got), got.header("content-type")), ((96, 96), content_type));
        }
    });
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        let text = ann.upload("", "image/png", b"no picture").await;
        ann.thumbnail(&text, "width=32&height=32").await.refused(400, "M_UNKNOWN");
        let drawn = ann.upload("", "image/png", &picture(4, 4, ImageFormat::Png)).await;
        for query in [
            "width=0&height=1",
            "width=1&height=70000",
            "width=1&height=1&method=stretch",
            "width=-1&height=1",
            "width=a&height=1",
        ] {
            ann.thumbnail(&drawn, query).await.refused(400, "M_INVALID_PARAM");
        }
        ann.thumbnail(&drawn, "width=1").await.refused(400, "M_MISSING_PARAM");
        // A few bytes that say that they are a hundred million pixels.
        let mut bomb = b"GIF89a\x10\x27\x10\x27\x80\0\0\0\0\0\xff\xff\xff".to_vec();
        bomb.extend(b",\0\0\0\0\x10\x27\x10\x27\0\x02\x02\x44\x01\0;");
        let bomb = ann.upload("", "image/gif", &bomb).await;
        ann.thumbnail(&bomb, "width=32&height=32").await.refused(413, "M_TOO_LARGE");
    });
}
