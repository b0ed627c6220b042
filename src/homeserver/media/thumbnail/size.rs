//! Which size a thumbnail gets: of few, so that few are made, and never less than was asked for.

use matron_matrix::Error as MatrixError;
use ruma::media::Method;

use super::Wanted;
use crate::schema::media::Fit;

/// Boxes for `scale`: the spec's, and smaller and larger ones, since clients ask for avatars in them and have fine screens.
const BOXES: [(u32, u32); 6] = [(32, 32), (96, 96), (320, 240), (640, 480), (800, 600), (1600, 1200)];
/// The longer sides for `crop`.
const SIDES: [u32; 8] = [32, 96, 192, 320, 480, 640, 800, 1600];
/// The longest side that can be asked for. In a box of it every picture is left as large as it is.
const LONGEST: u32 = 65_535;

/// Width, height and fit. What is larger than all sizes gets the picture as it is.
///
/// # Errors
/// `M_INVALID_PARAM` for a size that is none.
pub fn of(wanted: &Wanted) -> Result<(u32, u32, Fit), MatrixError> {
    let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=LONGEST).contains(side));
    let (Some(width), Some(height)) = (side(wanted.width), side(wanted.height)) else {
        return Err(MatrixError::invalid_param(format!("width and height are from 1 to {LONGEST}")));
    };
    let scaled = if wanted.animated { Fit::ScaleAnimated } else { Fit::Scale };
    let cropped = if wanted.animated { Fit::CropAnimated } else { Fit::Crop };
    let size = match wanted.method {
        Method::Scale => {
            let fitting = BOXES.into_iter().find(|(w, h)| *w >= width && *h >= height);
            fitting.map(|(width, height)| (width, height, scaled))
        }
        Method::Crop => {
            let longer = width.max(height);
            SIDES.into_iter().find(|side| *side >= longer).map(|side| {
                let other = (width.min(height) * side).div_ceil(longer);
                if width >= height { (side, other, cropped) } else { (other, side, cropped) }
            })
        }
        _ => return Err(MatrixError::invalid_param("the method is `crop` or `scale`")),
    };
    Ok(size.unwrap_or((LONGEST, LONGEST, scaled)))
}

#[cfg(test)]
mod tests {
    use ruma::media::Method;

    use super::{LONGEST, Wanted, of};
    use crate::schema::media::Fit;

    fn sized(method: Method, width: u64, height: u64) -> Option<(u32, u32)> {
        let (width, height, _) = of(&Wanted { method, width, height, animated: false }).ok()?;
        Some((width, height))
    }

    #[test]
    fn the_specs_sizes_are_made_as_they_are() {
        for (width, height) in [(32, 32), (96, 96)] {
            assert_eq!(
                sized(Method::Crop, width, height),
                Some((u32::try_from(width).unwrap(), 32.max(96 * u32::from(height > 32))))
            );
        }
        for size in [(320, 240), (640, 480), (800, 600)] {
            assert_eq!(sized(Method::Scale, size.0, size.1).map(|(w, h)| (u64::from(w), u64::from(h))), Some(size));
        }
    }

    #[test]
    fn others_get_the_next_larger_one() {
        assert_eq!(sized(Method::Scale, 33, 1), Some((96, 96)));
        assert_eq!(sized(Method::Scale, 320, 241), Some((640, 480)));
        assert_eq!(sized(Method::Scale, 1600, 1200), Some((1600, 1200)));
        assert_eq!(sized(Method::Crop, 64, 64), Some((96, 96)));
        assert_eq!(sized(Method::Crop, 100, 50), Some((192, 96)));
        assert_eq!(sized(Method::Crop, 50, 100), Some((96, 192)));
        assert_eq!(sized(Method::Crop, 1600, 1), Some((1600, 1)));
    }

    #[test]
    fn what_is_larger_than_all_gets_the_picture_as_it_is() {
        for (width, height) in [(1601, 1), (1, 1201), (60_000, 60_000)] {
            assert_eq!(sized(Method::Scale, width, height), Some((LONGEST, LONGEST)));
        }
        for method in [Method::Crop, Method::Scale] {
            let wanted = |animated| Wanted { method: method.clone(), width: 65_535, height: 1, animated };
            assert_eq!(of(&wanted(false)).unwrap(), (LONGEST, LONGEST, Fit::Scale));
            assert_eq!(of(&wanted(true)).unwrap(), (LONGEST, LONGEST, Fit::ScaleAnimated));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for (width, height) in [(0, 1), (1, 0), (65_536, 1), (u64::MAX, u64::MAX)] {
            assert_eq!(sized(Method::Scale, width, height), None);
        }
        assert_eq!(sized(Method::from("stretch"), 10, 10), None);
        let (.., fit) = of(&Wanted { method: Method::Crop, width: 1, height: 1, animated: true }).unwrap();
        assert_eq!(fit, Fit::CropAnimated);
    }
}
