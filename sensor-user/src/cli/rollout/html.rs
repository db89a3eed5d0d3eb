//! The page that `creance rollout status --html` writes: one file, without scripts, that says when it was made.

use std::fmt::Write as _;

use jiff::Timestamp;
use sensor_content::rollout::Order;

use super::table;
use crate::publisher::Rollout;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}.scrolls{overflow-x:auto}table{border-collapse:collapse}.stages{width:100%}th,td{padding:.4rem .6rem;text-align:left;border-bottom:1px solid #d8dee4}\
th{white-space:nowrap}.n{text-align:right;font-variant-numeric:tabular-nums}.name{white-space:nowrap}.mishaps{min-width:14rem}.bar{background:#e6eaef;border-radius:4px;height:1rem;min-width:8rem}\
.bar>div{height:100%;border-radius:4px;background:#2f6fdb}.state{display:inline-block;padding:.1rem .7rem;border-radius:1rem;color:#fff}\
.offer{background:#1a7f37}.pause,.halt{background:#9a6700}.revoke{background:#cf222e}.small{color:#57606a;font-size:.9rem}\
@media(max-width:48rem){.opens{display:none}}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}.bar{background:#30363d}.small{color:#9198a1}}";

/// The page.
pub fn page(rollout: &Rollout, now: Timestamp) -> String {
    let state = match rollout.state.order {
        Order::Offer => "offer",
        Order::Pause => "pause",
        Order::Halt => "halt",
        Order::Revoke => "revoke",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Creance: generation {release}</title><style>{STYLE}</style></head><body>\n\
         <h1>Generation {release} <span class=\"state {state}\">{place}</span></h1>\n\
         <p class=\"small\">Begun {}; last step {}, document {}; this page was written at {}.</p>\n<p class=\"small\">{allowed}.</p>\n<ul>",
        time(rollout.started),
        time(rollout.state.stepped),
        rollout.state.serial,
        time(now),
        release = rollout.state.release,
        allowed = escaped(&table::allowed(rollout, now)),
        place = escaped(&table::place(rollout).replace('`', "")),
    );
    for reason in &rollout.reasons {
        let _ = write!(page, "<li>{}</li>", escaped(reason));
    }
    page.push_str(
        "</ul>\n<div class=\"scrolls\"><table class=\"stages\"><thead><tr><th>Stage</th><th class=\"opens\">Opens</th><th>Ramp and soak</th>\
         <th class=\"n\">Fetched</th><th class=\"n\">Heard</th><th class=\"n\">Silent</th><th class=\"n\">Control</th><th>Mishaps</th></tr></thead>\
         <tbody>\n",
    );
    for row in table::rows(rollout) {
        let percent = (row.done * 100.0).round();
        let _ = writeln!(
            page,
            "<tr><td class=\"name\">{}</td><td class=\"small opens\">{}</td><td><div class=\"bar\" role=\"progressbar\" aria-valuenow=\"{percent}\" \
             aria-label=\"{percent}%\"><div style=\"width:{percent}%\"></div></div></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"mishaps\">{}</td></tr>",
            escaped(&row.name),
            escaped(&row.opens),
            row.treated.fetched,
            row.treated.heard,
            row.treated.missing,
            row.control.fetched,
            escaped(&table::mishaps(&row.treated)),
        );
    }
    page.push_str(
        "</tbody></table></div>\n<h2>Hosts</h2><div class=\"scrolls\"><table><thead><tr><th>Ring</th><th>Kernel</th><th class=\"n\">Hosts</th></tr>\
         </thead><tbody>\n",
    );
    for (ring, kernels) in &rollout.health.census {
        for (kernel, hosts) in kernels {
            let kernel = escaped(kernel);
            let _ = writeln!(page, "<tr><td>{}</td><td>{kernel}</td><td class=\"n\">{hosts}</td></tr>", ring.name());
        }
    }
    page.push_str("</tbody></table></div></body></html>\n");
    page
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// As text in HTML: kernels name themselves.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
