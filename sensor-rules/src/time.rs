//! Times in rule files, such as `500ms`.

/// How a time is written, for messages.
pub const LIKE: &str = "write it like `500ms`, `10s`, `5m` or `1h`";
const UNITS: [(&str, u64); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// The time that `text` names, nanoseconds; `None` where it names none.
pub fn nanoseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}
