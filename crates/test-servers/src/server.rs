//! A small HTTP/1.1 server on loopback that does what a test tells it to, faults
//! included, and remembers what it was asked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::http1::{self, Head, LAST_CHUNK, listen, stated_length};

/// What came with one request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names and values, as sent.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first parameter of the query with this name, as sent.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The `page` parameter, or 1.
    pub fn page(&self) -> u64 {
        self.query("page").map_or(1, |page| page.parse().unwrap())
    }

    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request.
#[derive(Debug)]
pub struct Reply {
    head: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Send(Vec<u8>),
    /// Goes on when the gate opens, or the test ends.
    Gate(Receiver<()>),
    /// Sends the same bytes until the client is gone, and says how many it took.
    Endless(Vec<u8>, Sender<u64>),
    /// Sends nothing for a while.
    Pause(Duration),
    /// Sends nothing more, and says when the client has closed the connection.
    Watch(Sender<Instant>),
    Close,
}

impl Reply {
    /// Status 200 with a JSON body.
    pub fn json(body: impl ToString) -> Self {
        Reply::status(200)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// This status, to be followed by headers and a body.
    pub fn status(status: u16) -> Self {
        Reply {
            head: format!("HTTP/1.1 {status} Reason\r\n"),
            steps: Vec::new(),
        }
    }

    /// Closes the connection without a word.
    pub fn drop_connection() -> Self {
        Reply::headless().close()
    }

    /// Never answers.
    pub fn silence() -> Self {
        Reply::headless().until_gone().0
    }

    /// What is sent is all there is: without a head of its own.
    pub fn headless() -> Self {
        Reply {
            head: String::new(),
            steps: Vec::new(),
        }
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.head
            .push_str(&format!("{name}: {}\r\n", value.to_string()));
        self
    }

    /// A body with its length.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.header("content-length", body.len()).send(body)
    }

    /// The begin of a body that states another length, and then a closed connection.
    pub fn cut(self, body: impl Into<Vec<u8>>, stated: usize) -> Self {
        self.header("content-length", stated).send(body).close()
    }

    /// A body that ends with its connection, without a stated length.
    pub fn until_close(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("connection", "close").send(body).close()
    }

    /// A body in chunks, each of which is sent on its own; [`Reply::last_chunk`] ends it.
    pub fn chunked(self) -> Self {
        self.header("transfer-encoding", "chunked")
    }

    /// The next chunk.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(http1::chunk(bytes.as_ref()))
    }

    /// The end of a body in chunks.
    pub fn last_chunk(self) -> Self {
        self.send(LAST_CHUNK)
    }

    /// More bytes, as they are.
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Send(bytes.into()));
        self
    }

    /// Waits until the sender sends.
    pub fn gate(mut self) -> (Self, Sender<()>) {
        let (sender, gate) = channel();
        self.steps.push(Step::Gate(gate));
        (self, sender)
    }

    /// Nothing for a while: only where a test is about time.
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Nothing more, while the connection stays open; the receiver gets the time at which
    /// the client has closed it.
    pub fn until_gone(mut self) -> (Self, Receiver<Instant>) {
        let (sender, gone) = channel();
        self.steps.push(Step::Watch(sender));
        (self, gone)
    }

    /// Closes the connection, whatever the head promised.
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// These bytes alone, and then a closed connection.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Reply::headless().send(bytes).close()
    }

    /// The same bytes without end; the receiver gets their number once the client is
    /// gone.
    pub fn repeating(mut self, bytes: Vec<u8>) -> (Self, Receiver<u64>) {
        let (sender, count) = channel();
        self.steps.push(Step::Endless(bytes, sender));
        (self, count)
    }

    /// Zeros without end; the receiver gets their number once the client is gone.
    pub fn endless(self) -> (Self, Receiver<u64>) {
        self.repeating(vec![b'0'; 4096])
    }
}

/// A server that runs until the process ends.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Starts one that does with each request what the handler says.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        let address = listen(move |connection| {
            count.fetch_add(1, Relaxed);
            serve(&connection, &handler, &log)
        });
        Server {
            address: address.unwrap(),
            requests,
            connections,
        }
    }

    /// Pages of numbers: `page` counts from 1, each has `size` items, and all but
    /// the last have a `Link`.
    pub fn linked_pages(pages: u64, size: u64) -> Self {
        Server::start(move |request| linked_page(request, pages, size))
    }

    /// The address of this path and query.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Path and query of all requests so far.
    pub fn targets(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.target)
            .collect()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// One of [`Server::linked_pages`].
pub fn linked_page(request: &Request, pages: u64, size: u64) -> Reply {
    let page = request.page();
    let reply = match page < pages {
        true => Reply::status(200).header(
            "link",
            format!("<{}?page={}>; rel=\"next\"", request.path(), page + 1),
        ),
        false => Reply::status(200),
    };
    reply.body(numbers((page - 1) * size..page * size))
}

/// An array of numbers as JSON.
pub fn numbers(range: impl IntoIterator<Item = u64>) -> String {
    let numbers: Vec<String> = range.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

fn serve(
    connection: &TcpStream,
    handler: &(dyn Fn(&Request) -> Reply + Send + Sync),
    log: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader)? {
        log.lock().unwrap().push(request.clone());
        if answer(connection, handler(&request)).is_none() {
            return connection.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut headers, mut length) = (Vec::new(), 0);
    let head = Head::read(reader, |name, value| {
        length = stated_length(name, value).unwrap_or(length);
        headers.push((name.to_owned(), value.to_owned()));
    })?;
    let Some(head) = head else { return Ok(None) };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method: head.method().to_owned(),
        target: head.target().to_owned(),
        headers,
        body,
    }))
}

/// Plays a reply; none if the connection is to be closed.
fn answer(connection: &TcpStream, reply: Reply) -> Option<()> {
    let mut head = reply.head;
    if !head.is_empty() {
        head.push_str("\r\n");
    }
    let head = Step::Send(head.into_bytes());
    let mut steps = iter::once(head).chain(reply.steps);
    let played = steps.try_for_each(|step| play(connection, step));
    if played.is_none() {
        // A client may be gone before the step that waits for that.
        for step in steps {
            if let Step::Watch(gone) = step {
                tell(&gone, Instant::now());
            }
        }
    }
    played
}

fn play(mut connection: &TcpStream, step: Step) -> Option<()> {
    match step {
        Step::Send(bytes) => connection.write_all(&bytes).ok(),
        Step::Gate(gate) => gate.recv().ok(),
        Step::Endless(bytes, count) => {
            let mut sent = 0;
            while connection.write_all(&bytes).is_ok() {
                sent += bytes.len() as u64;
            }
            tell(&count, sent);
            None
        }
        Step::Pause(time) => {
            thread::sleep(time);
            Some(())
        }
        Step::Watch(gone) => {
            let mut rest = [0; 1024];
            while connection.read(&mut rest).is_ok_and(|length| length > 0) {}
            tell(&gone, Instant::now());
            None
        }
        Step::Close => None,
    }
}

/// Tells it to the test, which may not wait for it.
fn tell<T>(test: &Sender<T>, what: T) {
    let _ = test.send(what);
}
