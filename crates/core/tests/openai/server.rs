//! A server on this machine that answers as the test tells it, also badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

/// What the server does on a connection.
pub enum Step {
    Send(Vec<u8>),
    /// Waits until the client has closed the connection.
    Hold,
    /// Sends these bytes again and again until the client has closed the connection, then tells.
    Repeat(Vec<u8>, Option<Sender<()>>),
}

type Handler = dyn Fn(usize, &Request) -> Vec<Step> + Send + Sync;

pub struct Server {
    /// The base URL.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers request number n (from 0) with what the handler says.
    pub fn start(handler: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, handler) = (requests.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, handler) = (seen.clone(), handler.clone());
                thread::spawn(move || answer(stream, &seen, &*handler));
            }
        });
        Self { url, requests }
    }

    /// Answers every request with these bytes.
    pub fn with_answer(bytes: Vec<u8>) -> Self {
        Self::start(move |_, _| vec![Step::Send(bytes.clone())])
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// One request for each connection.
fn answer(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut length = 0;
    let mut authorization = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let request = Request {
        path: first.split(' ').nth(1).unwrap().to_owned(),
        authorization,
        body: serde_json::from_slice(&body).unwrap(),
    };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    for step in handler(number, &request) {
        match step {
            Step::Send(bytes) => {
                let _ = stream.write_all(&bytes);
            }
            Step::Hold => {
                let _ = reader.read_to_end(&mut Vec::new());
            }
            Step::Repeat(bytes, tell) => {
                while stream.write_all(&bytes).is_ok() {
                    thread::yield_now();
                }
                if let Some(tell) = tell {
                    let _ = tell.send(());
                }
            }
        }
    }
}

pub fn json(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The beginning of a stream of chunks that ends with [`LAST_CHUNK`].
pub const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A whole stream of these bytes.
pub fn stream(body: &[u8]) -> Vec<u8> {
    [STREAM, &chunk(body), LAST_CHUNK].concat()
}
