//! Values that are used elsewhere and die at home.

use crate::crossing::Return;
use crate::dma::{DmaBuf, go_home};
use crate::hub::Inbox;
use crate::shard::Shard;
use bytes::Bytes;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

/// A value of this shard that may travel. Wherever it is dropped, its `T` is dropped at home.
pub struct Foreign<T: 'static> {
    value: ManuallyDrop<Box<T>>,
    home: Arc<Inbox>,
}

// SAFETY: away from home, a `Foreign<T>` gives `&T` only if `T: Sync` (`Deref`) or not at all (`at_home` checks), never
// `T` or `&mut T`; its drop ships the box to the home shard, where `T` is dropped.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl<T> Send for Foreign<T> {}
// SAFETY: `&Foreign<T>` gives `&T` on other threads only if `T: Sync`.
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

    /// The value, if this is its home.
    pub fn at_home(&self) -> Option<&T> {
        let here = Shard::try_with(|shard| Arc::ptr_eq(&shard.inbox, &self.home)).unwrap_or(false);
        here.then_some(&**self.value)
    }
}

impl<T: Sync> Deref for Foreign<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Sync + AsRef<[u8]>> AsRef<[u8]> for Foreign<T> {
    fn as_ref(&self) -> &[u8] {
        (**self).as_ref()
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

/// Bytes that any shard may hold; the last of them to be dropped sends the buffer home.
pub fn share(bytes: DmaBuf) -> Bytes {
    bytes.freeze()
}
