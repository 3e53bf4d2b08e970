use std::f32::consts::TAU;

use image::imageops::{crop_imm, flip_horizontal, interpolate_bilinear, invert, overlay};
use image::{ImageFormat, Luma, LumaA};
use qrcodegen::{QrCode, QrCodeEcc};

use super::*;

/// As long as the codes of computers are.
const CODE: &str = "FIDO:/162870791865632382552704231438327900152302540348097243854039966655366469794954476199158014113179232779520163209900691930075274801398564434658077048963842109321447142660";

fn symbol(text: &str, module: u32) -> GrayImage {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).unwrap();
    let side = u32::try_from(code.size()).unwrap() + 8;
    GrayImage::from_fn(side * module, side * module, |x, y| {
        let at = |v: u32| i32::try_from(v / module).unwrap() - 4;
        Luma([if code.get_module(at(x), at(y)) {
            0
        } else {
            255
        }])
    })
}

/// On a canvas of this grey, in its middle.
fn on(canvas: (u32, u32), grey: u8, picture: &GrayImage) -> GrayImage {
    let mut all = GrayImage::from_pixel(canvas.0, canvas.1, Luma([grey]));
    let middle = |all: u32, part: u32| (i64::from(all) - i64::from(part)) / 2;
    let x = middle(canvas.0, picture.width());
    overlay(&mut all, picture, x, middle(canvas.1, picture.height()));
    all
}

/// Each pixel from where `back` says it was, as seen from the middle.
fn warped(from: &GrayImage, back: impl Fn(f32, f32) -> (f32, f32)) -> GrayImage {
    let side = from.width() * 3 / 2;
    let number = |v: u32| f32::from(u16::try_from(v).unwrap());
    GrayImage::from_fn(side, side, |x, y| {
        let middle = number(side) / 2.0;
        let (x, y) = back(number(x) - middle, number(y) - middle);
        let (x, y) = (
            x + number(from.width()) / 2.0,
            y + number(from.height()) / 2.0,
        );
        interpolate_bilinear(from, x, y).unwrap_or(Luma([255]))
    })
}

fn turned(picture: &GrayImage, degrees: u16) -> GrayImage {
    let (sin, cos) = (f32::from(degrees) / 360.0 * TAU).sin_cos();
    warped(picture, |x, y| (x * cos + y * sin, y * cos - x * sin))
}

/// Seen from the side: the right is further away.
fn skewed(picture: &GrayImage, by: f32) -> GrayImage {
    let half = f32::from(u16::try_from(picture.width()).unwrap()) * 0.75;
    warped(picture, |x, y| {
        let away = 1.0 + by * x / half;
        (x * away, y * away)
    })
}

fn noisy(mut picture: GrayImage, strength: u8) -> GrayImage {
    let mut state = 1_u32;
    for pixel in picture.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = u8::try_from(state >> 24).unwrap() % strength;
        pixel.0[0] = match state & 0x80_0000 {
            0 => pixel.0[0].saturating_add(noise),
            _ => pixel.0[0].saturating_sub(noise),
        };
    }
    picture
}

fn blurred(picture: &GrayImage, sigma: f32) -> GrayImage {
    let picture = DynamicImage::ImageLuma8(picture.clone());
    picture.blur(sigma).into_luma8()
}

/// Each pixel made another.
fn toned(picture: &GrayImage, tone: impl Fn(u32, u32) -> u32) -> GrayImage {
    let pixel = |x, y| tone(x, u32::from(picture.get_pixel(x, y).0[0]));
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        Luma([u8::try_from(pixel(x, y)).unwrap()])
    })
}

