//! The table of limits in `docs/security.md`, compared with the code.

use std::fs;
use std::path::Path;

/// The value of a constant, from its source: numbers, `<<`, `*`, and durations in seconds.
fn value(source: &str) -> u64 {
    if let Some(seconds) = source.strip_prefix("Duration::from_secs(") {
        return value(seconds.strip_suffix(')').unwrap());
    }
    if let Some((number, shift)) = source.split_once("<<") {
        return value(number.trim()) << value(shift.trim());
    }
    let factors = source
        .split('*')
        .map(|factor| factor.trim().replace('_', ""));
    factors
        .map(|factor| factor.parse::<u64>().unwrap())
        .product()
}

/// What a limit in the table means: bytes, seconds or a number.
fn stated(cell: &str) -> u64 {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let factor = match unit {
        "" | "s" | "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        other => panic!("an unknown unit: {other}"),
    };
    factor * number.replace(',', "").parse::<u64>().unwrap()
}

#[test]
fn the_table_of_limits_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(".rs`: `"));
    let mut checked = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        let [what, limit, _, place] = cells[..] else {
            panic!("not four cells: {row}");
        };
        let (file, name) = place.trim_matches('`').split_once("`: `").unwrap();
        let code = fs::read_to_string(root.join("crates").join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let begin = format!("const {name}: ");
        let line = code.lines().find(|line| line.contains(&begin));
        let line = line.unwrap_or_else(|| panic!("{what}: there is no `{name}` in {file}"));
        let (_, source) = line.split_once(" = ").unwrap();
        let found = value(source.trim_end_matches(';'));
        assert_eq!(stated(limit), found, "{what}: `{name}` in {file}");
        checked += 1;
    }
    assert!(checked > 30, "{checked} rows");
}
