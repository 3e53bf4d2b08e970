//! The story of Handfast, played by its own programs: a relay, a site, a phone and desktops, each a
//! process of its own with a home of its own.
//!
//! [`stage`] starts and speaks to the programs (the end-to-end tests use it too), [`copier`] plays
//! the file sync between vault folders, [`story`] is the four acts and what each must show.

pub mod cli;
pub mod copier;
pub mod stage;
pub mod story;
