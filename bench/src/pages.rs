//! `bench pages`: what the items of an API cost, against the loops that people
//! write today.
//!
//! Every figure is the median of whole processes, start-up included, with their
//! output in a file that is checked: each line is JSON, and the ids are complete
//! and in order. The server runs in this process, on another core.

mod client;
mod floor;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use client::{Client, HYPER, Programs, UNSPOOL, UNSPOOL_IN_FLIGHT, measure_all};
use test_servers::orders::{HUGE_ITEMS, ITEMS_A_PAGE, PAGED_ITEMS, Server};

use crate::figures::{megabytes, print_target, ratio};
use crate::process::{self, Cost};

/// Peak memory on the huge page, in bytes.
const PEAK_TARGET: u64 = 15_000_000;

const HTTPX: &str = "httpx, json.dumps";
const IJSON: &str = "httpx, ijson, json.dumps";
/// Less work than ours: no item is written.
const IJSON_COUNT: &str = "httpx, ijson, count only";

/// Prints the figures of a group, or of all; `floor URL` and `hyper URL` are the
/// clients that give the floors of them.
///
/// # Errors
/// A client fails or gives a wrong answer, or the server cannot be started.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    match arguments {
        [] => {
            let (server, programs) = (Server::start()?, Programs::find()?);
            compare_paged(&server, &programs)?;
            compare_latency(&server, &programs)?;
            compare_huge(&server, &programs)?;
            compare_length(&server, &programs)
        }
        [command, url] if command == "floor" => floor::run(url),
        [command, url] if command == "hyper" => floor::run_hyper(url),
        [word] => {
            let (server, programs) = (Server::start()?, Programs::find()?);
            match word.as_str() {
                "paged" => compare_paged(&server, &programs),
                "latency" => compare_latency(&server, &programs),
                "huge" => compare_huge(&server, &programs),
                "length" => compare_length(&server, &programs),
                _ => Err(format!(
                    "no group `{word}`; there are `paged`, `latency`, `huge` and `length`"
                )
                .into()),
            }
        }
        _ => Err("`bench pages` takes one group or none".into()),
    }
}

fn compare_paged(server: &Server, programs: &Programs) -> Result<(), Box<dyn Error>> {
    let bytes = server.paged_bytes();
    println!(
        "## {PAGED_ITEMS} items over 1,000 pages, {} MB\n",
        bytes / 1_000_000
    );
    let mut clients = vec![
        programs.unspool(),
        programs.unspool_in_flight("page:page,last=1000"),
        programs.python(HTTPX, "httpx_pages.py"),
        programs.python("aiohttp, json.dumps", "aiohttp_pages.py"),
        programs.curl_jq().runs(1),
        programs.floor().prints(bytes),
        programs.hyper().prints(bytes),
    ];
    measure_all(&mut clients, server, "/items", PAGED_ITEMS)?;
    print_costs(&clients, HTTPX);
    print_cpu_target(&clients, HTTPX);
    let wall = |name| median(&clients, name).map(|cost| cost.wall);
    if let (Some(own), Some(flight), Some(hyper)) =
        (wall(UNSPOOL), wall(UNSPOOL_IN_FLIGHT), wall(HYPER))
    {
        let text = format!("wall within 2x of `{HYPER}`: {}", ratio(own, Some(hyper)));
        print_target(&text, own <= hyper * 2);
        let text = format!(
            "wall with 8 in flight below `{HYPER}`: {}",
            ratio(flight, Some(hyper))
        );
        print_target(&text, flight < hyper);
    }
    Ok(())
}

/// 200 pages that take 50 ms each to be answered.
fn compare_latency(server: &Server, programs: &Programs) -> Result<(), Box<dyn Error>> {
    println!("\n## 200 pages, 50 ms before each answer\n");
    let mut clients = vec![
        programs.unspool().runs(3),
        programs.unspool_in_flight("page:page,last=200").runs(3),
        programs.python(HTTPX, "httpx_pages.py").runs(1),
    ];
    let path = "/items?pages=200&delay=50";
    measure_all(&mut clients, server, path, 200 * ITEMS_A_PAGE)?;
    print_costs(&clients, UNSPOOL);
    if let (Some(one), Some(eight)) = (
        median(&clients, UNSPOOL),
        median(&clients, UNSPOOL_IN_FLIGHT),
    ) {
        let times = one.wall.as_secs_f64() / eight.wall.as_secs_f64();
        let text = format!("8 in flight at least 7 times faster: {times:.1}");
        print_target(&text, times >= 7.0);
    }
    Ok(())
}

