//! Queries of a server that speaks as much of PostgreSQL's protocol as that needs, byte by
//! byte: a column of text, as a copy and by key.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::subject::{Gone, How, Opened, SECRET, Serve, Subject, Upstream, boxed, item};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Query { has_key: false }, &Query { has_key: true }];

struct Query {
    has_key: bool,
}

impl Subject for Query {
    fn title(&self) -> String {
        format!("rows, with a key: {}", self.has_key)
    }

    fn source(&self) -> &'static str {
        "rows"
    }

    fn resumes(&self) -> bool {
        self.has_key
    }

    /// All rows are of one statement.
    fn requests(&self, _: usize) -> usize {
        1
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        match serve {
            // A server that is busy says so without a status.
            Serve::Busy => return None,
            Serve::Doubtful(_) if !self.has_key => return None,
            _ => {}
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let (held, gone) = channel();
        let seen = Arc::clone(&statements);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, held) = (Arc::clone(&seen), held.clone());
                std::thread::spawn(move || {
                    let mut session = Session {
                        stream,
                        serve,
                        seen,
                        held,
                    };
                    // A client that goes away is what some tests are about.
                    let _ = session.run();
                });
            }
        });
        let has_key = self.has_key;
        let open = move |how: How| {
            let dsn = format!("postgres://u:{SECRET}@{address}/d?sslmode=disable");
            open(dsn, has_key, how)
        };
        let requests = move || statements.lock().unwrap().clone();
        Some(Upstream::other(open, requests, gone))
    }
}

fn open(dsn: String, has_key: bool, how: How) -> Opened {
    let request = unspool::rows(dsn, "select item from items").retries(how.retries);
    let request = if has_key {
        request.key("item")
    } else {
        request
    };
    let request = match how.from.clone() {
        Some(position) => request.from(position),
        None => request,
    };
    boxed(request.values::<String>(), &how)
}

/// A connection, from the server's side.
struct Session {
    stream: TcpStream,
    serve: Serve,
    seen: Arc<Mutex<Vec<String>>>,
    held: Sender<Gone>,
}

impl Session {
    fn run(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.stream.read_exact(&mut startup)?;
        if startup.len() == 12 {
            // A request to cancel: the connection of the query is closed next.
            return Ok(());
        }
        self.send(b'R', &3u32.to_be_bytes())?;
        let (_, password) = self.message()?;
        let password = text(&password).to_owned();
        self.send(b'R', &0u32.to_be_bytes())?;
        self.send(b'K', &[0; 8])?;
        self.ready()?;
        let mut sql = String::new();
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'Q' => {
                    self.send(b'C', b"SET\0")?;
                    self.ready()?;
                }
                b'P' => {
                    let name = text(&body).len() + 1;
                    sql = text(&body[name..]).to_owned();
                    self.send(b'1', &[])?;
                }
                b'D' => self.describe(&sql)?,
                b'B' => {
                    if !sql.contains("is null") {
                        self.seen.lock().unwrap().push(format!("{password} {sql}"));
                    }
                    self.send(b'2', &[])?;
                    if self.answer(&sql, &last_item(&body))?.is_none() {
                        return Ok(());
                    }
                }
                b'C' => self.send(b'3', &[])?,
                b'S' => self.ready()?,
                b'X' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Parameters and columns, all of them texts.
    fn describe(&mut self, sql: &str) -> io::Result<()> {
        let params = sql.contains("$1") as u16;
        let oids = vec![25u32; params.into()];
        let oids = oids.into_iter().flat_map(u32::to_be_bytes);
        self.send(
            b't',
            &[params.to_be_bytes().to_vec(), oids.collect()].concat(),
        )?;
        if sql.starts_with("copy") {
            return self.send(b'n', &[]);
        }
        let mut column = [1u16.to_be_bytes().as_slice(), b"item\0"].concat();
        column.extend([0; 6]);
        column.extend(25u32.to_be_bytes());
        column.extend((-1i16).to_be_bytes());
        column.extend((-1i32).to_be_bytes());
        column.extend(1u16.to_be_bytes());
        self.send(b'T', &column)
    }

    /// The rows after an item, and how it ends; none where the connection does.
    fn answer(&mut self, sql: &str, last: &str) -> io::Result<Option<()>> {
        let is_copy = sql.starts_with("copy");
        if sql.contains("is null") {
            if matches!(self.serve, Serve::Doubtful(_)) {
                self.row(false, "")?;
            }
            return self.send(b'C', b"SELECT 0\0").map(Some);
        }
        // Whether another row has the key after which the rows go on: none has.
        if sql.contains("offset 1") {
            return self.send(b'C', b"SELECT 0\0").map(Some);
        }
        if is_copy {
            self.send(b'H', &[1, 0, 1, 0, 1])?;
            self.send(b'd', b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0")?;
        }
        for number in 0..self.serve.items() {
            if item(number).as_str() > last {
                self.row(is_copy, &item(number))?;
            }
        }
        match self.serve {
            Serve::Cut(_) => {
                // What was not read when a connection is closed takes with it what was sent.
                self.stream.shutdown(Shutdown::Write)?;
                io::copy(&mut self.stream, &mut io::sink())?;
                return Ok(None);
            }
            Serve::Failing(_) => {
                self.send(b'E', b"SERROR\0VERROR\0CXX000\0Mno\0\0")?;
                return Ok(Some(()));
            }
            Serve::Slow(_) => {
                let (sender, gone) = channel();
                // The test may not wait for it.
                let _ = self.held.send(gone);
                // Whatever else it says: the end is the end of the connection.
                let _ = io::copy(&mut self.stream, &mut io::sink());
                let _ = sender.send(Instant::now());
                return Ok(None);
            }
            _ => {}
        }
        if is_copy {
            self.send(b'd', &(-1i16).to_be_bytes())?;
            self.send(b'c', &[])?;
        }
        self.send(b'C', b"SELECT 0\0").map(Some)
    }

    fn row(&mut self, is_copy: bool, value: &str) -> io::Result<()> {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        let row = [&1u16.to_be_bytes(), &length[..], value.as_bytes()].concat();
        self.send(if is_copy { b'd' } else { b'D' }, &row)
    }

    fn ready(&mut self) -> io::Result<()> {
        self.send(b'Z', b"I")
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.stream
            .write_all(&[&[kind], &length[..], body].concat())
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// The text up to its end mark.
fn text(bytes: &[u8]) -> &str {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap()
}

/// The item among the parameters, if there is one: it comes as text.
fn last_item(bind: &[u8]) -> String {
    let begin = bind.windows(5).position(|window| window == b"item ");
    begin.map_or(String::new(), |begin| {
        let end = bind[begin + 5..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        text(&bind[begin..begin + 5 + end]).to_owned()
    })
}
