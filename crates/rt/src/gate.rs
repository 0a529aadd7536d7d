//! Leaving in order: a [`Gate`] counts who is inside, an [`Abort`] asks them to leave.

use ailurus_base::sync::{Notify, Watch};
use std::cell::Cell;
use std::rc::Rc;

/// Everyone who works inside holds a [`Pass`]; [`Gate::close`] lets nobody in any more and waits until all are out.
#[derive(Clone, Default)]
pub struct Gate(Rc<GateState>);

#[derive(Default)]
struct GateState {
    inside: Watch<usize>,
    closed: Cell<bool>,
}

/// The gate is closed: do not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("closed")]
pub struct Closed;

/// The right to be inside. Dropped when done.
pub struct Pass(Rc<GateState>);

impl Gate {
    /// An open gate with nobody inside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes in, unless the gate is closed.
    pub fn enter(&self) -> Result<Pass, Closed> {
        if self.0.closed.get() {
            return Err(Closed);
        }
        self.0.inside.set(self.0.inside.get() + 1);
        Ok(Pass(self.0.clone()))
    }

    /// Closes and waits until nobody is inside. May be called again.
    pub async fn close(&self) {
        self.0.closed.set(true);
        self.0.inside.until(|inside| inside == 0).await;
    }

    /// True once `close` was called.
    pub fn is_closed(&self) -> bool {
        self.0.closed.get()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.set(self.0.inside.get() - 1);
    }
}

/// A request to stop, seen by everyone on the shard who holds a clone.
#[derive(Clone, Default)]
pub struct Abort(Rc<AbortState>);

#[derive(Default)]
struct AbortState {
    requested: Cell<bool>,
    changed: Notify,
}

impl Abort {
    /// Nothing requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks. For good.
    pub fn request(&self) {
        self.0.requested.set(true);
        self.0.changed.notify_all();
    }

    /// True once asked.
    pub fn is_requested(&self) -> bool {
        self.0.requested.get()
    }

    /// Waits until asked.
    pub async fn requested(&self) {
        self.0.changed.until(|| self.is_requested().then_some(())).await;
    }
}
