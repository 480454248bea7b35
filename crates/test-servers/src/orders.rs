//! A loopback HTTP/1.1 server of orders that costs little: a thread for each
//! connection, and items copied from templates with their ids filled in.
//!
//! - `/items`: 100 items a page as a JSON array, `rel="next"` in the `Link` header.
//!   The query has `page` (1), `pages` (1,000) and `delay`, milliseconds before each
//!   answer (0).
//! - `/huge`: 486,200 items as one array of 200 MB, chunked, 64 KB a write.
//! - `/gated`: the same, but the first 1 % waits for [`Gate::first_item`].

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http1::{Head, LAST_CHUNK, NOT_FOUND, listen};

/// Items of all pages together.
pub const PAGED_ITEMS: usize = 100_000;
/// Items on the one huge page.
pub const HUGE_ITEMS: usize = 486_200;
/// The id of the first item; ids are consecutive, and all have seven digits.
pub const FIRST_ID: usize = 1_000_000;

/// How many ids of seven digits there are.
const IDS: usize = 9_000_000;

/// Items on each page of `/items`.
pub const ITEMS_A_PAGE: usize = 100;
const WRITE: usize = 64 * 1024;
/// How long a write of `/gated` waits for the client's first item before the
/// next one follows: far longer than a client needs for 64 KB.
const PATIENCE: Duration = Duration::from_millis(200);

/// The server; it runs until the process ends.
pub struct Server {
    address: SocketAddr,
    content: Arc<Content>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> io::Result<Server> {
        let content = Arc::new(Content {
            orders: Orders::default(),
            gate: Gate::default(),
        });
        let shared = Arc::clone(&content);
        let address = listen(move |connection| shared.answer(&connection))?;
        Ok(Server { address, content })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The gate of `/gated`.
    pub fn gate(&self) -> &Gate {
        &self.content.gate
    }

    /// The items.
    pub fn orders(&self) -> &Orders {
        &self.content.orders
    }

    /// The length of the bodies of `/items`, all pages together.
    pub fn paged_bytes(&self) -> usize {
        // One more for each page: two brackets, and a comma less than items.
        self.content.orders.bytes(PAGED_ITEMS) + PAGED_ITEMS + PAGED_ITEMS / ITEMS_A_PAGE
    }

    /// The length of the body of `/huge`.
    pub fn huge_bytes(&self) -> usize {
        self.content.orders.bytes(HUGE_ITEMS) + HUGE_ITEMS + 1
    }
}

/// Counts what `/gated` has sent, and holds its first 1 % back.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    sent: usize,
    sent_at_first_item: Option<usize>,
}

impl Gate {
    /// Forgets the client before.
    pub fn reset(&self) {
        *self.lock() = GateState::default();
    }

    /// Says that the client has printed an item; gives the body bytes sent by then.
    pub fn first_item(&self) -> usize {
        let mut state = self.lock();
        let sent = state.sent;
        state.sent_at_first_item = Some(sent);
        self.changed.notify_all();
        sent
    }

