//! Latencies of one kind: a histogram of the whole window, and one per second of it.
//!
//! Each thread records on its own; seconds are added to the shared series when they are over.

use crate::clock::SECOND;
use crate::ledger::Window;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Longest latency that is told from others, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// Three digits of the whole, two of each second.
const DIGITS: u8 = 3;
const SERIES_DIGITS: u8 = 2;

/// The seconds of all threads, by the time of completion.
pub(crate) type Series = Arc<Mutex<Vec<Histogram<u64>>>>;

/// What one thread saw.
pub(crate) struct Latency {
    pub(crate) total: Histogram<u64>,
    /// Records that came back within the window, whenever they were due.
    pub(crate) within: u64,
    second: Histogram<u64>,
    number: usize,
    series: Series,
}

impl Latency {
    pub(crate) fn new(series: &Series) -> Latency {
        Latency {
            total: histogram(DIGITS),
            within: 0,
            second: histogram(SERIES_DIGITS),
            number: 0,
            series: series.clone(),
        }
    }

    /// A record that was `due` came back at `now`.
    pub(crate) fn record(&mut self, window: &Window, due: u64, now: u64) {
        self.within += u64::from(window.holds(now));
        if !window.holds(due) {
            return;
        }
        let age = micros(now.saturating_sub(due));
        self.total.saturating_record(age);
        let number = (now.saturating_sub(window.from()) / SECOND) as usize;
        if number != self.number {
            self.close_second();
            self.number = number;
        }
        self.second.saturating_record(age);
    }

    /// Adds what was recorded since the last second that was over.
    pub(crate) fn close_second(&mut self) {
        if self.second.is_empty() {
            return;
        }
        let mut series = self.series.lock().expect("nobody panics while holding it");
        while series.len() <= self.number {
            series.push(histogram(SERIES_DIGITS));
        }
        series[self.number].add(&self.second).expect("the same bounds");
        self.second.reset();
    }
}

/// Adds records that never came back: (due, how many), with their age at `now`.
pub(crate) fn add_missing(total: &mut Histogram<u64>, missing: &[(u64, u64)], now: u64) {
    for (due, count) in missing {
        total.saturating_record_n(micros(now.saturating_sub(*due)), *count);
    }
}

/// An empty histogram of a whole window.
pub(crate) fn whole() -> Histogram<u64> {
    histogram(DIGITS)
}

/// Percentiles, in microseconds.
pub(crate) fn summary(total: &Histogram<u64>) -> Value {
    json!({
        "p50": total.value_at_quantile(0.5),
        "p90": total.value_at_quantile(0.9),
        "p99": total.value_at_quantile(0.99),
        "p999": total.value_at_quantile(0.999),
        "max": total.max(),
        "count": total.len(),
    })
}

/// Per second of completion: [second, p50, p99, records].
pub(crate) fn table(series: &Series) -> Value {
    let series = series.lock().expect("nobody panics while holding it");
    let row = |(number, second): (usize, &Histogram<u64>)| {
        json!([number, second.value_at_quantile(0.5), second.value_at_quantile(0.99), second.len()])
    };
    series.iter().enumerate().map(row).collect()
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, digits).expect("bounds and digits are in hdrhistogram's range")
}

fn micros(nanos: u64) -> u64 {
    (nanos / 1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_several_threads_come_together_and_the_lost_stay_in_the_tail() {
        let series = Series::default();
        let window = Window::unset();
        window.set(0, Some(2 * SECOND));
        let mut threads = [Latency::new(&series), Latency::new(&series)];
        for (number, thread) in threads.iter_mut().enumerate() {
            thread.record(&window, 0, SECOND / 1000);
            thread.record(&window, SECOND, SECOND + (1 + number as u64) * SECOND / 1000);
            thread.record(&window, 2 * SECOND, 3 * SECOND);
            thread.close_second();
        }
        assert_eq!(table(&series)[0], json!([0, 1003, 1003, 2]));
        assert_eq!(table(&series)[1][3], 2);
        assert_eq!(threads[0].within, 2, "what was due behind the window came back behind it");
        let mut total = whole();
        threads.iter().for_each(|thread| total.add(&thread.total).expect("the same bounds"));
        add_missing(&mut total, &[(SECOND, 3)], 12 * SECOND);
        assert_eq!(total.len(), 7);
        assert!(total.value_at_quantile(0.9) >= 11_000_000);
    }
}
