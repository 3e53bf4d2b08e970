//! Power cuts, for tests: each thread has a plug of its own.

use std::cell::RefCell;
use std::io;

use super::Step;

/// What becomes of a step that is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// None at all: the file system knows no links.
    NoLinks,
    /// The machine is off: no step after it is done either.
    Off,
    /// The disk is full, or the like: it is refused, and all after it are done.
    Once,
}

#[derive(Default)]
struct Plug {
    done: Vec<Step>,
    cut: Option<(usize, Cut)>,
}

thread_local! {
    static PLUG: RefCell<Plug> = RefCell::default();
}

/// Does something with the power cut before the given step, the first being 0; returns what came of
/// it, and whether there was such a step.
pub(crate) fn with_cut<T>(at: usize, cut: Cut, act: impl FnOnce() -> T) -> (T, bool) {
    let (result, steps) = counted(Some((at, cut)), act);
    (result, steps.len() > at)
}

/// Does something, and returns which steps it took.
pub(crate) fn steps_of<T>(act: impl FnOnce() -> T) -> (T, Vec<Step>) {
    counted(None, act)
}

fn counted<T>(cut: Option<(usize, Cut)>, act: impl FnOnce() -> T) -> (T, Vec<Step>) {
    PLUG.with_borrow_mut(|plug| {
        *plug = Plug {
            done: Vec::new(),
            cut,
        }
    });
    let result = act();
    let plug = PLUG.take();
    (result, plug.done)
}

pub(super) fn step(step: Step) -> io::Result<()> {
    PLUG.with_borrow_mut(|plug| {
        let at = plug.done.len();
        plug.done.push(step);
        match plug.cut {
            Some((_, Cut::NoLinks)) if step == Step::Link => Err(rustix::io::Errno::PERM.into()),
            Some((cut, Cut::Off)) if at >= cut => Err(io::Error::other("the power is off")),
            Some((cut, Cut::Once)) if at == cut => Err(rustix::io::Errno::NOSPC.into()),
            _ => Ok(()),
        }
    })
}
