//! Where a roll-back leads.

/// Where a roll-back leads, in words.
pub fn goal(number: u64) -> String {
    if number == 0 { "the baseline".into() } else { format!("generation {number}") }
}
