//! What Prometheus reads.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{collections::BTreeSet, sync::Arc};

use sensor_user::{daemon::service::figures, metrics};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use support::{Daemon, bad_rule_file, rule_file};

/// What a server with these figures answers to `request`.
fn asked(daemon: &Daemon, request: &str) -> String {
    let text = figures::of(&daemon.core);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(metrics::server::serve(listener, text));
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
}

#[test]
fn a_scrape_has_what_the_status_has() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.push(vec![rule_file("one")], false).unwrap();
    client.push(vec![bad_rule_file()], false).unwrap_err();
    let answer = asked(&daemon, "GET /metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-type: text/plain; version=0.0.4"));
    for sample in [
        "creance_generation 1",
        "creance_enforcing 0",
        "creance_judged_total{event=\"fifo.open\"} 12",
        "creance_matched_total{event=\"fifo.open\"} 3",
        "creance_outcomes_total{outcome=\"denied\"} 3",
        "creance_lost_total{reason=\"ring_full\"} 2",
        "creance_changes_total{change=\"pushed\"} 1",
        "creance_changes_total{change=\"refused\"} 1",
        "creance_hook_attached{hook=\"file_open\"} 1",
        "creance_hook_attached{hook=\"pipe_write\"} 0",
        "creance_recursion_misses_total{hook=\"file_open\"} 5",
    ] {
        assert!(answer.lines().any(|line| line == sample), "{sample} is not in {answer}");
    }
}

#[test]
fn each_figure_is_explained_once_and_each_sample_given_once() {
    let text = metrics::text(&Daemon::start().core.status().unwrap()).unwrap();
    let mut seen = BTreeSet::new();
    let mut explained = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(explained.insert(help.split(' ').next().unwrap().to_owned()), "{line}");
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok() && seen.insert(sample), "{line}");
            assert!(explained.contains(sample.split('{').next().unwrap()), "{line} is not explained");
        }
    }
    assert!(explained.len() > 10 && seen.len() > 100);
}

#[test]
fn only_get_metrics_is_answered() {
    let daemon = Daemon::start();
    assert!(asked(&daemon, "GET /").starts_with("HTTP/1.1 404"));
    assert!(asked(&daemon, "POST /metrics").starts_with("HTTP/1.1 405"));
}

#[test]
fn they_are_served_on_loopback_only() {
    for good in ["127.0.0.1:9781", "[::1]:9781"] {
        assert!(metrics::server::loopback(good).is_ok(), "{good}");
    }
    for bad in ["0.0.0.0:9781", "192.0.2.1:9781", "[::]:9781", "localhost:9781", "127.0.0.1"] {
        assert!(metrics::server::loopback(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_port_that_another_process_has_is_said_and_tried_again() {
    let daemon = Daemon::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let squatter = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = squatter.local_addr().unwrap();
        let (text, core) = (figures::of(&daemon.core), Arc::clone(&daemon.core));
        let soon = std::time::Duration::from_millis(5);
        let serving = metrics::server::serve_at(address, text, soon, move |trouble| core.unserved(trouble));
        let serving = tokio::spawn(serving);
        let warned =
            || daemon.core.status().unwrap().warnings.iter().any(|warning| warning.contains(&address.to_string()));
        while !warned() {
            tokio::time::sleep(soon).await;
        }
        assert!(!serving.is_finished());
        drop(squatter);
        while warned() {
            tokio::time::sleep(soon).await;
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    });
}
