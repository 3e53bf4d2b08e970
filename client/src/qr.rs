//! Drawing the QR code: in a terminal, or as a picture (`hybrid-transport.md` §1.3).

use std::path::{Path, PathBuf};

use handfast_proto::hybrid::qr::SCHEME;
use image::{GrayImage, Luma};
use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};
use thiserror::Error;

/// Light modules around the code.
const QUIET_ZONE: i32 = 4;
/// Pixels of a module in a picture.
const SCALE: u32 = 8;

/// Why there is no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QrError {
    /// The text is too long.
    #[error("the code is too long for a QR code")]
    TooLong,
    /// The file cannot be written.
    #[error("{} cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A QR code of an invitation.
pub struct Symbol(QrCode);

impl Symbol {
    /// Makes it: the scheme as letters, the rest as digits, which take least room.
    ///
    /// # Errors
    ///
    /// [`QrError::TooLong`].
    pub fn new(url: &str) -> Result<Self, QrError> {
        let digits = url.strip_prefix(SCHEME).ok_or(QrError::TooLong)?;
        if !QrSegment::is_numeric(digits) {
            return Err(QrError::TooLong);
        }
        let segments = [
            QrSegment::make_alphanumeric(SCHEME),
            QrSegment::make_numeric(digits),
        ];
        // Readers of today expect at least version 5.
        QrCode::encode_segments_advanced(
            &segments,
            QrCodeEcc::Low,
            Version::new(5),
            Version::MAX,
            None,
            true,
        )
        .map(Self)
        .map_err(|_| QrError::TooLong)
    }

    fn dark(&self, x: i32, y: i32) -> bool {
        self.0.get_module(x, y)
    }

    /// Returns the code for a terminal, two modules a character, dark on light whatever the
    /// terminal's colours.
    pub fn to_terminal(&self) -> String {
        let size = self.0.size();
        let mut text = String::new();
        let mut y = -QUIET_ZONE;
        while y < size + QUIET_ZONE {
            text.push_str("\x1b[30;107m");
            for x in -QUIET_ZONE..size + QUIET_ZONE {
                text.push(match (self.dark(x, y), self.dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str("\x1b[0m\n");
            y += 2;
        }
        text
    }

    /// Writes the code as a PNG.
    ///
    /// # Errors
    ///
    /// [`QrError::Write`].
    pub fn write_png(&self, path: &Path) -> Result<(), QrError> {
        let modules = u32::try_from(self.0.size() + 2 * QUIET_ZONE).unwrap_or_default();
        let picture = GrayImage::from_fn(modules * SCALE, modules * SCALE, |x, y| {
            let module = |n: u32| i32::try_from(n / SCALE).unwrap_or_default() - QUIET_ZONE;
            Luma([if self.dark(module(x), module(y)) {
                0
            } else {
                255
            }])
        });
        picture
            .save_with_format(path, image::ImageFormat::Png)
            .map_err(|error| QrError::Write {
                path: path.to_owned(),
                reason: error.to_string(),
            })
    }
}
