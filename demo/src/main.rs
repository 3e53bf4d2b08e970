//! To be described by its author.
fn main() {}
