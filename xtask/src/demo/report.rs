//! The page of a run: one file without scripts, which one can send to somebody.

use super::{
    contrast::is_telling,
    measured::{HOSTS, Measured},
    row::Row,
    timeline,
};

const STYLE: &str = include_str!("report.css");

/// The whole page.
pub fn html(measured: &Measured) -> String {
    let good = measured.rows.iter().filter(|row| row.ok).count();
    let all = measured.rows.len();
    let verdict = if good == all { "good" } else { "bad" };
    let parts = [
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Channel File 291, replayed</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>Channel File 291, replayed</h1>\n\
             <p class=\"lead\">On 19 July 2024 a content file asked an interpreter in the kernel for a 21st \
             input. 20 were supplied. 8.5 million \
             hosts went down. Here the same file meets two kernels: one with such an interpreter, and one with \
             Creance.</p>\n\
             <ul class=\"figures\"><li><b class=\"{verdict}\">{good} of {all}</b> rows as expected</li>\
             <li><b>{} s</b> for the whole run</li><li><b>Linux {}</b> in both VMs</li></ul>\n",
            measured.took.as_secs(),
            escaped(&measured.kernel)
        ),
        side_by_side(measured),
        times(measured),
        table(&measured.rows),
        simulated(measured),
        remains(measured),
        "</main>\n</body>\n</html>\n".to_owned(),
    ];
    parts.concat()
}

/// What both kernels said of field 21.
fn side_by_side(measured: &Measured) -> String {
    let left = match measured.contrast.as_ref().map(|contrast| contrast.falls.as_slice()) {
        Some([first, ..]) => {
            first.lines().filter(|line| is_telling(line)).fold(String::new(), |text, line| text + line + "\n")
        }
        Some([]) => "The kernel did not go down.".to_owned(),
        None => "Left out by --quick.".to_owned(),
    };
    let right = measured.rows.iter().find(|row| row.number() == "3").map_or("", |row| &row.words);
    format!(
        "<h2>The same mistake, in two kernels</h2>\n<div class=\"pair\">\n\
         <figure class=\"down\"><figcaption>An interpreter in the kernel<span>The console, when the fifth file \
         was evaluated</span></figcaption>\
         <pre>{}</pre></figure>\n\
         <figure class=\"up\"><figcaption>Creance, with its own checks turned off<span>The answer to the push; \
         what ran before goes on</span></figcaption>\
         <pre>{}</pre></figure>\n</div>\n",
        marked(&left, &["BUG:", "interpret+", "Kernel panic"]),
        marked(right, &["rule `", "invalid access", "memory range"])
    )
}

fn times(measured: &Measured) -> String {
    let rows: Vec<_> = timeline::rows(measured)
        .iter()
        .map(|[then, here]| {
            format!(
                "<tr><td data-head=\"19 July 2024\">{}</td><td data-head=\"Here\">{}</td></tr>\n",
                escaped(then),
                escaped(here)
            )
        })
        .collect();
    let rows = rows.concat();
    format!(
        "<h2>19 July 2024, and this run</h2>\n<div class=\"wide rows\"><table><thead><tr><th>19 July 2024, \
        UTC</th><th>Here</th></tr></thead>\n\
         <tbody>{rows}</tbody></table></div>\n"
    )
}

fn table(rows: &[Row]) -> String {
    let cells: String = rows.iter().map(line).collect();
    format!(
        "<h2>One gate after the other is left open</h2>\n\
         <p>Each row lets one mistake in, and turns off what would have stopped it before. Each is a test of \
         the same name: \
         <code>cargo xtask test --kernel 6.12 NAME</code>.</p>\n<div class=\"wide rows\"><table>\n\
         <thead><tr><th>Row</th><th>Mistake let in</th><th>Must be stopped by</th><th>Seen in this \
         run</th><th>Time</th><th></th></tr></thead>\n\
         <tbody>{cells}</tbody></table></div>\n"
    )
}

