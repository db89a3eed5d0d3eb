//! The rules in the program itself: what a host observes when none of its generations can be started. They only alert.

use sensor_rules::{Diagnostics, Options, RuleSet, Source};

/// The shipped rules.
const FILES: [(&str, &str); 4] = [
    ("fifo.yaml", include_str!("../../../rules/fifo.yaml")),
    ("pipe.yaml", include_str!("../../../rules/pipe.yaml")),
    ("process.yaml", include_str!("../../../rules/process.yaml")),
    ("unix.yaml", include_str!("../../../rules/unix.yaml")),
];

/// The files of the baseline.
pub fn sources() -> Vec<Source> {
    FILES.map(|(name, text)| Source { name: format!("baseline/{name}"), text: text.into() }).to_vec()
}

/// The rules of the baseline.
///
/// # Errors
/// When they are not sound, which a test excludes.
pub fn rules() -> Result<RuleSet, Diagnostics> {
    let rules = sensor_rules::check(&sources(), Options::default())?;
    Ok(rules.restrained(|_, _| false).0)
}

#[cfg(test)]
mod tests {
    use sensor_common::verdict::Action;

    use super::*;

    #[test]
    fn the_baseline_is_all_that_is_shipped() {
        let shipped = std::fs::read_dir("../rules").unwrap();
        let mut shipped: Vec<_> = shipped.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        shipped.sort();
        assert_eq!(shipped, FILES.map(|(name, _)| name));
    }

    #[test]
    fn the_baseline_is_sound_right_and_only_alerts() {
        let rules = rules().unwrap();
        assert!(sensor_rules::selftest::run(&rules).all_right().unwrap() > 0);
        assert!(rules.rules().iter().all(|rule| rule.action == Action::Alert));
    }
}
