//! Keeping what is in memory to this process.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::info;

/// Makes sure that this process leaves no core dump, and that no other process of the same person looks
/// into it. To be called before any secret is there. Where the system refuses, that is said with -v.
pub fn keep_memory_private() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        info!("core dumps cannot be switched off: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        info!("other programs may look into this process: {error}");
    }
}
