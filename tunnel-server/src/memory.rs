//! How the relay's allocator gives back what is free.
//!
//! A crowd of tunnels leaves holes, and between them what is still in use. The allocator of glibc
//! keeps such holes for ever; jemalloc gives their pages back after a while (ADR 0009). Where
//! another allocator is in use, nothing here has an effect.

/// Milliseconds after which free memory goes back to the system.
#[cfg(target_os = "linux")]
const KEPT: isize = 1000;

/// Sets the allocator up. To be called once, before any other thread is there.
pub fn set_up() {
    #[cfg(target_os = "linux")]
    {
        use tikv_jemalloc_ctl::{Access as _, AsName as _, background_thread};

        // A relay at rest frees nothing, so somebody else must look.
        let _ = background_thread::write(true);
        for name in [&b"arenas.dirty_decay_ms\0"[..], b"arena.0.dirty_decay_ms\0"] {
            let _ = name.name().write(KEPT);
        }
        thread_starts();
    }
}

/// Sets a thread up, from that thread.
pub fn thread_starts() {
    #[cfg(target_os = "linux")]
    {
        use tikv_jemalloc_ctl::{Access as _, AsName as _};

        // All share one arena, and no thread has a cache: both would keep pages from going back,
        // and what passes messages allocates nothing.
        let _ = b"thread.arena\0".name().write(0_u32);
        let _ = b"thread.tcache.enabled\0".name().write(false);
    }
}
