//! The phone's loop, and how it asks its owner.

mod asker;
#[cfg(feature = "camera")]
mod camera;
mod ceremony;
mod input;
mod layout;
mod notice;
mod outside;
mod person;
mod picture;
mod reader;
mod serve_error;
mod verify;

#[cfg(feature = "camera")]
pub(crate) use camera::be_watcher;
pub(crate) use ceremony::{Phone, Relay};
pub(crate) use input::{Input, Typed, is_code};
pub(crate) use notice::Desktop;
pub(crate) use outside::{OutsideError, ask};
pub(crate) use person::{Approval, Asking, Voice};
#[cfg(feature = "camera")]
pub(crate) use reader::{Answer, the_one, this_program};
pub(crate) use reader::{LARGEST_FILE, PictureError, be_reader, read_file, read_picture};
pub(crate) use serve_error::ServeError;
