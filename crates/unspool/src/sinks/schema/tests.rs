//! The table of `docs/schema.md`, row by row, and what it does not say.

use super::*;

/// The rows of a table of the page: its cells without back-ticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../../../../docs/schema.md");
    let after = page.split_once(heading).unwrap().1;
    (after
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .skip(2))
    .take_while(|line| line.starts_with('|'))
    .map(|line| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    })
    .collect()
}

#[test]
fn every_row_of_the_page_is_what_is_inferred() {
    let rows = rows("## What comes of what");
    assert!(rows.len() >= 20);
    for row in rows {
        let items: Vec<String> = (row[0].split(" · "))
            .map(|value| format!("{{\"a\":{value}}}"))
            .collect();
        let schema = Schema::of(items.iter().map(String::as_str)).unwrap();
        assert_eq!(schema.to_string(), format!("a {}\n", row[1]), "{}", row[0]);
    }
}

#[test]
fn the_order_of_values_does_not_matter() {
    for row in rows("## What comes of what") {
        let mut items: Vec<String> = (row[0].split(" · "))
            .map(|value| format!("{{\"a\":{value}}}"))
            .collect();
        items.reverse();
        let schema = Schema::of(items.iter().map(String::as_str)).unwrap();
        // Keys of structs stand in the order of their appearance.
        if !row[1].contains("struct") {
            assert_eq!(schema.to_string(), format!("a {}\n", row[1]), "{}", row[0]);
        }
    }
}

/// What was inferred holds each value of the sample.
#[test]
fn a_type_holds_what_it_was_inferred_from() {
    for row in rows("## What comes of what") {
        let kind: Type = row[1].parse().unwrap();
        for value in row[0].split(" · ") {
            assert!(kind.holds(Value::of(value)), "{value} in {kind}");
        }
    }
}

#[test]
fn keys_are_never_dropped() {
    let items = [
        r#"{"Id":1,"id":2,"ID":3}"#,
        r#"{"":4,"a.b":"x","\u0061":5}"#,
    ];
    let schema = Schema::of(items).unwrap();
    assert_eq!(
        schema.to_string(),
        "Id int\nid int\nID int\n\"\" int\na.b text\na int\n"
    );
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
    let schema = Schema::of([format!("{{{}}}", many.join(",")).as_str()]).unwrap();
    assert_eq!(schema.fields.len(), 1000);
}

#[test]
fn nested_objects_of_too_many_keys_are_json() {
    let many: Vec<String> = (0..257).map(|n| format!("\"k{n}\":{n}")).collect();
    let item = format!("{{\"a\":{{{}}}}}", many.join(","));
    assert_eq!(Schema::of([item.as_str()]).unwrap().to_string(), "a json\n");
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let error = Schema::of([r#"{"a":1}"#, r#"{"a":1,"a":2}"#]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("item 2 has the key `a` twice"),
        "{message}"
    );
}

#[test]
fn items_that_are_no_objects_have_one_column() {
    assert_eq!(
        Schema::of(["1", "null", "2.5"]).unwrap().to_string(),
        "value double\n"
    );
    assert_eq!(
        Schema::of(["[1]", "[2]"]).unwrap().to_string(),
        "value int[]\n"
    );
    let error = Schema::of([r#"{"a":1}"#, "1"]).unwrap_err().to_string();
    assert!(error.contains("item 2 is not an object"), "{error}");
}

#[test]
fn a_late_value_widens_where_nothing_changes() {
    for (kind, value, expected) in [
        ("null", "1", "int"),
        ("int", "2.5", "decimal(38,1)"),
        ("double", "9007199254740993", "number"),
        ("decimal(38,2)", "1.234", "decimal(38,3)"),
        ("int", r#""x""#, "json"),
        ("int[]", "[null]", "int[]"),
        ("null[]", "[1]", "int[]"),
        ("struct(a int)", r#"{"b":true}"#, "struct(a int, b bool)"),
    ] {
        let field = Field {
            name: "a".to_owned(),
            kind: kind.parse().unwrap(),
        };
        let columns = Columns::known(&[field]);
        let widened = columns.list()[0].widened(Value::of(value));
        assert_eq!(widened.to_string(), expected, "{kind} and {value}");
    }
}

#[test]
fn a_pinned_column_takes_what_its_type_can_say() {
    let mut columns = Columns::pinned(&"zip text\nn int\nb bool".parse::<Schema>().unwrap().fields);
    let mut row = Row::default();
    let mut seen = |item: &str| {
        columns.split(item, &mut row).unwrap();
        let values: Vec<String> = (0..3)
            .map(|at| row.value(at, item).json(&mut String::new()).to_owned())
            .collect();
        values.join(" ")
    };
    assert_eq!(
        seen(r#"{"zip":1234,"n":"17","b":"false"}"#),
        r#""1234" 17 false"#
    );
    assert_eq!(
        seen(r#"{"zip":true,"n":"17x","b":null}"#),
        r#""true" "17x" null"#
    );
}

#[test]
fn a_sample_gives_its_items_back() {
    let mut sample = Sample::new(&"b text".parse().unwrap());
    for item in [r#"{"a":1,"b":2}"#, r#"{"c":[]}"#] {
        sample.push(item).unwrap();
    }
    assert_eq!(sample.columns().fields().len(), 3);
    let items: Vec<&str> = sample.items().collect();
    assert_eq!(items, [r#"{"a":1,"b":2}"#, r#"{"c":[]}"#]);
}
