//! What `--schema FILE` says: a JSON Schema, or lines of `name type`.

use serde_json::Value;

use super::Schema;
use super::types::{Field, Type};
use crate::Error;

/// How deep a JSON Schema is followed; one that refers to itself has no end.
const MOST_LEVELS: usize = 16;

pub(super) fn parse(text: &str) -> Result<Schema, Error> {
    if text.trim_start().starts_with('{') {
        return json_schema(text);
    }
    let mut fields: Vec<Field> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let start = format!("line {} of the schema:", index + 1);
        let field: Field = line
            .parse()
            .map_err(|error: Error| error.with_start(&start))?;
        if fields.iter().any(|known| known.name == field.name) {
            let message = format!("{start} `{}` is there twice", field.name);
            return Err(Error::request(message));
        }
        fields.push(field);
    }
    Ok(Schema { fields })
}

fn json_schema(text: &str) -> Result<Schema, Error> {
    let root: Value = serde_json::from_str(text)
        .map_err(|error| Error::request(format!("the schema is not JSON: {error}")))?;
    let reader = Reader { root: &root };
    let mut kind = reader.kind(&root, MOST_LEVELS);
    // The schema of a page describes its items, too.
    if let Type::List(of) = kind {
        kind = *of;
    }
    match kind {
        Type::Struct(fields) => Ok(Schema { fields }),
        other => Err(Error::request(format!(
            "expected a JSON Schema of an object with `properties`; found one of {other}"
        ))),
    }
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn kind(&self, schema: &Value, levels: usize) -> Type {
        if levels == 0 {
            return Type::Json;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let target = target
                .strip_prefix('#')
                .and_then(|path| self.root.pointer(path));
            return target.map_or(Type::Json, |target| self.kind(target, levels - 1));
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                return self.choice(choices, levels - 1);
            }
        }
        match type_names(schema)[..] {
            ["boolean"] => Type::Bool,
            ["integer"] => Type::Int,
            ["number"] | ["integer", "number"] | ["number", "integer"] => Type::Double,
            ["string"] => text(schema),
            ["null"] => Type::Null,
            ["array"] => Type::List(Box::new(self.kind(&schema["items"], levels - 1))),
            ["object"] => self.object(schema, levels - 1),
            _ => Type::Json,
        }
    }

    /// A choice between `null` and something else is that.
    fn choice(&self, choices: &[Value], levels: usize) -> Type {
        let mut others = choices.iter().filter(|choice| choice["type"] != "null");
        match (others.next(), others.next()) {
            (Some(only), None) => self.kind(only, levels),
            _ => Type::Json,
        }
    }

    fn object(&self, schema: &Value, levels: usize) -> Type {
        match schema["properties"].as_object() {
            Some(properties) if !properties.is_empty() => {
                let field = |(name, schema): (&String, &Value)| Field {
                    name: name.clone(),
                    kind: self.kind(schema, levels),
                };
                Type::Struct(properties.iter().map(field).collect())
            }
            _ => Type::Json,
        }
    }
}

/// The types that a schema allows, but for `null` beside others.
fn type_names(schema: &Value) -> Vec<&str> {
    let names = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema["properties"].is_object() => vec!["object"],
        _ => Vec::new(),
    };
    if names.len() > 1 {
        return names.into_iter().filter(|name| *name != "null").collect();
    }
    names
}

fn text(schema: &Value) -> Type {
    match schema["format"].as_str() {
        Some("date-time") => Type::Timestamp,
        Some("date") => Type::Date,
        _ => Type::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_pin_columns() {
        let text = "# what it holds\nid int\n\n  \"zip code\" text\ntags text[]\n";
        let schema = parse(text).unwrap();
        assert_eq!(
            schema.to_string(),
            "id int\n\"zip code\" text\ntags text[]\n"
        );
    }

    #[test]
    fn a_json_schema_pins_columns() {
        let text = r##"{"type": "object", "properties": {
            "id": {"type": "integer"}, "price": {"type": ["number", "null"]},
            "at": {"type": "string", "format": "date-time"}, "tags": {"type": "array", "items": {"type": "string"}},
            "owner": {"anyOf": [{"$ref": "#/$defs/owner"}, {"type": "null"}]},
            "any": {}, "odd": {"type": ["string", "integer"]}, "map": {"type": "object"}},
            "$defs": {"owner": {"properties": {"name": {"type": "string"}, "parent": {"$ref": "#/$defs/nothing"}}}}}"##;
        let mut schema = parse(text).unwrap();
        schema.fields.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(
            schema.to_string(),
            "any json\nat timestamp\nid int\nmap json\nodd json\n\
             owner struct(name text, parent json)\nprice double\ntags text[]\n"
        );
        let items = r#"{"type": "array", "items": {"properties": {"a": {"type": "boolean"}}}}"#;
        assert_eq!(parse(items).unwrap().to_string(), "a bool\n");
    }

    #[test]
    fn a_schema_that_refers_to_itself_has_an_end() {
        let text = r##"{"properties": {"child": {"$ref": "#"}}}"##;
        assert!(parse(text).unwrap().to_string().contains("json"));
    }

    #[test]
    fn a_schema_that_cannot_be_read_says_where() {
        for (text, words) in [
            (
                "id int\nid text",
                "line 2 of the schema: `id` is there twice",
            ),
            (
                "id int\n\nname strin",
                "line 3 of the schema: expected a type",
            ),
            (
                "{\"type\": \"string\"}",
                "with `properties`; found one of text",
            ),
            ("{nonsense", "the schema is not JSON"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.is_request());
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
