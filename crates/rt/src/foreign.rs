//! Values that are held elsewhere and die at home.

use crate::crossing::Return;
use crate::dma::go_home;
use crate::hub::Inbox;
use crate::shard::Shard;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// A value of this shard that may travel. Nobody can use it meanwhile; wherever it is dropped, its `T` is dropped at home.
pub struct Foreign<T: 'static> {
    value: ManuallyDrop<Box<T>>,
    home: Arc<Inbox>,
}

// SAFETY: a `Foreign<T>` gives nothing of its `T` away; its drop ships the box to the home shard, where `T` is dropped.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl<T> Send for Foreign<T> {}
// SAFETY: `&Foreign<T>` gives nothing away.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl<T> Sync for Foreign<T> {}

impl<T> Foreign<T> {
    /// Makes this shard the home of `value`.
    ///
    /// # Panics
    /// Outside a shard.
    pub fn new(value: T) -> Self {
        Foreign { value: ManuallyDrop::new(Box::new(value)), home: Shard::with(|shard| shard.inbox.clone()) }
    }
}

impl<T> Drop for Foreign<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here; `value` is not used after it.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        go_home(&self.home, Return::Value(Box::new(Shipped(value))));
    }
}

/// A box on its way home.
struct Shipped<T>(#[allow(dead_code, reason = "it is only ever dropped")] Box<T>);

// SAFETY: it is opened by nobody; `Return::arrive` drops it on the home shard, and `Return::home_is_gone` forgets it.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl<T> Send for Shipped<T> {}
