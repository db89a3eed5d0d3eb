//! 19 July 2024 beside this run. The left side: the vendor's preliminary review and root cause analysis.

use super::{measured::Measured, row::Row};

/// Both time lines, a line each.
pub fn rows(measured: &Measured) -> Vec<[String; 2]> {
    let seen = |number: &str| {
        let rows: Vec<_> = measured.rows.iter().filter(|row| row.number() == number).collect();
        rows.iter().map(|row| told(row)).collect::<Vec<_>>().join("; ")
    };
    let row = |then: &str, here: String| [then.to_owned(), here];
    let harmed = |index: usize| measured.july.outcomes.get(index).map_or(0, |(_, harmed, _)| *harmed);
    vec![
        row("5 Mar – 24 Apr: four files with a wildcard in field 21 work", seen("0")),
        row("04:09: the fifth file goes out; the validator finds it valid", seen("1")),
        row("04:09: the interpreter reads a 21st input, the kernel goes down", seen("3")),
        row("04:09: it goes to everybody at once: 8.5 million hosts", seen("9")),
        row("from 04:09: hosts go down again at each start", seen("8")),
        row(
            "05:27: reverted after 78 minutes; a host that is down does not hear of it",
            format!("on virtual hosts: {} harmed then, {} by the routine plan", harmed(0), harmed(2)),
        ),
        row("until 25 July: 97 % are back, each by hand", "nobody came to any host of this run".to_owned()),
    ]
}

fn told(row: &Row) -> String {
    format!("after {:.1} s: {}", row.took.as_secs_f64(), row.seen)
}
