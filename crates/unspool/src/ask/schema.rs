//! Whether the text of an answer is JSON that matches a JSON schema.

use std::error::Error as StdError;

use boon::{Compiler, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use crate::error::Error;

/// Where the schema stands for itself.
const PLACE: &str = "https://unspool.invalid/schema";

/// The longest text that is kept to be checked, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// A schema, and the text that has to match it.
pub(super) struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
    /// None once it is too long.
    text: Option<String>,
}

/// A schema is one document: what it refers to elsewhere is not fetched.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, url: &str) -> Result<Value, Box<dyn StdError>> {
        Err(format!("`{url}` is not a part of the schema").into())
    }
}

impl Schema {
    /// # Errors
    ///
    /// The document is not a JSON schema.
    pub(super) fn new(document: &Value) -> Result<Self, Error> {
        let wrong = |error: boon::CompileError| {
            let words = error.to_string();
            let words = words.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            Error::request(format!(
                "the schema is invalid: {}",
                words.replace(PLACE, "")
            ))
        };
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        compiler
            .add_resource(PLACE, document.clone())
            .map_err(wrong)?;
        let index = compiler.compile(PLACE, &mut schemas).map_err(wrong)?;
        Ok(Schema {
            schemas,
            index,
            text: Some(String::new()),
        })
    }

    /// Another text begins.
    pub(super) fn start_over(&mut self) {
        self.text = Some(String::new());
    }

    pub(super) fn add(&mut self, piece: &str) {
        match &mut self.text {
            Some(text) if text.len() + piece.len() <= MAX_TEXT => text.push_str(piece),
            text => *text = None,
        }
    }

    /// What is wrong with the text, if it does not match.
    pub(super) fn mismatch(&self) -> Option<String> {
        let Some(text) = &self.text else {
            return Some(format!(
                "it is over {MAX_TEXT} bytes long, too long to be checked"
            ));
        };
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return Some(format!("the text is not JSON: {error}")),
        };
        let checked = self.schemas.validate(&value, self.index);
        checked.err().map(|error| first_cause(&error))
    }
}

/// The first thing that is wrong, and where.
fn first_cause(error: &ValidationError<'_, '_>) -> String {
    let mut error = error;
    while let Some(cause) = error.causes.first() {
        error = cause;
    }
    let place = error.instance_location.to_string();
    match place.as_str() {
        "" => error.kind.to_string(),
        place => format!("at `{place}`: {}", error.kind),
    }
}

/// Whether a schema is one of the strict ones, of which some providers promise that answers
/// match: all objects state all of their members, and allow no others.
pub(super) fn is_strict(schema: &Value) -> bool {
    let fields = match schema {
        Value::Array(all) => return all.iter().all(is_strict),
        Value::Object(fields) => fields,
        _ => return true,
    };
    let properties = fields.get("properties").and_then(Value::as_object);
    let required = fields.get("required").and_then(Value::as_array);
    let is_required =
        |name: &String| required.is_some_and(|names| names.iter().any(|required| required == name));
    let is_object = fields.get("type").is_some_and(|kind| kind == "object") || properties.is_some();
    let is_closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
    let is_whole = properties.is_none_or(|all| all.keys().all(is_required));
    (!is_object || is_closed && is_whole) && fields.values().all(is_strict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rivers() -> Value {
        json!({"type": "object", "additionalProperties": false, "required": ["items"],
            "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/river"}}},
            "$defs": {"river": {"type": "object", "additionalProperties": false, "required": ["km"],
                "properties": {"km": {"type": "number", "minimum": 0}}}}})
    }

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let mut schema = Schema::new(&rivers()).unwrap();
        text.split_inclusive(',')
            .for_each(|piece| schema.add(piece));
        let found = schema.mismatch();
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(words)) if found.contains(words) => {}
            _ => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn a_text_matches_or_the_first_difference_is_said() {
        check("{\"items\": []}", None);
        check("\n {\"items\": [{\"km\": 1}, {\"km\": 2.5}]}\n", None);
        check(
            "{\"items\": [{\"km\": 1}, {\"km\": \"2\"}]}",
            Some("at `/items/1/km`"),
        );
        check("{\"items\": [{\"km\": -1}]}", Some("at `/items/0/km`"));
        check("{}", Some("items"));
        check("Here it is: {\"items\": []}", Some("not JSON"));
        check("```json\n{\"items\": []}\n```", Some("not JSON"));
        check("{\"items\": [", Some("not JSON"));
        check("", Some("not JSON"));
    }

    #[test]
    fn a_schema_that_is_invalid_or_not_whole_is_refused() {
        for wrong in [
            json!({"type": "objekt"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"$ref": "https://example.com/schema"}),
            json!({"$ref": "#/$defs/none"}),
            json!(7),
        ] {
            let error = Schema::new(&wrong)
                .err()
                .unwrap_or_else(|| panic!("{wrong}"));
            assert!(
                error.is_request() && error.to_string().contains("schema"),
                "{error}"
            );
        }
        Schema::new(&json!(true)).unwrap();
    }

    #[test]
    fn strict_schemas_state_all_members() {
        assert!(is_strict(&rivers()));
        assert!(is_strict(
            &json!({"type": "array", "items": {"type": "string"}})
        ));
        let mut open = rivers();
        open["$defs"]["river"]["required"] = json!([]);
        assert!(!is_strict(&open));
        assert!(!is_strict(&json!({"type": "object"})));
    }
}
