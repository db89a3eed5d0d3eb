//! Numbers written as octal ones: `0666` as in C, `0o666` as in YAML.

/// The number in hexadecimal digits, which mean the same everywhere, or in decimal ones where it is not octal; `None`
/// where `number` is not written so.
pub fn spelled(number: &str) -> Option<String> {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let octal = digits.strip_prefix('0').filter(|octal| !octal.is_empty())?;
    let octal = octal.strip_prefix(['o', 'O']).unwrap_or(octal);
    if octal.is_empty() || !octal.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(match u64::from_str_radix(octal, 8) {
        Ok(value) => format!("{sign}{value:#x}"),
        Err(_) => format!("{sign}{}", octal.trim_start_matches('0')),
    })
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn octal_numbers_are_spelled_so_that_nobody_mistakes_them() {
        for (number, expected) in [
            ("0666", Some("0x1b6")),
            ("010666", Some("0x11b6")),
            ("-07", Some("-0x7")),
            ("0o17", Some("0xf")),
            ("0O17", Some("0xf")),
            ("0089", Some("89")),
            ("0", None),
            ("0x1f", None),
            ("10", None),
            ("0o", None),
            ("-0", None),
        ] {
            assert_eq!(spelled(number).as_deref(), expected, "{number}");
        }
    }
}