fn line(row: &Row) -> String {
    let words = if row.words.is_empty() {
        String::new()
    } else {
        format!("<details><summary>in its own words</summary><pre>{}</pre></details>", escaped(&row.words))
    };
    let (class, verdict) = if row.ok { ("good", "as expected") } else { ("bad", "not as expected") };
    let seconds = row.took.as_secs_f64();
    let time = if seconds > 0.0 { format!("{seconds:.1} s") } else { String::new() };
    format!(
        "<tr><td data-head=\"Row\">{}</td><td><strong>{}</strong><br><code class=\"soft\">{}</code></td>\
         <td data-head=\"Must be stopped by\">{}</td><td data-head=\"Seen\">{}{words}</td><td \
         class=\"number\">{time}</td>\
         <td class=\"verdict {class}\">{verdict}</td></tr>\n",
        row.number(),
        escaped(&row.mistake),
        escaped(&row.test),
        escaped(&row.stopped_by),
        escaped(&row.seen)
    )
}

fn simulated(measured: &Measured) -> String {
    let rows: Vec<_> = measured
        .july
        .outcomes
        .iter()
        .map(|(name, harmed, by_hand)| {
            format!(
                "<tr><td><strong>{}</strong></td><td data-head=\"Hosts harmed\">{harmed}</td>\
                 <td data-head=\"Need a person\">{by_hand}</td></tr>\n",
                escaped(name)
            )
        })
        .collect();
    let rows = rows.concat();
    format!(
        "<h2>The same release, on {HOSTS} virtual hosts</h2>\n\
         <p>Suppose that a release takes hosts down as it is loaded, past every gate above. The plan, the judge \
         and the controller are those \
         that ship; only the hosts are virtual.</p>\n<div class=\"pair\">\n<figure class=\"plot\">{}</figure>\n\
         <div class=\"wide rows\"><table><thead><tr><th>Released</th><th>Hosts harmed</th><th>Need a \
         person</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n</div>\n",
        measured.july.svg
    )
}

fn remains(measured: &Measured) -> String {
    let (stolen, by_hand) = measured.stolen.outcomes.first().map_or((0, 0), |(_, harmed, hand)| (*harmed, *hand));
    format!(
        "<h2>What remains possible</h2>\n<ul>\n\
         <li>eBPF is no immunity. The kernel has bugs, its verifier too: in June 2024 one build of RHEL 9.4 \
         went down under verified programs. \
         So the claim is <em>refused at load time</em>, never <em>cannot crash</em>, and row 8 is there.</li>\n\
         <li>Who steals the online roll-out key can offer a signed release to everybody at once. Each host holds to \
         the fastest ramp that two holders of the offline keys have signed with it: if it is bad, {stolen} of {HOSTS} \
         virtual hosts are harmed until people notice after 78 minutes, and {by_hand} of these need a person. A thief who \
         holds it back until the ramp is over gets all.</li>\n\
         <li>A rule that is safe, cheap, quiet and wrong is stopped by nothing but its tests and \
         people.</li>\n</ul>\n\
         <p class=\"soft\">The interpreter is a reading of the published root cause analysis (6 August 2024), \
         for Linux; see \
         <code>tests/contrast/channel.c</code>. The six findings and what answers each: \
         <code>docs/root-cause.md</code>.</p>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The text, with lines marked that hold one of these words.
fn marked(text: &str, words: &[&str]) -> String {
    let line = |line: &str| {
        let shown = escaped(line);
        if words.iter().any(|word| line.contains(word)) {
            format!("<mark>{shown}</mark>\n")
        } else {
            format!("{shown}\n")
        }
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_console_are_text_and_telling_lines_are_marked() {
        assert_eq!(marked("a <TASK>\nBUG: b\n", &["BUG:"]), "a &lt;TASK&gt;\n<mark>BUG: b</mark>\n");
    }
}
