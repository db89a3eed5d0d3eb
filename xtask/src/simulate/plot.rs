//! The curves as SVG, written by hand: one panel below the other, over one time.

use super::{
    fleet::{DAY, HOUR, MINUTE, Time},
    report::Report,
    tally::Point,
};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const HEIGHT: f64 = 230.0;
const TOP: f64 = 70.0;
/// From one panel to the next.
const PITCH: f64 = 300.0;
/// Colours that people with any colour vision tell apart (Okabe and Ito).
const COLOURS: [&str; 4] = ["#d55e00", "#e69f00", "#0072b2", "#009e73"];
const TICKS: [(Time, &str); 10] = [
    (MINUTE, "1 min"),
    (3 * MINUTE, "3 min"),
    (10 * MINUTE, "10 min"),
    (30 * MINUTE, "30 min"),
    (HOUR, "1 h"),
    (3 * HOUR, "3 h"),
    (6 * HOUR, "6 h"),
    (DAY, "1 d"),
    (3 * DAY, "3 d"),
    (7 * DAY, "7 d"),
];

/// What a panel shows, and where to find it.
type Panel = (&'static str, fn(&Point) -> u64);

const PANELS: [Panel; 2] =
    [("hosts harmed now", |point| point.harmed), ("hosts that run the release", |point| point.active)];

/// Draws hosts that are harmed, and hosts that run the release, over time; a panel without any is left out.
pub fn svg(report: &Report) -> String {
    let points = || report.outcomes.iter().flat_map(|(_, tally)| &tally.curve);
    let end = points().map(|point| point.time).max().unwrap_or(DAY);
    let panels: Vec<_> = PANELS.iter().filter(|(_, value)| points().any(|point| value(point) > 0)).collect();
    let bottom = TOP + PITCH * panels.len() as f64;
    let title = format!("{} ({} hosts, seed {})", report.scenario, report.hosts, report.seed);
    let mut svg = vec![
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            bottom + 20.0
        ),
        text(LEFT, 24.0, "start", &title),
    ];
    svg.extend(panels.iter().enumerate().map(|(index, shown)| panel(report, TOP + PITCH * index as f64, shown, end)));
    for (index, (strategy, _)) in report.outcomes.iter().enumerate() {
        let (x, colour) = (LEFT + 205.0 * index as f64, COLOURS[index % COLOURS.len()]);
        svg.push(format!("<path d=\"M{x} {bottom}h24\" stroke=\"{colour}\" stroke-width=\"3\"/>\n"));
        svg.push(text(x + 30.0, bottom + 5.0, "start", strategy.name()));
    }
    svg.push("</svg>\n".to_owned());
    svg.concat()
}

/// Both axes are logarithmic; none at all is a little below one.
fn panel(report: &Report, top: f64, (title, value): &Panel, end: Time) -> String {
    let x = |time: Time| {
        let (from, to) = (f64::from(MINUTE).ln(), f64::from(end.max(HOUR)).ln());
        LEFT + (f64::from(time.max(MINUTE)).ln() - from) / (to - from) * (WIDTH - LEFT - RIGHT)
    };
    let decades = f64::from(report.hosts).log10().ceil();
    let y = |count: u64| top + HEIGHT * (1.0 - ((count as f64).max(0.5).log10() + 0.3) / (decades + 0.3));
    let mut svg = vec![text(LEFT, top - 10.0, "start", title)];
    for count in (0..=decades as u32).map(|decade| 10_u64.pow(decade)) {
        svg.push(format!("<path d=\"M{LEFT} {:.1}H{}\" stroke=\"#ddd\"/>\n", y(count), WIDTH - RIGHT));
        svg.push(text(LEFT - 8.0, y(count) + 4.0, "end", &count.to_string()));
    }
    for (time, label) in TICKS.iter().filter(|(time, _)| *time <= end) {
        svg.push(format!("<path d=\"M{:.1} {top}V{}\" stroke=\"#ddd\"/>\n", x(*time), top + HEIGHT));
        svg.push(text(x(*time), top + HEIGHT + 18.0, "middle", label));
    }
    for (index, (_, tally)) in report.outcomes.iter().enumerate() {
        let points = tally.curve.iter().filter(|point| point.time >= MINUTE);
        let points: Vec<_> = points.map(|point| format!("{:.1} {:.1}", x(point.time), y(value(point)))).collect();
        let colour = COLOURS[index % COLOURS.len()];
        svg.push(format!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\n",
            points.join("L")
        ));
    }
    svg.concat()
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{words}</text>\n")
}
