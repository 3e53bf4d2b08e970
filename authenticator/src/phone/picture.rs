//! Reading a QR code from a picture.

use std::path::{Path, PathBuf};

use handfast_proto::hybrid::qr::SCHEME;
use thiserror::Error;

/// Pictures larger than this on a side are no photographs of a QR code.
const LARGEST: u32 = 12_000;

/// Why a picture gives no code.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PictureError {
    /// The file is no picture that can be read.
    #[error("{} cannot be read as a picture: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no code of ours in it.
    #[error("there is no FIDO:/ code in {}", .0.display())]
    NoCode(PathBuf),
}

/// Returns the first `FIDO:/` code in a picture.
pub(crate) fn read_picture(path: &Path) -> Result<String, PictureError> {
    let unreadable = |reason: String| PictureError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let mut reader = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|error| unreadable(error.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    reader.limits(limits);
    let picture = reader
        .decode()
        .map_err(|error| unreadable(error.to_string()))?
        .to_luma8();
    let mut prepared = rqrr::PreparedImage::prepare(picture);
    prepared
        .detect_grids()
        .iter()
        .filter_map(|grid| grid.decode().ok())
        .map(|(_, text)| text)
        .find(|text| {
            text.get(..SCHEME.len())
                .is_some_and(|s| s.eq_ignore_ascii_case(SCHEME))
        })
        .ok_or_else(|| PictureError::NoCode(path.to_owned()))
}
