//! Pictures: whatever is uploaded as one gets a thumbnail that is no larger than was asked for, or none.
//!
//! The first two bytes choose size and fit; then the picture.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use matron_homeserver::media::picture::{head, thumbnail};
use matron_homeserver::schema::media::Fit;

/// Small, so that a run draws much.
const MOST_PIXELS: u64 = 250_000;

fuzz_target!(|input: &[u8]| {
    let Some(([size, fit], picture)) = input.split_first_chunk() else { return };
    let size = [(1, 1), (32, 32), (96, 48), (320, 240)][usize::from(size % 4)];
    let fit = [Fit::Scale, Fit::Crop, Fit::ScaleAnimated, Fit::CropAnimated][usize::from(fit % 4)];
    let Ok(made) = thumbnail(Cursor::new(picture), size, fit, MOST_PIXELS) else { return };
    let seen = head(Cursor::new(picture), MOST_PIXELS).expect("what has a thumbnail has a head");
    let Some(made) = made.picture else {
        assert!(seen.width <= size.0 && seen.height <= size.1);
        return;
    };
    let drawn = head(Cursor::new(&made), MOST_PIXELS).expect("a thumbnail is a picture");
    assert!(drawn.width <= size.0.max(1) && drawn.height <= size.1.max(1));
    assert!(drawn.width <= seen.width.max(1) && drawn.height <= seen.height.max(1));
});
