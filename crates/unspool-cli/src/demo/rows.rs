//! A database in a file, for `unspool rows`.

use std::io;
use std::path::Path;

use clap::Parser;
use rusqlite::Connection;

use super::{expect, say};
use crate::exit::Exit;
use crate::output::Output;
use crate::report;
use crate::rows;

/// How many orders there are.
const ORDERS: u32 = 100_000;

/// Makes the file, and shows queries of it.
pub(super) async fn show(file: &Path) -> io::Result<()> {
    fill(file).map_err(io::Error::other)?;
    let path = file.to_string_lossy();
    say(&format!(
        "\nA database in a file, with {ORDERS} orders. A query is as lazy as the rest:"
    ));
    let sql = "select id, amount from orders where amount > ?";
    let args = [&path, sql, "--param", "990", "--take", "3"];
    expect(&command(&args).await, Exit::Complete)?;

    say("\nWith a key it resumes after any row, and holds no snapshot between its statements:");
    let sql = "select customer, count(*) as orders from orders group by customer";
    let args = [&path, sql, "--key", "customer", "--explain"];
    expect(&command(&args).await, Exit::Complete)?;

    say("\nWhat is wrong with a statement is shown where it is:");
    let exit = command(&[&path, "select id, amuont from orders"]).await;
    say(&format!("\n$ echo $?\n{}", exit as u8));
    expect(&exit, Exit::WrongRequest)
}

/// Makes the database.
pub(super) fn fill(file: &Path) -> rusqlite::Result<()> {
    let sql = format!(
        "create table orders (id integer primary key, customer text, amount real);
         with recursive ids (id) as (select 1 union all select id + 1 from ids where id < {ORDERS})
         insert into orders select id, 'customer ' || (id % 5), id * 37 % 100000 / 100.0 from ids;"
    );
    Connection::open(file)?.execute_batch(&sql)
}

/// Prints a command and runs it, through the code that `unspool` itself runs.
async fn command(args: &[&str]) -> Exit {
    let words: Vec<String> = args.iter().map(|word| report::quoted(word)).collect();
    say(&format!("\n$ unspool rows {}", words.join(" ")));
    match rows::Args::try_parse_from([&["rows"], args].concat()) {
        Ok(args) => rows::run(args, &mut Output::stdout()).await,
        Err(error) => {
            report::problem(&error.to_string());
            Exit::WrongRequest
        }
    }
}
