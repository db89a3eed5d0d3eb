//! The page of `creance rollout status --html`, as a browser shows it. `cargo xtask page` fetches a browser
//! and runs this.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{SignedDuration, Timestamp};
use sensor_content::rollout::{Cohort, Counts, Health, Order, Plan, Progress, Ring, State};
use sensor_user::publisher::Rollout;
use serde::Deserialize;

/// What is not to be taken for a part of the page: a host says what its kernel is called.
const HOSTILE: &str = "6.1<img src=x onerror=alert(1)>";

/// Shows the page in a wide window and in one as narrow as a telephone's, and writes down what is seen there.
const LOOK: &str = r#"<!doctype html><meta charset="utf-8"><body>
<iframe src="page.html" style="width:1200px;height:900px"></iframe><iframe src="page.html" style="width:390px;height:900px"></iframe>
<pre id="seen"></pre><script>
const look = frame => {
  const page = frame.contentDocument, all = (what, of) => [...page.querySelectorAll(what)].map(of);
  const width = element => element.getBoundingClientRect().width;
  return {
    heading: page.querySelector("h1").innerText,
    too_wide: page.documentElement.scrollWidth > page.documentElement.clientWidth,
    bars: all(".bar", bar => Math.round(100 * width(bar.firstElementChild) / width(bar))),
    reasons: all("li", reason => reason.innerText),
    rows: all("tbody", body => body.rows.length),
    cells: all("td", cell => cell.innerText),
    foreign: page.querySelectorAll("script, img, link").length,
  };
};
addEventListener("load", () => {
  document.getElementById("seen").innerText = btoa(JSON.stringify([...document.querySelectorAll("iframe")].map(look)));
});
</script>"#;

/// What is seen in a window.
#[derive(Debug, Deserialize)]
struct Seen {
    heading: String,
    too_wide: bool,
    bars: Vec<u32>,
    reasons: Vec<String>,
    rows: Vec<usize>,
    cells: Vec<String>,
    foreign: usize,
}

/// A roll-out by the routine plan that the judge has just revoked at its third stage.
fn rollout() -> Rollout {
    let now = Timestamp::now();
    let counts = |fetched| Counts { fetched, heard: fetched, minutes: fetched * 300, ..Counts::default() };
    let kernels = ["6.1.0-56-amd64", "6.12.117+deb12-amd64", HOSTILE];
    let cohort = |hosts: u64, crashes: u64| Cohort {
        treated: kernels
            .map(|kernel| (kernel.to_owned(), Counts { kernel_crashes: crashes, missing: crashes, ..counts(hosts) }))
            .into(),
        control: kernels.map(|kernel| (kernel.to_owned(), counts(hosts / 4))).into(),
    };
    let census = |hosts: u64| kernels.map(|kernel| (kernel.to_owned(), hosts)).into();
    let mut rollout =
        Rollout::start(Plan::parse(Plan::ROUTINE).unwrap(), State::start(291, now - SignedDuration::from_hours(29)));
    rollout.state.order = Order::Revoke;
    rollout.state.stepped = now;
    rollout.state.progress = Progress {
        stage: 2,
        ramped: SignedDuration::from_hours(2),
        soaked: SignedDuration::from_hours(3),
        finished: false,
    };
    rollout.health = Health {
        taken: Some(now),
        census: BTreeMap::from([
            (Ring::Early, census(1_200)),
            (Ring::General, census(51_000)),
            (Ring::Late, census(4_000)),
        ]),
        stages: vec![cohort(30, 0), cohort(120, 0), cohort(400, 7)],
    };
    let reason = "early, 6.12.117+deb12-amd64: kernel crashes: 7 in 400 hosts, control 0 in 100; p = 1.4e-12, beyond the error rate";
    rollout.reasons = vec![reason.into(), format!("early, {HOSTILE}: recovery ladder used")];
    rollout
}

#[test]
#[ignore = "needs a browser: `cargo xtask page`"]
fn a_browser_shows_what_is_to_be_seen() {
    let kept = env::var_os("CREANCE_PAGE").map(PathBuf::from);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("current.json"), serde_json::to_vec(&rollout()).unwrap()).unwrap();
    fs::write(path.join("look.html"), LOOK).unwrap();
    let mut creance = Command::new(env!("CARGO_BIN_EXE_creance"));
    creance.args(["rollout", "status", "--state", ".", "--html", "page.html"]).current_dir(path);
    assert!(creance.status().unwrap().success());
    for (name, size, dark) in [("wide", "1200,1000", false), ("narrow", "500,1000", false), ("dark", "1200,1000", true)]
    {
        let (picture, size) = (format!("--screenshot={name}.png"), format!("--window-size={size}"));
        let mut flags = vec![picture.as_str(), size.as_str(), "--hide-scrollbars"];
        flags.extend(dark.then_some("--blink-settings=preferredColorScheme=0"));
        browse(path, &flags, "page.html");
        let picture = path.join(format!("{name}.png"));
        assert!(fs::metadata(&picture).unwrap().len() > 10_000, "{name} is empty");
        if let Some(kept) = &kept {
            fs::copy(picture, kept.join(format!("{name}.png"))).unwrap();
        }
    }
    let dom = browse(path, &["--dump-dom", "--virtual-time-budget=10000"], "look.html");
    let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    let seen = <base64ct::Base64 as base64ct::Encoding>::decode_vec(seen).unwrap();
    let windows: Vec<Seen> = serde_json::from_slice(&seen).unwrap();
    assert_eq!(windows.len(), 2);
    for seen in &windows {
        assert!(!seen.too_wide, "{seen:#?}");
        assert_eq!(seen.heading, "Generation 291 revoked at early");
        assert_eq!(seen.bars, [100, 100, 50, 0, 0, 0, 0]);
        assert_eq!(seen.rows, [7, 9]);
        assert_eq!(seen.foreign, 0, "what a host says has become a part of the page");
        assert!(seen.reasons[0].contains("7 in 400 hosts") && seen.reasons[1].contains(HOSTILE), "{seen:#?}");
        assert!(seen.cells.iter().any(|cell| cell == HOSTILE) && seen.cells.iter().any(|cell| cell == "51000"));
    }
}

/// Lets the browser show a file of a directory; what it prints.
fn browse(directory: &Path, flags: &[&str], file: &str) -> String {
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--disable-gpu", "--no-sandbox", "--allow-file-access-from-files"]).args(flags);
    chromium.arg(format!("--user-data-dir={}", directory.join("browser").display()));
    chromium.arg(format!("file://{}", directory.join(file).display())).current_dir(directory);
    let output = chromium.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
