//! A tunnel relay for FIDO Cross-Device Authentication (CTAP 2.3 §11.5): it introduces a phone and
//! a client to each other by a tunnel identifier and passes their messages on.
//!
//! The relay sees ciphertext only. It never looks into a message, and no log line carries a tunnel
//! identifier or an address. Who wants a phone or a client uses the other crates of this project.
//!
//! | module | is |
//! |---|---|
//! | [`request`] | the HTTP request head: what is asked, and why it is refused |
//! | [`openings`] | connections that have not yet asked, and which of them is dropped for a new one |
//! | [`registry`] | which tunnels exist and which still wait for their client |
//! | [`frame`], [`reader`] | WebSocket frames: one side's, made into those for the other |
//! | [`side`] | one side of a tunnel: its stream and what could not yet be written |
//! | [`tunnel`] | the life of one tunnel: waiting, joined, closed |
//! | [`clock`] | time, for all connections together |
//! | [`address`], [`quota`] | whose a connection is, and what its owner may have |
//! | [`proxied`] | what a proxy says before all else |
//! | [`figures`] | what is counted |
//! | `connection` | one connection: what it asks for, and the answer |
//! | [`memory`] | giving back what is free |
//! | [`check`] | a relay as it is seen from outside |
//! | [`server`] | accepting connections, and stopping |

pub mod address;
pub mod check;
pub mod cli;
pub mod clock;
mod connection;
pub mod figures;
pub mod frame;
pub mod haproxy;
pub mod limits;
pub mod memory;
pub mod openings;
pub mod pattern;
mod process;
pub mod proxied;
pub mod quota;
pub mod reader;
pub mod registry;
pub mod request;
pub mod server;
pub mod side;
pub mod tls;
pub mod tunnel;
