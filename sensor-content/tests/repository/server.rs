//! A web server that can be told to misbehave.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use sensor_content::digest::Digest;

/// What it does with a path that contains a word.
#[derive(Clone)]
pub enum Trick {
    /// Sends this instead.
    Swap(Vec<u8>),
    /// Says that there is nothing.
    Hide,
    /// Sends without end.
    Endless,
    /// Sends a byte now and then, for ever.
    Drip,
    /// Sends the client elsewhere.
    Redirect(String),
    /// Sends so many bytes, once, and hangs up.
    Break(usize),
}

#[derive(Default)]
struct State {
    tricks: BTreeMap<String, Trick>,
    log: Vec<String>,
}

pub struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn of(directory: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, directory) = (Arc::clone(&shared), directory.clone());
                // A client that hangs up is no failure of the test.
                thread::spawn(move || serve(stream, &directory, &state));
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn trick(&self, word: &str, trick: Trick) {
        self.state.lock().unwrap().tricks.insert(word.into(), trick);
    }

    pub fn behave(&self) {
        self.state.lock().unwrap().tricks.clear();
    }

    /// Requests since the last time, each as `PATH STATUS BODY-BYTES [RANGE]`.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

fn serve(stream: TcpStream, directory: &std::path::Path, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let (mut known, mut from) = (String::new(), 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "if-none-match" => value.clone_into(&mut known),
                "range" => from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0),
                _ => {}
            }
        }
        let trick = {
            let mut state = state.lock().unwrap();
            let word = state.tricks.keys().find(|word| path.contains(word.as_str())).cloned();
            match word {
                Some(word) if matches!(state.tricks[&word], Trick::Break(_)) => state.tricks.remove(&word),
                Some(word) => state.tricks.get(&word).cloned(),
                None => None,
            }
        };
        let mut say = |status: &str, more: &str, body: &[u8]| {
            let range = if from > 0 { format!(" from {from}") } else { String::new() };
            let status_number = status.split(' ').next().unwrap_or_default();
            state.lock().unwrap().log.push(format!("{path} {status_number} {}{range}", body.len()));
            let length = body.len();
            out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n").as_bytes())?;
            out.write_all(body)
        };
        let body = match trick {
            Some(Trick::Swap(bytes)) => Some(bytes),
            Some(Trick::Hide) => None,
            Some(Trick::Redirect(to)) => {
                say("302 Found", &format!("Location: {to}\r\n"), b"")?;
                continue;
            }
            Some(Trick::Endless) => {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    out.write_all(&[b' '; 1 << 12])?;
                }
            }
            Some(Trick::Drip) => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
                loop {
                    out.write_all(b" ")?;
                    thread::sleep(std::time::Duration::from_millis(20));
                }
            }
            Some(Trick::Break(count)) => {
                let bytes = fs::read(directory.join(&path)).unwrap_or_default();
                out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).as_bytes())?;
                return out.write_all(&bytes[..count]);
            }
            None => fs::read(directory.join(&path)).ok(),
        };
        match body {
            None => say("404 Not Found", "", b"")?,
            Some(bytes) => {
                let etag = format!("\"{}\"", Digest::of(&bytes).short());
                let more = format!("ETag: {etag}\r\n");
                if known == etag {
                    say("304 Not Modified", &more, b"")?;
                } else if from > 0 && from < bytes.len() {
                    say("206 Partial Content", &more, &bytes[from..])?;
                } else {
                    say("200 OK", &more, &bytes)?;
                }
            }
        }
    }
}
