//! A small HTTP/1.1 server on loopback that does what a test tells it to, faults
//! included, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What came with one request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The `page` parameter, or 1.
    pub(crate) fn page(&self) -> u64 {
        self.query("page").map_or(1, |page| page.parse().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request.
#[derive(Debug)]
pub(crate) struct Reply {
    head: String,
    steps: Vec<Step>,
    is_drop: bool,
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
    pub(crate) fn json(body: impl ToString) -> Self {
        Reply::status(200)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn status(status: u16) -> Self {
        Reply {
            head: format!("HTTP/1.1 {status} Reason\r\n"),
            steps: Vec::new(),
            is_drop: false,
        }
    }

    /// Closes the connection without a word.
    pub(crate) fn drop_connection() -> Self {
        Reply {
            is_drop: true,
            ..Reply::status(200)
        }
    }

    /// Never answers.
    pub(crate) fn silence() -> Self {
        let (sender, gate) = channel();
        // The gate opens when nobody can open it any more: never.
        std::mem::forget(sender);
        Reply {
            head: String::new(),
            steps: vec![Step::Gate(gate)],
            is_drop: false,
        }
    }

    /// What is sent is all there is: without a head of its own.
    pub(crate) fn headless() -> Self {
        Reply {
            head: String::new(),
            steps: Vec::new(),
            is_drop: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.head
            .push_str(&format!("{name}: {}\r\n", value.to_string()));
        self
    }

    /// A body with its length.
    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.header("content-length", body.len()).send(body)
    }

    /// The begin of a body that states another length, and then a closed connection.
    pub(crate) fn cut(self, body: impl Into<Vec<u8>>, stated: usize) -> Self {
        let mut reply = self.header("content-length", stated).send(body);
        reply.steps.push(Step::Close);
        reply
    }

    /// A body that ends with its connection, without a stated length.
    pub(crate) fn until_close(self, body: impl Into<Vec<u8>>) -> Self {
        let mut reply = self.header("connection", "close").send(body);
        reply.steps.push(Step::Close);
        reply
    }

    /// A closed connection behind what was sent.
    pub(crate) fn closed(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// More bytes, as they are.
    pub(crate) fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Send(bytes.into()));
        self
    }

    /// Waits until the sender sends.
    pub(crate) fn gate(mut self) -> (Self, Sender<()>) {
        let (sender, gate) = channel();
        self.steps.push(Step::Gate(gate));
        (self, sender)
    }

    /// Nothing for a while: only where a test is about time.
    pub(crate) fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Nothing more, while the connection stays open; the receiver gets the time at which
    /// the client has closed it.
    pub(crate) fn until_gone(mut self) -> (Self, Receiver<Instant>) {
        let (sender, gone) = channel();
        self.steps.push(Step::Watch(sender));
        (self, gone)
    }

    /// Closes the connection, whatever the head promised.
    pub(crate) fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// These bytes alone, and then a closed connection.
    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Reply {
            head: String::new(),
            steps: vec![Step::Send(bytes.into()), Step::Close],
            is_drop: false,
        }
    }

    /// The same bytes without end; the receiver gets their number once the client is
    /// gone.
    pub(crate) fn repeating(mut self, bytes: Vec<u8>) -> (Self, Receiver<u64>) {
        let (sender, count) = channel();
        self.steps.push(Step::Endless(bytes, sender));
        (self, count)
    }

    /// Zeros without end; the receiver gets their number once the client is gone.
    pub(crate) fn endless(mut self) -> (Self, Receiver<u64>) {
        let (sender, count) = channel();
        self.steps.push(Step::Endless(vec![b'0'; 4096], sender));
        (self, count)
    }
}

/// A server that runs until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, handler) = (Arc::clone(&requests), Arc::new(handler));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                count.fetch_add(1, Relaxed);
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                thread::spawn(move || serve(connection, &*handler, &log));
            }
        });
        Server {
            address,
            requests,
            connections,
        }
    }

    /// Pages of numbers: `page` counts from 1, each has `size` items, and all but
    /// the last have a `Link`.
    pub(crate) fn linked_pages(pages: u64, size: u64) -> Self {
        Server::start(move |request| linked_page(request, pages, size))
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Path and query of all requests so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.target)
            .collect()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// One of [`Server::linked_pages`].
pub(crate) fn linked_page(request: &Request, pages: u64, size: u64) -> Reply {
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
pub(crate) fn numbers(range: impl IntoIterator<Item = u64>) -> String {
    let numbers: Vec<String> = range.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

fn serve(
    connection: TcpStream,
    handler: &(dyn Fn(&Request) -> Reply + Send + Sync),
    log: &Mutex<Vec<Request>>,
) {
    connection.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        log.lock().unwrap().push(request.clone());
        if answer(&connection, handler(&request)).is_none() {
            let _ = connection.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let line = lines.next()?;
    let (method, target) = line.rsplit_once(' ')?.0.split_once(' ')?;
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length").unwrap_or("0");
    request.body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// Plays a reply; none if the connection is to be closed.
fn answer(mut connection: &TcpStream, reply: Reply) -> Option<()> {
    if reply.is_drop {
        return None;
    }
    if !reply.head.is_empty() {
        connection.write_all(reply.head.as_bytes()).ok()?;
        connection.write_all(b"\r\n").ok()?;
    }
    for step in reply.steps {
        match step {
            Step::Send(bytes) => connection.write_all(&bytes).ok()?,
            Step::Gate(gate) => gate.recv().ok()?,
            Step::Endless(bytes, count) => {
                let mut sent = 0;
                while connection.write_all(&bytes).is_ok() {
                    sent += bytes.len() as u64;
                }
                // The test may not wait for the number.
                let _ = count.send(sent);
                return None;
            }
            Step::Pause(time) => thread::sleep(time),
            Step::Watch(gone) => {
                let mut rest = [0; 1024];
                while connection.read(&mut rest).is_ok_and(|length| length > 0) {}
                // The test may not wait for it.
                let _ = gone.send(Instant::now());
                return None;
            }
            Step::Close => return None,
        }
    }
    Some(())
}
