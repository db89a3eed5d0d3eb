//! What holds of events whatever the kernel hands over, and of the socket whatever a client says.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use proptest::prelude::*;
use sensor_common::{event::Event, record::Record};
use sensor_user::event::{Clock, Report, summary};
use serde_json::Value;

/// The bytes that a text of an event stands for: the inverse that `docs/events.md` promises.
fn unspell(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        (rest, bytes) = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => (behind, [bytes, vec![b'\\']].concat()),
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digits = [*high, *low];
                let byte = u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap();
                (behind, [bytes, vec![byte]].concat())
            }
            _ => (behind, [bytes, vec![*first]].concat()),
        };
    }
    bytes
}

proptest! {
    #[test]
    fn any_record_is_one_line_of_json_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), size_of::<Record>()),
        event in 0..u32::try_from(Event::COUNT).unwrap() + 2,
    ) {
        let mut record = Record::from_bytes(&bytes).unwrap();
        record.head.event = event;
        match Report::new(&record, None, 1, Clock::now()) {
            Err(_) => prop_assert!(event as usize >= Event::COUNT),
            Ok(report) => {
                let line = report.to_line();
                prop_assert!(!line.contains('\n'));
                let value: Value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(value["generation"].as_u64(), Some(record.head.generation));
                prop_assert!(summary(&line).is_some());
            }
        }
    }

    #[test]
    fn any_bytes_can_be_had_back_from_their_text(path in proptest::collection::vec(any::<u8>(), 0..256)) {
        let record = support::record(1, &path);
        let line = Report::new(&record, None, 1, Clock::now()).unwrap().to_line();
        let event: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(unspell(event["path"].as_str().unwrap()), path);
    }
}

#[test]
fn whatever_a_client_says_is_answered_by_one_line() {
    let daemon = support::Daemon::start();
    let lines = proptest::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..200);
    proptest!(|(line in lines)| {
        let mut stream = UnixStream::connect(&daemon.socket).unwrap();
        stream.write_all(&[line.as_slice(), b"\n"].concat()).unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        prop_assert!(reply.starts_with("{\"error\":"), "{}", reply);
    });
}