/// How memory grows with the length of a walk: it must not.
fn compare_length(server: &Server, programs: &Programs) -> Result<(), Box<dyn Error>> {
    println!("\n## Peak memory over the length of a walk\n");
    println!("| items | peak MB | peak MB, 8 in flight |");
    println!("|---|---|---|");
    let mut peaks = Vec::new();
    for (pages, last) in [
        (100, "page:page,last=100"),
        (100_000, "page:page,last=100000"),
    ] {
        let url = server.url(&format!("/items?pages={pages}"));
        let mut row = Vec::new();
        for client in [programs.unspool(), programs.unspool_in_flight(last)] {
            let mut command = client.command(&url).ok_or("no `unspool`")?;
            row.push(process::measure(&mut command, Path::new("/dev/null"))?.peak);
        }
        println!(
            "| {} | {:.1} | {:.1} |",
            pages * ITEMS_A_PAGE,
            megabytes(row[0]),
            megabytes(row[1])
        );
        peaks.push(row);
    }
    println!();
    for (index, name) in [UNSPOOL, UNSPOOL_IN_FLIGHT].into_iter().enumerate() {
        let (short, long) = (peaks[0][index], peaks[1][index]);
        let text = format!(
            "`{name}`, 10 million items within 2 MB of 10 thousand: {:+.1} MB",
            megabytes(long) - megabytes(short)
        );
        print_target(&text, long <= short + 2_000_000);
    }
    Ok(())
}

fn compare_huge(server: &Server, programs: &Programs) -> Result<(), Box<dyn Error>> {
    let bytes = server.huge_bytes();
    println!(
        "\n## One page of {HUGE_ITEMS} items, {} MB\n",
        bytes / 1_000_000
    );
    let mut clients = vec![
        programs.unspool(),
        programs.python(IJSON, "httpx_ijson.py").runs(3),
        programs.ijson_count().runs(3).prints(HUGE_ITEMS),
        programs.python(HTTPX, "httpx_pages.py").runs(1),
        programs.curl_jq().runs(1),
        programs.floor().prints(bytes),
    ];
    measure_all(&mut clients, server, "/huge", HUGE_ITEMS)?;
    print_costs(&clients, IJSON);
    print_cpu_target(&clients, IJSON);
    print_cpu_target(&clients, IJSON_COUNT);
    print_peak_target(&clients);
    print_first_items(&clients, server)
}

fn print_costs(clients: &[Client], reference: &str) {
    println!("| client | runs | CPU s | wall s | peak MB | CPU to `{reference}` | wall |");
    println!("|---|---|---|---|---|---|---|");
    let reference = median(clients, reference);
    for client in clients {
        match (&client.program, Cost::median(&client.costs)) {
            (_, Some(Cost { cpu, wall, peak })) => println!(
                "| {} | {} | {:.3} | {:.2} | {:.1} | {} | {} |",
                client.name,
                client.runs,
                cpu.as_secs_f64(),
                wall.as_secs_f64(),
                megabytes(peak),
                ratio(cpu, reference.map(|reference| reference.cpu)),
                ratio(wall, reference.map(|reference| reference.wall)),
            ),
            (Err(reason), None) => println!("| {} | skipped: {reason} | | | | | |", client.name),
            (Ok(_), None) => {}
        }
    }
    println!();
}

/// At most an eighth of the CPU time of what people use today.
fn print_cpu_target(clients: &[Client], reference: &str) {
    if let (Some(own), Some(other)) = (median(clients, UNSPOOL), median(clients, reference)) {
        let text = format!(
            "CPU at most 1/8 of `{reference}`: {}",
            ratio(own.cpu, Some(other.cpu))
        );
        print_target(&text, own.cpu * 8 <= other.cpu);
    }
}

fn print_peak_target(clients: &[Client]) {
    if let Some(own) = median(clients, UNSPOOL) {
        let text = format!(
            "peak below {} MB: {:.1} MB",
            megabytes(PEAK_TARGET),
            megabytes(own.peak)
        );
        print_target(&text, own.peak < PEAK_TARGET);
    }
}

/// How much of the huge page each client needs before its first item is on
/// its standard output. The server waits for it, write by write, up to 1 %.
fn print_first_items(clients: &[Client], server: &Server) -> Result<(), Box<dyn Error>> {
    let body = server.huge_bytes();
    println!("\n| client | KB of the body sent when its first item came out | % |");
    println!("|---|---|---|");
    let mut own = None;
    for client in clients.iter().filter(|client| client.prints.is_none()) {
        let Some(mut command) = client.command(&server.url("/gated")) else {
            continue;
        };
        server.gate().reset();
        // Half-way through, a client may well complain that nobody listens any more.
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or("a child without its output")?;
        let read = BufReader::new(output).read_until(b'\n', &mut Vec::new())?;
        let sent = server.gate().first_item();
        child.wait()?;
        if read == 0 {
            return Err(format!("{}: no item at all", client.name).into());
        }
        println!(
            "| {} | {} | {:.2} |",
            client.name,
            sent / 1000,
            sent as f64 * 100.0 / body as f64
        );
        if client.name == UNSPOOL {
            own = Some(sent);
        }
    }
    if let Some(own) = own {
        println!();
        print_target("first item before 1 % of the body", own * 100 < body);
    }
    Ok(())
}

fn median(clients: &[Client], name: &str) -> Option<Cost> {
    let client = clients.iter().find(|client| client.name == name)?;
    Cost::median(&client.costs)
}
