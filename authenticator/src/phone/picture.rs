//! Finding QR codes in a picture: turned, skewed, small, blurred, faint or inverted ones, as far as
//! that goes.
//!
//! Pictures come from anywhere. They are read in a process of its own, see [`super::reader`].

use std::collections::BTreeSet;
use std::io::Cursor;

use handfast_proto::hybrid::qr::SCHEME;
use image::{DynamicImage, GrayImage, ImageReader, Limits, imageops::FilterType};

/// Pictures larger than this on a side are no photographs of a QR code.
const LARGEST: u32 = 12_000;
/// The most bytes that a picture may take when it is unpacked: 60 megapixels in colour and more.
const UNPACKED: u64 = 256 << 20;
/// The longest sides that are looked at, in pixels. In a smaller picture much noise is gone, in a
/// larger one a small code is still there.
const SIDES: [u32; 3] = [1000, 500, 2000];
/// A picture smaller than this is looked at in twice its size, too.
const SMALL: u32 = 400;
/// The longest side that is looked at closely.
const LARGEST_CLOSE: u32 = 1200;
/// A picture smaller than this is looked at as it is, too: such are the screens of computers.
const SCREEN: u32 = 4096;

/// Returns the different `FIDO:/` codes in a picture: PNG, JPEG or WebP.
///
/// # Errors
///
/// What speaks against reading it, in words.
pub(crate) fn codes_in(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    limits.max_alloc = Some(UNPACKED);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| error.to_string())?;
    let grey = DynamicImage::ImageLuma8(on_white(picture));
    Ok(codes_of(&grey, Effort::Whatever))
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effort {
    /// Another picture comes soon.
    #[cfg(feature = "camera")]
    Glance,
    /// This is the only picture.
    Whatever,
}

/// Returns the different `FIDO:/` codes in a grey picture.
pub(crate) fn codes_of(grey: &DynamicImage, effort: Effort) -> Vec<String> {
    let mut codes = BTreeSet::new();
    let sizes = sizes(grey, effort);
    // All sizes: there may be several codes, each seen in another.
    for size in &sizes {
        find(size.to_luma8(), &mut codes);
    }
    if effort == Effort::Whatever && codes.is_empty() {
        for size in sizes
            .iter()
            .filter(|size| size.width().max(size.height()) <= LARGEST_CLOSE)
        {
            look_closer(size, &mut codes);
            if !codes.is_empty() {
                break;
            }
        }
    }
    codes.into_iter().collect()
}

/// A code that is drawn in one colour on nothing is meant to lie on white.
fn on_white(picture: DynamicImage) -> GrayImage {
    if !picture.color().has_alpha() {
        return picture.into_luma8();
    }
    let picture = picture.into_luma_alpha8();
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [grey, seen] = picture.get_pixel(x, y).0.map(u32::from);
        let over_white = (grey * seen + 255 * (255 - seen)) / 255;
        image::Luma([u8::try_from(over_white).unwrap_or(u8::MAX)])
    })
}

fn sizes(grey: &DynamicImage, effort: Effort) -> Vec<DynamicImage> {
    let longest = grey.width().max(grey.height());
    let mut sizes = Vec::new();
    if longest <= SCREEN {
        sizes.push(grey.clone());
    }
    for side in SIDES {
        // One that is almost the same shows nothing new.
        if longest > side + side / 4 && (effort == Effort::Whatever || sizes.is_empty()) {
            sizes.push(grey.resize(side, side, FilterType::Triangle));
        }
    }
    if longest < SMALL {
        let (width, height) = (grey.width() * 2, grey.height() * 2);
        sizes.push(grey.resize_exact(width, height, FilterType::CatmullRom));
    }
    sizes
}

/// Looks for what is there only if one looks for it.
fn look_closer(grey: &DynamicImage, codes: &mut BTreeSet<String>) {
    let mut inverted = grey.clone();
    inverted.invert();
    for variant in [
        inverted,
        grey.fast_blur(1.0),
        grey.fliph(),
        grey.fast_blur(2.0),
        grey.unsharpen(2.0, 0),
        DynamicImage::ImageLuma8(in_two(grey.to_luma8())),
    ] {
        find(variant.into_luma8(), codes);
        if !codes.is_empty() {
            return;
        }
    }
}

/// Black and white, at the brightness that parts both best (Otsu's method).
fn in_two(mut grey: GrayImage) -> GrayImage {
    let mut counts = [0_u64; 256];
    for pixel in grey.pixels() {
        counts[usize::from(pixel.0[0])] += 1;
    }
    let weighed = |(level, count): (u64, &u64)| level * count;
    let all: u64 = counts.iter().sum();
    let sum: u64 = (0..).zip(&counts).map(weighed).sum();
    let (mut below, mut sum_below, mut best, mut limit) = (0, 0, 0, 0);
    for (level, count) in (0_u8..=255).zip(&counts) {
        below += count;
        sum_below += u64::from(level) * count;
        let above = all - below;
        if below == 0 || above == 0 {
            continue;
        }
        let apart = (sum_below / below).abs_diff((sum - sum_below) / above);
        let parted = u128::from(below) * u128::from(above) * u128::from(apart).pow(2);
        if parted > best {
            (best, limit) = (parted, level);
        }
    }
    for pixel in grey.pixels_mut() {
        pixel.0[0] = if pixel.0[0] > limit { 255 } else { 0 };
    }
    grey
}

fn find(grey: GrayImage, codes: &mut BTreeSet<String>) {
    let mut prepared = rqrr::PreparedImage::prepare(grey);
    let grids = prepared.detect_grids();
    let texts = grids.iter().filter_map(|grid| grid.decode().ok());
    codes.extend(texts.map(|(_, text)| text).filter(|text| is_ours(text)));
}

/// Whether a text begins as the codes that a phone answers.
fn is_ours(text: &str) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

#[cfg(test)]
mod tests;
