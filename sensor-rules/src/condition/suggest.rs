//! What an author may have meant.

/// The candidate that `name` may be a slip of, or `None` where none is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| {
        let last = candidate.rsplit('.').next().unwrap_or(candidate);
        let whole = strsim::normalized_damerau_levenshtein(name, candidate);
        // `exe` may mean `process.exe`, though less surely than `process.exec` does.
        (whole.max(0.9 * strsim::normalized_damerau_levenshtein(name, last)), candidate)
    });
    let best = scored.fold((0.0, ""), |best, next| if next.0 > best.0 { next } else { best });
    (best.0 >= 0.6).then_some(best.1)
}

/// Names for a message: `` `a`, `b` and `c` ``.
pub fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("pth", ["path", "payload"]), Some("path"));
        assert_eq!(nearest("exe", ["process.exe", "path"]), Some("process.exe"));
        assert_eq!(nearest("processs.exe", ["process.exe", "parent.exe"]), Some("process.exe"));
        assert_eq!(nearest("banana", ["path", "payload"]), None);
    }
}
