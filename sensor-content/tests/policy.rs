//! What the owner's policy says, and how it is refused where it makes no sense.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use sensor_common::{event::Event, verdict::Action};
use sensor_content::{
    bundle::Category,
    policy::{Answer, Decision, Host, Offer, Policy},
    rollout::Ring,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// A Friday.
const NOW: &str = "2026-11-27T12:00:00Z";

fn decide(text: &str, number: u64, category: Category, known: &[u64], now: &str) -> Answer {
    let now = at(now);
    let offer = Offer { number, category, first_seen: at(NOW) };
    policy(text).decide(&offer, &Host { running: 100, known, approved: false }, now)
}

fn routine(text: &str, number: u64) -> Decision {
    decide(text, number, Category::Routine, &[], NOW).decision
}

#[test]
fn the_shipped_example_is_a_policy() {
    let policy = policy(include_str!("../../packaging/content.toml"));
    assert_eq!(policy.ring(), Ring::General);
    assert!(
        !policy.actions().permit(Event::FifoOpen, Action::Kill)
            && policy.actions().permit(Event::FifoOpen, Action::Block)
    );
    assert_eq!(policy.lifeline(), [Path::new("/usr/sbin/haproxy")]);
    // What it shows as an example makes sense, too.
    let all = include_str!("../../packaging/content.toml").replace("# [", "[");
    let keys = ["until", "reason", "key", "from", "to", "block", "address", "root", "poll", "proxy", "announce"];
    let all = keys.iter().fold(all, |text, key| text.replace(&format!("# {key} ="), &format!("{key} =")));
    let repository = Policy::parse(&all).unwrap().repository().cloned().unwrap();
    assert_eq!(repository.poll, jiff::SignedDuration::from_mins(10));
}

#[test]
fn errors_have_a_place_and_say_what_to_do() {
    for (text, place, words) in [
        ("ring = \"first\"", "1:8", "early"),
        ("rings = \"early\"", "1:1", "unknown field"),
        ("[repository]\naddress = [\"ftp://x\"]\nroot = \"/r\"", "2:12", "begins with https://"),
        ("[repository]\naddress = []\nroot = \"/r\"", "2:11", "name one"),
        ("[repository]\naddress = [\"http://x\"]\nroot = \"r\"", "3:8", "no absolute path"),
        ("[repository]\naddress = [\"http://x\"]\nroot = \"/r\"\npoll = \"25h\"", "4:8", "from 1s to 24h"),
        ("[repository]\naddress = [\"http://x\"]\nroot = \"/r\"\nproxy = \"x:1\"", "4:9", "begins with http"),
        ("pin = \"N-3\"", "1:7", "\"N-2\""),
        ("hold = true", "1:8", "a table with `until`"),
        ("pin = -1", "1:7", "without quotes"),
        ("\npin = 0", "2:7", "counted from 1"),
        ("delay = \"-1h\"", "1:9", "from \"0s\""),
        ("delay = \"91d\"", "1:9", ""),
        ("delay = 24", "1:9", ""),
        ("[urgent]\ndelay = \"169h\"", "2:9", "not skipped"),
        ("[hold]\nreason = \"x\"", "1:1", "until"),
        ("[hold]\nuntil = 2026-12-01", "2:9", "an offset"),
        ("[[window]]\nfrom = \"2:00\"\nto = \"05:00\"\nzone = \"UTC\"", "2:8", "time of day"),
        ("[[window]]\nfrom = \"02:00\"\nto = \"24:00\"\nzone = \"UTC\"", "3:6", "time of day"),
        ("[[window]]\nfrom = \"02:00\"\nto = \"02:00\"\nzone = \"UTC\"", "3:6", "ends when it begins"),
        ("[[window]]\nfrom = \"02:00\"\nto = \"03:00\"\nzone = \"Europe/Bonn\"", "4:8", "no time zone"),
        ("[[window]]\ndays = []\nfrom = \"02:00\"\nto = \"03:00\"\nzone = \"UTC\"", "1:1", "without a day"),
        ("[[window]]\ndays = [\"someday\"]\nfrom = \"02:00\"\nto = \"03:00\"\nzone = \"UTC\"", "2:9", "mon"),
        ("[approval]\nkey = \"owner.pub\"", "2:7", "absolute"),
        ("[actions]\nblock = [\"fifo.open\", \"fifo.opens\"]", "2:23", "no event"),
        ("[actions]\nquarantine = [\"fifo.open\"]", "2:15", "never lead"),
        ("[lifeline]\nexecutables = [\"sshd\"]", "2:16", "absolute"),
        ("é = 1", "1:1", ""),
        ("# é\n\"é\" = \"", "2:8", ""),
    ] {
        let error = Policy::parse(text).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{place}: ")), "{text}: {error}");
        assert!(error.message.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_pin_and_a_rollback_that_contradict_each_other_are_refused() {
    for text in [
        "pin = 124\n[rollback]\nfrom = 124",
        "pin = 124\n[rollback]\nfrom = 124\nto = 122",
        "pin = 123\n[rollback]\nfrom = 124\nto = 122",
        "[rollback]\nfrom = 124\nto = 124",
        "[rollback]\nfrom = 124\nto = 125",
    ] {
        assert_eq!(
            Policy::parse(text).unwrap_err().line,
            text.lines().position(|line| line == "[rollback]").unwrap() + 1,
            "{text}"
        );
    }
    policy("pin = 122\n[rollback]\nfrom = 124\nto = 122");
    policy("pin = \"N-1\"\n[rollback]\nfrom = 124");
}

#[test]
fn without_a_policy_everything_newer_is_taken() {
    assert_eq!(Policy::parse(""), Ok(Policy::default()));
    assert_eq!(routine("", 101), Decision::Take);
    assert_eq!(routine("", 100), Decision::Never);
    assert_eq!(routine("", 99), Decision::Never);
}

#[test]
fn n_1_is_the_release_before_and_not_the_number_before() {
    let known = [90, 120, 124, 110];
    let answer = |text, number| decide(text, number, Category::Routine, &known, NOW).decision;
    assert_eq!(answer("pin = \"N-1\"", 124), Decision::Wait);
    assert_eq!(answer("pin = \"N-1\"", 120), Decision::Take);
    assert_eq!(answer("pin = \"N-2\"", 120), Decision::Wait);
    assert_eq!(answer("pin = \"N-2\"", 110), Decision::Take);
    // The first release that is known at all has none before it.
    assert_eq!(routine("pin = \"N-1\"", 124), Decision::Wait);
    // An urgent one can be delayed, not skipped.
    assert_eq!(decide("pin = \"N-2\"", 124, Category::Urgent, &known, NOW).decision, Decision::Take);
}

#[test]
fn a_number_holds_exactly_that_one() {
    assert_eq!(routine("pin = 123", 124), Decision::Never);
    assert_eq!(routine("pin = 123", 123), Decision::Take);
    assert_eq!(routine("pin = 99", 99), Decision::Take, "the owner may go back to an older one");
}

#[test]
fn delays_count_from_when_the_host_first_saw_it() {
    assert_eq!(routine("delay = \"24h\"", 101), Decision::At(at("2026-11-28T12:00:00Z")));
    assert_eq!(decide("delay = \"24h\"", 101, Category::Routine, &[], "2026-11-28T12:00:00Z").decision, Decision::Take);
    let urgent = "delay = \"24h\"\n[urgent]\ndelay = \"1h\"";
    assert_eq!(decide(urgent, 101, Category::Urgent, &[], NOW).decision, Decision::At(at("2026-11-27T13:00:00Z")));
}

/// The words of the example for owners: what it says is at most, is taken as it is said there.
#[test]
fn lengths_of_time_are_written_as_people_write_them() {
    assert!(include_str!("../../packaging/content.toml").contains("at most 90 days"));
    let ninety = Decision::At(at(NOW) + jiff::SignedDuration::from_hours(90 * 24));
    assert_eq!(routine("delay = \"90 days\"", 101), ninety);
    assert_eq!(routine("delay = \"90d\"", 101), ninety);
    for (text, place, words) in [
        ("delay = \"91 days\"", "1:9", "from \"0s\" to 90 days"),
        ("delay = \"soon\"", "1:9", "`soon` is no length of time: write it like \"90 days\""),
        ("delay = \"1 month\"", "1:9", "`1 month` is not always as long"),
        ("delay = 90", "1:9", "expected a length of time in quotes, such as \"90 days\""),
        ("[urgent]\ndelay = \"2 weeks\"", "2:9", "to 7 days"),
        ("[shadow]\ntime = \"8 days\"", "2:8", "to 7 days"),
        ("[repository]\naddress = [\"https://a\"]\nroot = \"/a\"\npoll = \"2 days\"", "4:8", "this time must be from"),
    ] {
        let refusal = Policy::parse(text).unwrap_err().to_string();
        assert!(refusal.starts_with(place) && refusal.contains(words), "{text}: {refusal}");
    }
}

#[test]
fn a_hold_stops_everything_and_ends_by_itself() {
    let hold = "[hold]\nuntil = 2026-12-01T00:00:00+01:00\nreason = \"Christmas\"";
    for category in [Category::Routine, Category::Urgent] {
        let answer = decide(hold, 101, category, &[], NOW);
        assert_eq!(answer.decision, Decision::At(at("2026-11-30T23:00:00Z")));
        assert!(answer.to_string().contains("Christmas"), "{answer}");
        assert_eq!(decide(hold, 101, category, &[], "2026-11-30T23:00:00Z").decision, Decision::Take);
    }
}

#[test]
fn nothing_is_taken_without_the_approval_that_is_asked_for() {
    let text = "[approval]\nkey = \"/etc/creance/owner.pub\"";
    assert_eq!(routine(text, 101), Decision::Wait);
    let offer = Offer { number: 101, category: Category::Urgent, first_seen: at(NOW) };
    let approved = Host { running: 100, known: &[], approved: true };
    assert_eq!(policy(text).decide(&offer, &approved, at(NOW)).decision, Decision::Take);
}

const NIGHT: &str =
    "[[window]]\ndays = [\"tue\", \"wed\"]\nfrom = \"02:00\"\nto = \"05:00\"\nzone = \"Europe/Berlin\"\n";

#[test]
fn a_window_is_explained_on_its_own_clock() {
    let answer = decide(NIGHT, 124, Category::Routine, &[], NOW);
    assert_eq!(answer.decision, Decision::At(at("2026-12-01T01:00:00Z")));
    assert_eq!(
        answer.to_string(),
        "generation 124 will be taken at Tue 2026-12-01 02:00 CET because the window Tue, Wed 02:00 to 05:00 (Europe/Berlin) opens then"
    );
    assert_eq!(decide(NIGHT, 124, Category::Routine, &[], "2026-12-01T03:59:59Z").decision, Decision::Take);
    assert_eq!(
        decide(NIGHT, 124, Category::Routine, &[], "2026-12-01T04:00:00Z").decision,
        Decision::At(at("2026-12-02T01:00:00Z"))
    );
    let urgent = decide(NIGHT, 124, Category::Urgent, &[], NOW);
    assert_eq!(urgent.decision, Decision::Take);
    assert!(urgent.to_string().contains("windows do not count"), "{urgent}");
}

/// When the window that is open every day from `from` to `to` in Berlin opens and closes after `now`.
fn berlin(from: &str, to: &str, now: &str) -> (String, String) {
    let text = format!("[[window]]\nfrom = \"{from}\"\nto = \"{to}\"\nzone = \"Europe/Berlin\"\n");
    let is_open = |time: Timestamp| {
        let offer = Offer { number: 101, category: Category::Routine, first_seen: at("2020-01-01T00:00:00Z") };
        policy(&text).decide(&offer, &Host { running: 100, known: &[], approved: false }, time).decision
    };
    let minute = jiff::SignedDuration::from_mins(1);
    let mut time = at(now);
    while is_open(time) != Decision::Take {
        time += minute;
    }
    let opens = time;
    while is_open(time) == Decision::Take {
        time += minute;
    }
    (opens.to_string(), time.to_string())
}

#[test]
fn windows_survive_the_days_on_which_the_clock_jumps() {
    // On 2026-03-29, 02:00 to 03:00 does not exist in Berlin: 01:00 UTC is 03:00.
    let spring = |from, to| berlin(from, to, "2026-03-29T00:00:00Z");
    let times = |from: &str, to: &str| (format!("2026-03-29T{from}:00Z"), format!("2026-03-29T{to}:00Z"));
    assert_eq!(spring("02:30", "04:00"), times("01:00", "02:00"));
    assert_eq!(spring("01:30", "02:30"), times("00:30", "01:00"));
    assert_eq!(spring("01:00", "05:00"), times("00:00", "03:00"), "never after 05:00");
    // A window that is skipped whole is not lost.
    assert_eq!(spring("02:00", "03:00"), times("01:00", "02:00"));
    assert_eq!(spring("02:15", "02:45"), times("01:00", "01:30"));
    // On 2026-10-25, 02:00 to 03:00 comes twice: 00:00 UTC is 02:00 the first time, 01:00 UTC the second.
    let autumn = |from, to| berlin(from, to, "2026-10-24T22:00:00Z");
    let times = |from: &str, to: &str| (format!("2026-10-25T{from}:00Z"), format!("2026-10-25T{to}:00Z"));
    assert_eq!(autumn("02:30", "02:45"), times("00:30", "00:45"));
    assert_eq!(autumn("01:00", "05:00"), ("2026-10-24T23:00:00Z".into(), "2026-10-25T04:00:00Z".into()));
    // Over midnight.
    assert_eq!(
        berlin("23:00", "01:00", "2026-06-01T12:00:00Z"),
        ("2026-06-01T21:00:00Z".into(), "2026-06-01T23:00:00Z".into())
    );
}

#[test]
fn a_hold_that_has_ended_is_no_error_for_a_host_and_one_for_its_author() {
    let text = "ring = \"late\"\n[hold]\nuntil = 2026-11-27T12:00:00Z\n";
    assert_eq!(policy(text).ring(), Ring::Late);
    let error = Policy::check(text, at(NOW)).unwrap_err().to_string();
    assert!(error.starts_with("3:9: this hold ended at 2026-11-27T12:00:00Z") && error.contains("remove"), "{error}");
    let still = text.replace("12:00:00", "12:00:01");
    assert_eq!(Policy::check(&still, at(NOW)), Ok(policy(&still)));
    assert!(Policy::check("[hold]\nuntil = 2026-12-01", at(NOW)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_has_a_place(text in "([a-z]{1,8} = ([0-9]{1,3}|\"[a-z0-9:-]{0,6}\"|\\[\\])\n|\\[{1,2}[a-z]{1,8}\\]{1,2}\n|.|\n){0,12}") {
        if let Err(error) = Policy::parse(&text) {
            prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1, "{error}");
            prop_assert!(error.column >= 1);
        }
    }

    #[test]
    fn a_moment_that_is_promised_is_kept(minutes in 0..600_000_i64, from in 0..1440_u32, to in 0..1440_u32, delay in 0..3000_i64, zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Africa/Casablanca"])) {
        prop_assume!(from != to);
        let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let text = format!("delay = \"{delay}m\"\n[[window]]\ndays = [\"sun\", \"wed\"]\nfrom = \"{}\"\nto = \"{}\"\nzone = \"{zone}\"\n", clock(from), clock(to));
        let policy = policy(&text);
        let start = at("2026-01-01T00:00:00Z");
        let now = start + jiff::SignedDuration::from_mins(minutes);
        let offer = Offer { number: 101, category: Category::Routine, first_seen: now };
        let host = Host { running: 100, known: &[], approved: false };
        let moment = match policy.decide(&offer, &host, now).decision {
            Decision::Take => now,
            Decision::At(moment) => moment,
            other => panic!("{other:?}"),
        };
        prop_assert!(moment >= now + jiff::SignedDuration::from_mins(delay));
        prop_assert!(moment <= now + jiff::SignedDuration::from_mins(delay) + jiff::SignedDuration::from_hours(24 * 8));
        prop_assert_eq!(policy.decide(&offer, &host, moment).decision, Decision::Take);
        if moment > now + jiff::SignedDuration::from_mins(delay) {
            let just_before = moment - jiff::SignedDuration::from_secs(1);
            prop_assert_eq!(policy.decide(&offer, &host, just_before).decision, Decision::At(moment));
        }
    }
}
