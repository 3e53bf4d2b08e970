//! The phone's loop, and how it asks its owner.

mod ceremony;
mod input;
mod person;
mod picture;

pub(crate) use ceremony::{Phone, Relay, ServeError};
pub(crate) use input::{Input, Typed};
pub(crate) use person::{Approval, Asking, Voice};
pub(crate) use picture::{PictureError, read_picture};
