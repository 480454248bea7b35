//! Prints a table in Markdown, aligned, row by row as they are measured.

use super::case::Case;

const FIRST: usize = 22;
const OTHERS: usize = 7;

pub(crate) fn head(title: &str, cases: &[Case]) {
    println!("\n{title}\n");
    line("", cases.iter().map(|case| case.name().into()));
    let rules = cases.iter().map(|_| "-".repeat(OTHERS - 1) + ":");
    line(&"-".repeat(FIRST), rules);
}

pub(crate) fn row(name: &str, cells: &[Option<f64>], decimals: usize) {
    line(
        name,
        cells.iter().map(|cell| match cell {
            Some(number) => format!("{number:.decimals$}"),
            None => "-".into(),
        }),
    );
}

fn line(first: &str, others: impl Iterator<Item = String>) {
    let others: String = others.map(|cell| format!(" {cell:>OTHERS$} |")).collect();
    println!("| {first:<FIRST$} |{others}");
}