fn seen(picture: GrayImage) -> Vec<String> {
    codes_of(&DynamicImage::ImageLuma8(picture), Effort::Whatever)
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn a_code_is_found_however_it_is_turned() {
    for degrees in [7, 45, 90, 133, 180, 251, 330] {
        assert_eq!(seen(turned(&symbol(CODE, 4), degrees)), [CODE], "{degrees}");
    }
}

#[test]
fn a_code_is_found_that_is_skewed_blurred_noisy_or_all_of_it() {
    let symbol = symbol(CODE, 5);
    assert_eq!(seen(skewed(&symbol, 0.3)), [CODE]);
    assert_eq!(seen(blurred(&symbol, 2.0)), [CODE]);
    assert_eq!(seen(noisy(symbol.clone(), 100)), [CODE]);
    let all = blurred(&skewed(&turned(&symbol, 20), 0.15), 1.0);
    assert_eq!(seen(noisy(all, 40)), [CODE]);
}

#[test]
fn a_code_is_found_that_is_inverted_faint_shaded_or_mirrored() {
    let symbol = symbol(CODE, 3);
    let mut inverted = symbol.clone();
    invert(&mut inverted);
    assert_eq!(seen(on((300, 200), 0, &inverted)), [CODE]);
    assert_eq!(seen(on((300, 200), 255, &inverted)), [CODE]);
    assert_eq!(seen(toned(&symbol, |_, grey| 120 + grey / 10)), [CODE]);
    let width = symbol.width();
    assert_eq!(
        seen(toned(&symbol, |x, grey| grey * (40 + 60 * x / width) / 100)),
        [CODE]
    );
    assert_eq!(seen(flip_horizontal(&symbol)), [CODE]);
    let edge = crop_imm(&symbol, 12, 12, width - 24, width - 24).to_image();
    assert_eq!(seen(edge), [CODE]);
}

#[test]
fn a_small_code_is_found_alone_and_in_a_large_picture() {
    assert_eq!(seen(symbol(CODE, 1)), [CODE]);
    assert_eq!(seen(on((700, 500), 128, &symbol(CODE, 2))), [CODE]);
    assert_eq!(seen(on((2200, 1300), 200, &symbol(CODE, 3))), [CODE]);
}

#[test]
fn codes_of_others_are_passed_over_and_several_of_ours_are_told() {
    let side_by_side = |texts: &[&str]| {
        let symbols: Vec<GrayImage> = texts.iter().map(|text| symbol(text, 3)).collect();
        let width = symbols.iter().map(GrayImage::width).sum();
        let mut all = GrayImage::from_pixel(width, 180, Luma([255]));
        let mut left = 0;
        for symbol in &symbols {
            overlay(&mut all, symbol, left, 0);
            left += i64::from(symbol.width());
        }
        seen(all)
    };
    let other = CODE.replace("162", "163");
    let foreign = "https://example.org/a-menu";
    assert_eq!(side_by_side(&[foreign, "WIFI:S:x;;"]), [""; 0]);
    assert_eq!(side_by_side(&[foreign, CODE]), [CODE]);
    assert_eq!(side_by_side(&[CODE, CODE]), [CODE]);
    assert_eq!(side_by_side(&[CODE, foreign, &other]), [CODE, &other]);
}

#[test]
fn pictures_of_each_kind_are_read() {
    let symbol = symbol(CODE, 3);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        // WebP has no grey pictures.
        let picture = DynamicImage::ImageLuma8(symbol.clone()).into_rgb8();
        assert_eq!(
            codes_in(&encoded(picture, format)).unwrap(),
            [CODE],
            "{format:?}"
        );
    }
    // Black on nothing, where nothing happens to be black as well.
    let drawn = image::ImageBuffer::from_fn(symbol.width(), symbol.height(), |x, y| {
        LumaA([0_u8, 255 - symbol.get_pixel(x, y).0[0]])
    });
    let drawn = encoded(DynamicImage::ImageLumaA8(drawn), ImageFormat::Png);
    assert_eq!(codes_in(&drawn).unwrap(), [CODE]);
}

#[test]
fn what_is_no_picture_or_half_of_one_is_refused() {
    let whole = encoded(symbol(CODE, 1), ImageFormat::Png);
    for bytes in [&[][..], b"FIDO:/1", &whole[..whole.len() / 2], &[0; 1000]] {
        assert!(codes_in(bytes).is_err());
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        // Whatever it says, it is said.
        let _ = codes_in(&flipped).map(|codes| assert!(codes.len() <= 1));
    }
}

#[test]
fn a_picture_that_would_not_fit_into_memory_is_not_unpacked() {
    let small = encoded(symbol(CODE, 1).clone(), ImageFormat::Png);
    // The header's size (PNG §11.2.1) is at 16, its depth and colours at 24, its checksum at 29.
    let sized = |side: u32, depth: u8| {
        let mut bytes = small.clone();
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        bytes[24..26].copy_from_slice(&[depth, 2]);
        let checksum = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        codes_in(&bytes).unwrap_err()
    };
    for (side, depth) in [(12_001, 8), (u32::MAX >> 1, 8), (10_000, 16), (12_000, 8)] {
        let why = sized(side, depth);
        assert!(
            why.contains("imit") || why.contains("large"),
            "{side}: {why}"
        );
    }
}

/// The checksum of PNG (§5.5).
fn crc(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| bit(crc))
    })
}
