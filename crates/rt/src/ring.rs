//! A bounded queue from one thread to one other.
//!
//! ```text
//!  producer                     slots (power of two)                    consumer
//!  tail ----publish (Release)---> [..][x][x][x][..] <---free (Release)---- head
//! ```
//!
//! What always holds: `head <= tail <= head + capacity`; slots in `head..tail` hold values, the others none. Each end
//! owns its index and keeps a stale copy of the other's, so that most operations touch no foreign cache line.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps two values that different cores write from sharing a cache line (and the one the prefetcher pairs with it).
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Padded<T>(pub(crate) T);

struct Ring<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    mask: usize,
    /// Next slot to be read; written by the consumer only.
    head: Padded<AtomicUsize>,
    /// Next slot to be written; written by the producer only.
    tail: Padded<AtomicUsize>,
}

// SAFETY: a slot is written only by the producer while it is outside `head..tail`, and read only by the consumer while
// it is inside; the Release store of an index and the Acquire load of it by the other end order the two. Values move
// between threads, hence `T: Send`.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl<T: Send> Sync for Ring<T> {}

/// The writing end. Not `Sync`: one thread at a time.
pub(crate) struct Producer<T> {
    ring: Arc<Ring<T>>,
    tail: Cell<usize>,
    head_seen: Cell<usize>,
}

/// The reading end. Not `Sync`: one thread at a time.
pub(crate) struct Consumer<T> {
    ring: Arc<Ring<T>>,
    head: Cell<usize>,
    tail_seen: Cell<usize>,
}

/// A ring for at least `capacity` values.
pub(crate) fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(2).next_power_of_two();
    let ring = Arc::new(Ring {
        slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
        mask: capacity - 1,
        head: Padded::default(),
        tail: Padded::default(),
    });
    let producer = Producer { ring: ring.clone(), tail: Cell::new(0), head_seen: Cell::new(0) };
    (producer, Consumer { ring, head: Cell::new(0), tail_seen: Cell::new(0) })
}

impl<T> Producer<T> {
    /// Appends `value`, or gives it back if the ring is full. Visible to the consumer at once.
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        let tail = self.tail.get();
        if tail.wrapping_sub(self.head_seen.get()) > self.ring.mask {
            self.head_seen.set(self.ring.head.0.load(Ordering::Acquire));
            if tail.wrapping_sub(self.head_seen.get()) > self.ring.mask {
                return Err(value);
            }
        }
        // SAFETY: `tail - head <= mask`, so this slot is outside `head..tail` and the consumer does not touch it until
        // the store below; there is one producer.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            (*self.ring.slots[tail & self.ring.mask].get()).write(value);
        }
        self.tail.set(tail.wrapping_add(1));
        self.ring.tail.0.store(tail.wrapping_add(1), Ordering::Release);
        Ok(())
    }
}

impl<T> Consumer<T> {
    /// Takes the oldest value.
    pub(crate) fn pop(&self) -> Option<T> {
        let head = self.head.get();
        if head == self.tail_seen.get() && !self.look() {
            return None;
        }
        // SAFETY: `head != tail`, so the slot is inside `head..tail`: the producer wrote it before its Release store of
        // `tail`, which we have acquired, and does not touch it until the store below; there is one consumer.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let value = unsafe { (*self.ring.slots[head & self.ring.mask].get()).assume_init_read() };
        self.head.set(head.wrapping_add(1));
        self.ring.head.0.store(head.wrapping_add(1), Ordering::Release);
        Some(value)
    }

    /// True if nothing has been published that was not taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get() == self.tail_seen.get() && !self.look()
    }

    fn look(&self) -> bool {
        self.tail_seen.set(self.ring.tail.0.load(Ordering::Acquire));
        self.head.get() != self.tail_seen.get()
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let (head, tail) = (*self.head.0.get_mut(), *self.tail.0.get_mut());
        let mut place = head;
        while place != tail {
            // SAFETY: both ends are gone (we have `&mut`), and slots in `head..tail` hold values.
            #[allow(unsafe_code, reason = "see SAFETY")]
            unsafe {
                self.slots[place & self.mask].get_mut().assume_init_drop();
            }
            place = place.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_first_in_first_out_and_bounded() {
        let (producer, consumer) = ring(4);
        for round in 0..10 {
            for value in 0..4 {
                assert_eq!(producer.push(round * 4 + value), Ok(()));
            }
            assert_eq!(producer.push(99), Err(99));
            for value in 0..4 {
                assert_eq!(consumer.pop(), Some(round * 4 + value));
            }
            assert_eq!(consumer.pop(), None);
            assert!(consumer.is_empty());
        }
    }

    #[test]
    fn what_was_never_taken_is_dropped_once() {
        let value = Arc::new(());
        let (producer, consumer) = ring(8);
        for _ in 0..5 {
            producer.push(value.clone()).expect("room");
        }
        drop(consumer.pop());
        drop((producer, consumer));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test is about threads")]
    fn two_threads_see_every_value_in_order() {
        const COUNT: u64 = 200_000;
        let (producer, consumer) = ring(64);
        let writer = std::thread::spawn(move || {
            for value in 0..COUNT {
                while producer.push(value).is_err() {
                    std::hint::spin_loop();
                }
            }
        });
        let mut next = 0;
        while next < COUNT {
            match consumer.pop() {
                Some(value) => {
                    assert_eq!(value, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        writer.join().expect("the writer ends");
    }
}
