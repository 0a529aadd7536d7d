//! Who wants to know that more can be read.
//!
//! A fetch waits for hundreds of partitions at once. It makes one [`Bell`] and hangs it on each of them; the first that
//! moves rings it. Hanging it costs one entry per partition, ringing costs nothing per partition that did not move.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ailurus_base::sync::Notify;

/// What a waiting fetch listens to.
#[derive(Default)]
pub struct Bell {
    rung: Cell<bool>,
    notify: Notify,
}

impl Bell {
    /// A bell that is silent.
    pub fn new() -> Rc<Bell> {
        Rc::default()
    }

    /// Rings: [`Bell::rung`] completes, now or when it is asked next.
    pub fn ring(&self) {
        self.rung.set(true);
        self.notify.notify_all();
    }

    /// Waits for a ring since the last time this completed.
    pub async fn rung(&self) {
        self.notify.until(|| self.rung.replace(false).then_some(())).await;
    }
}

/// The bells that hang on one partition.
#[derive(Default)]
pub struct Bells {
    hung: RefCell<Vec<Hung>>,
}

/// A bell on its hook, with the place where its subscription finds it: thousands may hang on one partition, and they come
/// down one by one when it rings.
struct Hung {
    bell: Rc<Bell>,
    place: Rc<Cell<usize>>,
}

/// A bell stays on a partition until this is dropped.
pub struct Subscription {
    bells: Rc<Bells>,
    place: Rc<Cell<usize>>,
}

impl Bells {
    /// Hangs `bell` here.
    pub fn hang(self: &Rc<Self>, bell: &Rc<Bell>) -> Subscription {
        let mut hung = self.hung.borrow_mut();
        let place = Rc::new(Cell::new(hung.len()));
        hung.push(Hung { bell: bell.clone(), place: place.clone() });
        Subscription { bells: self.clone(), place }
    }

    /// Rings all that hang here.
    pub fn ring(&self) {
        for hung in self.hung.borrow().iter() {
            hung.bell.ring();
        }
    }

    /// How many hang here.
    pub fn count(&self) -> usize {
        self.hung.borrow().len()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut hung = self.bells.hung.borrow_mut();
        hung.swap_remove(self.place.get());
        if let Some(moved) = hung.get(self.place.get()) {
            moved.place.set(self.place.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn a_bell_rings_once_for_many_partitions_and_comes_down_with_its_subscription() {
        let (bell, one, two) = (Bell::new(), Rc::new(Bells::default()), Rc::new(Bells::default()));
        let subscriptions = [one.hang(&bell), two.hang(&bell)];
        one.ring();
        two.ring();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(bell.rung()).poll(&mut context).is_ready());
        assert!(pin!(bell.rung()).poll(&mut context).is_pending());
        drop(subscriptions);
        assert_eq!((one.count(), two.count()), (0, 0));
    }

    #[test]
    fn bells_come_down_in_any_order() {
        let bells = Rc::new(Bells::default());
        let all: Vec<_> = (0..10).map(|_| Bell::new()).collect();
        let mut hung: Vec<_> = all.iter().map(|bell| Some(bells.hang(bell))).collect();
        for down in [3, 9, 0, 8, 4, 1] {
            hung[down] = None;
            bells.ring();
            for (bell, hung) in all.iter().zip(&hung) {
                assert_eq!(bell.rung.take(), hung.is_some(), "after {down} came down");
            }
        }
        assert_eq!(bells.count(), 4);
    }
}
