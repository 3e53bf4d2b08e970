//! Looking through a camera (Video4Linux), in a process of its own as with pictures.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageFormat};
use linuxvideo::format::{PixFormat, PixelFormat};
use linuxvideo::stream::ReadStream;
use linuxvideo::{BufType, Device};
use serde_json::{Value, json};

use super::picture::{Effort, codes_of};
use super::reader::bound_this_process;

/// What a camera is asked for; it gives what comes nearest.
const SIZE: (u32, u32) = (1280, 720);
/// How many cameras are looked for.
const CAMERAS: u32 = 16;
/// The kinds of frames that are understood, the quickest to read first.
const KINDS: [(PixelFormat, Kind); 5] = [
    (PixelFormat::from_fourcc(*b"GREY"), Kind::Grey(1)),
    (PixelFormat::from_fourcc(*b"NV12"), Kind::Grey(1)),
    (PixelFormat::YUYV, Kind::Grey(2)),
    (PixelFormat::MJPG, Kind::Jpeg),
    (PixelFormat::JPEG, Kind::Jpeg),
];

/// How brightness lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// One byte a pixel, each so many bytes after the one before, and what follows is no matter.
    Grey(usize),
    /// A JPEG picture.
    Jpeg,
}

/// How a frame is read.
#[derive(Clone, Copy, Debug)]
struct Frames {
    kind: Kind,
    width: u32,
    height: u32,
    /// Bytes from one row to the next.
    stride: usize,
}

impl Frames {
    /// Reads a frame; nothing if it is damaged.
    fn grey(&self, frame: &[u8]) -> Option<DynamicImage> {
        let Kind::Grey(step) = self.kind else {
            return image::load_from_memory_with_format(frame, ImageFormat::Jpeg).ok();
        };
        let place = |v: u32| usize::try_from(v).ok();
        let (width, height) = (place(self.width)?, place(self.height)?);
        let rows = frame.chunks(self.stride.max(1)).take(height);
        let rows = rows.map(|row| row.iter().step_by(step).take(width));
        let pixels: Vec<u8> = rows.flatten().copied().collect();
        GrayImage::from_raw(self.width, self.height, pixels).map(DynamicImage::ImageLuma8)
    }
}

/// Is the looking process: says which camera it looks through, then the codes of the first frame that
/// has any.
pub(crate) fn be_watcher(device: Option<PathBuf>) -> io::Result<()> {
    bound_this_process(None)?;
    if let Err(why) = watch(device) {
        say(&json!({"unreadable": why}))?;
    }
    Ok(())
}

fn say(words: &Value) -> io::Result<()> {
    writeln!(io::stdout(), "{words}")?;
    io::stdout().flush()
}

fn watch(device: Option<PathBuf>) -> Result<(), String> {
    let (path, mut stream, frames) = match device {
        Some(path) => {
            let (stream, frames) = open(&path)?;
            (path, stream, frames)
        }
        None => first()?,
    };
    let lost = |error: io::Error| format!("{} gives no pictures: {error}", path.display());
    say(&json!({"looking": path.display().to_string()})).map_err(lost)?;
    loop {
        let codes = stream.dequeue(|frame| {
            let grey = frames.grey(&frame).filter(|_| !frame.is_error());
            let grey = grey.map(|grey| DynamicImage::ImageLuma8(grey.into_luma8()));
            Ok(grey.map_or_else(Vec::new, |grey| codes_of(&grey, Effort::Glance)))
        });
        let codes = codes.map_err(lost)?;
        if !codes.is_empty() {
            return say(&json!({"codes": codes})).map_err(lost);
        }
    }
}

/// Opens the first camera that can be used.
fn first() -> Result<(PathBuf, ReadStream, Frames), String> {
    let mut why = None;
    for number in 0..CAMERAS {
        let path = PathBuf::from(format!("/dev/video{number}"));
        if !path.exists() {
            continue;
        }
        match open(&path) {
            Ok((stream, frames)) => return Ok((path, stream, frames)),
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    Err(why.unwrap_or_else(|| "there is no camera here".to_owned()))
}

fn open(path: &Path) -> Result<(ReadStream, Frames), String> {
    let name = path.display();
    let refused = |error: io::Error| format!("{name} cannot be used as a camera: {error}");
    let camera = Device::open(path).map_err(refused)?;
    let formats: Vec<PixelFormat> = camera
        .formats(BufType::VIDEO_CAPTURE)
        .filter_map(|format| Some(format.ok()?.pixel_format()))
        .collect();
    let known = KINDS
        .into_iter()
        .find(|(format, _)| formats.contains(format));
    let (format, _) = known.ok_or_else(|| format!("{name} gives no pictures that can be read"))?;
    let camera = camera
        .video_capture(PixFormat::new(SIZE.0, SIZE.1, format))
        .map_err(refused)?;
    let given = camera.format();
    // It may have given another kind than it was asked for.
    let kind = KINDS
        .into_iter()
        .find(|(format, _)| *format == given.pixel_format());
    let (_, kind) = kind.ok_or_else(|| format!("{name} gives no pictures that can be read"))?;
    let frames = Frames {
        kind,
        width: given.width(),
        height: given.height(),
        stride: usize::try_from(given.bytes_per_line()).unwrap_or_default(),
    };
    let stream = camera.into_stream().map_err(refused)?;
    Ok((stream, frames))
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    fn pixels(frames: Frames, frame: &[u8]) -> Option<Vec<u8>> {
        Some(frames.grey(frame)?.into_luma8().into_raw())
    }

    #[test]
    fn brightness_is_found_in_each_kind_of_frame() {
        let grey = |step, stride| Frames {
            kind: Kind::Grey(step),
            width: 2,
            height: 2,
            stride,
        };
        assert_eq!(pixels(grey(1, 2), &[1, 2, 3, 4]), Some(vec![1, 2, 3, 4]));
        assert_eq!(
            pixels(grey(1, 3), &[1, 2, 0, 3, 4, 0, 9, 9]),
            Some(vec![1, 2, 3, 4])
        );
        assert_eq!(
            pixels(grey(2, 4), &[1, 0, 2, 0, 3, 0, 4, 0]),
            Some(vec![1, 2, 3, 4])
        );
        let mut jpeg = io::Cursor::new(Vec::new());
        let white = GrayImage::from_pixel(8, 8, Luma([255]));
        white.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let frames = Frames {
            kind: Kind::Jpeg,
            ..grey(1, 0)
        };
        assert_eq!(pixels(frames, jpeg.get_ref()), Some(vec![255; 64]));
    }

    #[test]
    fn half_a_frame_is_none() {
        for kind in [Kind::Grey(1), Kind::Grey(2), Kind::Jpeg] {
            for stride in [0, 1, 2, 3, usize::MAX] {
                let frames = Frames {
                    kind,
                    width: 2,
                    height: 2,
                    stride,
                };
                assert_eq!(pixels(frames, &[]), None);
                assert_eq!(pixels(frames, &[1, 2, 3]), None, "{frames:?}");
            }
        }
    }

    #[test]
    fn what_is_no_camera_is_said() {
        let why = open(Path::new("/dev/null")).map(|_| ()).unwrap_err();
        assert!(
            why.starts_with("/dev/null cannot be used as a camera: "),
            "{why}"
        );
    }
}
