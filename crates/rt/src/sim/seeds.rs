//! How many seeds a test of the simulated machine tries.

/// The seeds of one test: `few` in a usual run. `AILURUS_SIM_SEEDS=5000` asks every test for 5,000;
/// `AILURUS_SIM_SEED=17` for the seventeenth alone, to look at a failure.
///
/// # Panics
/// If a variable is set and is not a number: a run that tried something else than was asked for would prove nothing.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    if let Some(one) = number("AILURUS_SIM_SEED") {
        return one..one + 1;
    }
    0..number("AILURUS_SIM_SEEDS").unwrap_or(few).max(few)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