    fn sent(&self, bytes: usize) {
        let mut state = self.lock();
        state.sent += bytes;
        if state.sent <= 2_000_000 {
            let waits = |state: &mut GateState| state.sent_at_first_item.is_none();
            drop(self.changed.wait_timeout_while(state, PATIENCE, waits));
        }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Content {
    orders: Orders,
    gate: Gate,
}

impl Content {
    fn answer(&self, connection: &TcpStream) -> io::Result<()> {
        let address = connection.local_addr()?;
        let mut reader = BufReader::new(connection);
        let mut writer = connection;
        while let Some(head) = Head::read(&mut reader, |_, _| ())? {
            let target = head.target();
            match target.strip_prefix("/items") {
                Some(query) => self.send_page(&Asked::read(query), address, writer)?,
                _ if target == "/huge" => self.send_huge(writer, |_| ())?,
                _ if target == "/gated" => self.send_huge(writer, |sent| self.gate.sent(sent))?,
                _ => writer.write_all(NOT_FOUND)?,
            }
        }
        Ok(())
    }

    fn send_page(
        &self,
        asked: &Asked,
        address: SocketAddr,
        mut writer: &TcpStream,
    ) -> io::Result<()> {
        let &Asked { page, pages, delay } = asked;
        if delay > 0 {
            thread::sleep(Duration::from_millis(delay));
        }
        let first = (page.max(1) - 1) * ITEMS_A_PAGE;
        let mut body = vec![b'['];
        for number in (first..pages * ITEMS_A_PAGE).take(ITEMS_A_PAGE) {
            self.orders.append(number, &mut body);
            body.push(b',');
        }
        if body.len() > 1 {
            body.pop();
        }
        body.push(b']');
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        if page < pages {
            answer += &format!(
                "Link: <http://{address}/items?page={}&pages={pages}&delay={delay}>; rel=\"next\"\r\n",
                page + 1
            );
        }
        let mut answer = (answer + "\r\n").into_bytes();
        answer.append(&mut body);
        writer.write_all(&answer)
    }

    fn send_huge(&self, mut writer: &TcpStream, sent: impl Fn(usize)) -> io::Result<()> {
        writer.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        let mut chunk = vec![b'['];
        for number in 0..HUGE_ITEMS {
            self.orders.append(number, &mut chunk);
            chunk.push(if number + 1 < HUGE_ITEMS { b',' } else { b']' });
            if chunk.len() >= WRITE || number + 1 == HUGE_ITEMS {
                writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                writer.write_all(&chunk)?;
                writer.write_all(b"\r\n")?;
                sent(chunk.len());
                chunk.clear();
            }
        }
        writer.write_all(LAST_CHUNK)
    }
}

/// What a request for a page asks for.
struct Asked {
    page: usize,
    pages: usize,
    delay: u64,
}

impl Asked {
    fn read(query: &str) -> Asked {
        let number = |name: &str| {
            let pairs = query.trim_start_matches('?').split('&');
            let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            values.next()?.parse::<usize>().ok()
        };
        Asked {
            page: number("page").unwrap_or(1),
            pages: number("pages").unwrap_or(PAGED_ITEMS / ITEMS_A_PAGE),
            delay: number("delay").unwrap_or(0) as u64,
        }
    }
}

/// Orders as an API gives them: about 410 bytes each, the same in every run.
pub struct Orders {
    templates: Vec<Template>,
}

struct Template {
    text: Vec<u8>,
    /// Where the seven digits of the id stand.
    ids: Vec<usize>,
}

impl Default for Orders {
    fn default() -> Orders {
        Orders {
            templates: (0..TEMPLATES).map(template).collect(),
        }
    }
}

impl Orders {
    /// Writes the item with this number, counted from 0.
    pub fn append(&self, number: usize, out: &mut Vec<u8>) {
        let Some(template) = self.templates.get(number % TEMPLATES) else {
            return;
        };
        let start = out.len();
        out.extend_from_slice(&template.text);
        // Longer walks begin again, so that the ids keep their length.
        let id = format!("{:07}", FIRST_ID + number % IDS);
        for at in &template.ids {
            out[start + at..][..id.len()].copy_from_slice(id.as_bytes());
        }
    }

    /// The length of the first `count` items.
    fn bytes(&self, count: usize) -> usize {
        (0..count)
            .map(|number| self.templates[number % TEMPLATES].text.len())
            .sum()
    }
}

/// A prime, so that a page does not begin with the same item as the one before.
const TEMPLATES: usize = 97;

fn template(number: usize) -> Template {
    const CUSTOMERS: [&str; 4] = ["Zoë Müller", "王秀英", "O'Brien & Sons", "Łukasz Nowak"];
    const NOTES: [&str; 4] = [
        "null",
        r#""""#,
        r#""Leave at the door.\nRing \"Nowak\" twice.""#,
        r#""gift {1} [of 2]""#,
    ];
    const STATES: [&str; 3] = ["open", "shipped", "returned"];
    let lines: Vec<String> = (0..1 + number % 3)
        .map(|line| {
            let (sku, quantity, price) = (number * 31 + line, line + 1, number * 7 + line);
            format!(r#"{{"sku":"A{sku:06}","quantity":{quantity},"price":{price}.95}}"#)
        })
        .collect();
    let text = format!(
        concat!(
            r#"{{"id":0000000,"reference":"SO-0000000","url":"https://shop.example/orders/0000000","#,
            r#""placed":"2026-01-{day:02}T{hour:02}:30:00Z","status":"{status}","currency":"EUR","channel":"web","#,
            r#""customer":{{"name":"{customer}","email":"c{number}@mail.example","country":"DE","newsletter":{paid}}},"#,
            r#""total":{number}.5,"paid":{paid},"lines":[{lines}],"note":{note}}}"#,
        ),
        day = number % 28 + 1,
        hour = number % 24,
        number = number,
        status = STATES[number % STATES.len()],
        customer = CUSTOMERS[number % CUSTOMERS.len()],
        paid = !number.is_multiple_of(5),
        lines = lines.join(","),
        note = NOTES[number / 2 % NOTES.len()],
    );
    let ids = text.match_indices("0000000").map(|(at, _)| at).collect();
    Template {
        text: text.into_bytes(),
        ids,
    }
}
