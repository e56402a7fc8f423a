//! A server on this machine that speaks the hub's paths, and misbehaves on request.
//!
//! Large files (those ending in `.safetensors`) are answered with a redirect to a second server, as the hub does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// What the server has and how it behaves.
#[derive(Default)]
pub struct State {
    pub repo: String,
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Listed beside the files.
    pub also_listed: Vec<String>,
    /// Answers for a path with this status and `x-error-code`.
    pub refuse: Option<(String, u16, Option<&'static str>)>,
    /// Ends the next answers for this file after so many bytes of body.
    pub cut: Option<(String, usize, u32)>,
    /// Sends these bytes for a file whose headers tell of the true ones.
    pub replace: BTreeMap<String, Vec<u8>>,
    pub ignores_ranges: bool,
    pub requests: Vec<Request>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
    /// Whether it came to the second server.
    pub elsewhere: bool,
}

pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start(repo: &str, files: &[(&str, &[u8])]) -> Self {
        let state = Arc::new(Mutex::new(State {
            repo: repo.to_owned(),
            commit: "1111111111111111111111111111111111111111".to_owned(),
            files: files
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
            ..State::default()
        }));
        let elsewhere = listen(state.clone(), None);
        let endpoint = listen(state.clone(), Some(elsewhere));
        Self { endpoint, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests so far for paths that end so.
    pub fn requests(&self, end: &str) -> Vec<Request> {
        let state = self.state();
        state
            .requests
            .iter()
            .filter(|request| request.path.ends_with(end))
            .cloned()
            .collect()
    }
}

fn listen(state: Arc<Mutex<State>>, elsewhere: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, elsewhere) = (state.clone(), elsewhere.clone());
            thread::spawn(move || answer(stream, &state, elsewhere.as_deref()));
        }
    });
    address
}

/// One request for each connection.
fn answer(mut stream: TcpStream, state: &Mutex<State>, elsewhere: Option<&str>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next().unwrap().to_owned(),
        path: words.next().unwrap().to_owned(),
        range: None,
        authorization: None,
        elsewhere: elsewhere.is_none(),
    };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        match name.to_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "authorization" => request.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    let reply = reply(&mut state, &request, elsewhere);
    drop(state);
    let _ = stream.write_all(&reply);
}

fn reply(state: &mut State, request: &Request, elsewhere: Option<&str>) -> Vec<u8> {
    if let Some((path, status, code)) = &state.refuse
        && request.path.contains(path.as_str())
    {
        let code = code.map_or_else(String::new, |code| format!("x-error-code: {code}\r\n"));
        return head(
            &format!("{status} Refused"),
            &format!("{code}content-length: 0\r\n"),
        );
    }
    if request.path == format!("/api/models/{}/revision/main", state.repo) {
        let names = state.files.keys().chain(&state.also_listed);
        let siblings: Vec<_> = names
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let body = serde_json::json!({ "sha": state.commit, "siblings": siblings }).to_string();
        return [
            head("200 OK", &format!("content-length: {}\r\n", body.len())),
            body.into_bytes(),
        ]
        .concat();
    }
    let prefix = format!("/{}/resolve/{}/", state.repo, state.commit);
    let Some(name) = request.path.strip_prefix(&prefix).map(str::to_owned) else {
        return head("404 Not Found", "content-length: 0\r\n");
    };
    let Some(bytes) = state.files.get(&name).cloned() else {
        return head(
            "404 Not Found",
            "x-error-code: EntryNotFound\r\ncontent-length: 0\r\n",
        );
    };
    let common = format!("x-repo-commit: {}\r\n", state.commit);
    let is_large = name.ends_with(".safetensors");
    if let (true, Some(elsewhere)) = (is_large, elsewhere) {
        let headers = format!(
            "{common}location: {elsewhere}{}\r\nx-linked-etag: \"{}\"\r\nx-linked-size: {}\r\ncontent-length: 0\r\n",
            request.path,
            sha256(&bytes),
            bytes.len()
        );
        return head("302 Found", &headers);
    }
    let sent = state.replace.get(&name).cloned().unwrap_or_else(|| bytes.clone());
    let start = match &request.range {
        Some(range) if !state.ignores_ranges => range
            .strip_prefix("bytes=")
            .unwrap()
            .strip_suffix('-')
            .unwrap()
            .parse()
            .unwrap(),
        _ => 0,
    };
    let (status, range) = match start {
        0 => ("200 OK", String::new()),
        start => (
            "206 Partial Content",
            format!(
                "content-range: bytes {start}-{}/{}\r\n",
                sent.len() - 1,
                sent.len()
            ),
        ),
    };
    let body = &sent[start..];
    let headers = format!(
        "{common}{range}etag: \"{}\"\r\ncontent-length: {}\r\n",
        git_blob(&bytes),
        body.len()
    );
    let mut answer = head(status, &headers);
    if request.method == "HEAD" {
        return answer;
    }
    let mut end = body.len();
    if let Some((file, after, times)) = &mut state.cut
        && *file == name
        && *times > 0
    {
        *times -= 1;
        end = end.min(*after);
    }
    answer.extend_from_slice(&body[..end]);
    answer
}

fn head(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").into_bytes()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub fn git_blob(bytes: &[u8]) -> String {
    let framed = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &framed).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
