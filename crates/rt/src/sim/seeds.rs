//! How many seeds a test of the simulated machine tries.

/// The seeds of one test: `few` in a usual run. `AILURUS_SIM_TIMES=10` makes every test that asks here try ten times as many;
/// `AILURUS_SIM_SEED=17` seed 17 alone, to look at a failure.
///
/// # Panics
/// If a variable is set and is not a number: a run that tried something else than was asked for would prove nothing.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    if let Some(one) = number("AILURUS_SIM_SEED") {
        return one..one + 1;
    }
    0..few * number("AILURUS_SIM_TIMES").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
