//! Four exact one-sided tests. Each returns the probability of so much harm or more, were the release harmless.

use statrs::distribution::{Binomial, DiscreteCDF as _, Hypergeometric, Poisson};

/// Compares two Poisson rates (the conditional test of Przyborowski and Wilenski, 1940): given all events, those of
/// the treated are binomial with the treated's part of the time. Times are in host minutes.
///
/// A control of no time says nothing: 1.
pub fn two_rates(treated: (u64, f64), control: (u64, f64)) -> f64 {
    let (events, minutes) = treated;
    let share = minutes / (minutes + control.1);
    if events == 0 || !share.is_finite() || share >= 1.0 {
        return 1.0;
    }
    at_least(events, events + control.0, share)
}

/// Compares a count with what a known rate lets expect (Poisson).
pub fn one_rate(events: u64, expected: f64) -> f64 {
    if events == 0 {
        return 1.0;
    }
    Poisson::new(expected).map_or(1.0, |distribution| distribution.sf(events - 1))
}

/// Compares two parts of hosts (Fisher, 1934): given all hosts that are concerned, those among the treated are
/// hypergeometric. Each pair is (concerned, all).
pub fn fisher(treated: (u64, u64), control: (u64, u64)) -> f64 {
    let ((hit, all), (control_hit, control_all)) = (treated, control);
    if hit == 0 {
        return 1.0;
    }
    match Hypergeometric::new(all + control_all, hit + control_hit, all) {
        Ok(distribution) => distribution.sf(hit - 1).min(1.0),
        Err(_) => 1.0,
    }
}

/// Compares a part of hosts with a known one (binomial).
pub fn binomial(treated: (u64, u64), base: f64) -> f64 {
    at_least(treated.0, treated.1, base)
}

/// The probability of `events` or more among `all`, each with the probability `share`.
fn at_least(events: u64, all: u64, share: f64) -> f64 {
    if events == 0 {
        return 1.0;
    }
    Binomial::new(share, all).map_or(1.0, |distribution| distribution.sf(events - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9 * right.max(1e-3), "{left} is not {right}");
    }

    #[test]
    fn figures_that_can_be_worked_out_by_hand() {
        // Fisher's tea: 4 of 4 cups right is 1 in 70.
        near(fisher((4, 4), (0, 4)), 1.0 / 70.0);
        near(fisher((3, 4), (1, 4)), 17.0 / 70.0);
        // Equal times: 3 events of 3 on one side is 1 in 8.
        near(two_rates((3, 10.0), (0, 10.0)), 0.125);
        near(binomial((2, 2), 0.1), 0.01);
        // One event or more where one is expected: 1 - 1/e.
        near(one_rate(1, 1.0), 1.0 - (-1.0_f64).exp());
    }

    #[test]
    fn nothing_seen_is_no_evidence() {
        near(fisher((0, 4), (0, 4)), 1.0);
        near(two_rates((0, 0.0), (0, 0.0)), 1.0);
        near(two_rates((5, 1.0), (0, 0.0)), 1.0);
        near(binomial((0, 0), 0.1), 1.0);
        near(one_rate(0, 0.0), 1.0);
        near(one_rate(5, 0.0), 1.0);
    }

    proptest! {
        #[test]
        fn more_harm_is_never_more_likely(events in 0..200_u64, hours in 0.1..1e5, control in 0..200_u64, watched in 0.1..1e6) {
            let harm = |events| two_rates((events, hours), (control, watched));
            prop_assert!(harm(events + 1) <= harm(events) + 1e-9);
            prop_assert!((0.0..=1.0).contains(&harm(events)));
        }

        #[test]
        fn more_hosts_hit_is_never_more_likely(all in 1..400_u64, hit in 0..400_u64, control_all in 1..400_u64, control in 0..400_u64) {
            let (hit, control) = (hit % all, control % control_all);
            let harm = |hit| fisher((hit, all), (control, control_all));
            prop_assert!(harm(hit + 1) <= harm(hit) + 1e-9);
        }
    }
}
