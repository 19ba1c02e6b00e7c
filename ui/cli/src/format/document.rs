//! Reading JSON documents that may lack anything. Pure.
//!
//! Answers are shown, not understood: a member that is absent, `null` or of an
//! unexpected type reads as empty, so that a newer or older server still works.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

/// The text at a JSON pointer, or "".
pub fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer, or 0.
pub fn number(document: &Value, pointer: &str) -> f64 {
    document.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
}

/// The whole number at a JSON pointer, or 0.
pub fn integer(document: &Value, pointer: &str) -> u64 {
    document.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// Whether the member at a JSON pointer is `true`.
pub fn flag(document: &Value, pointer: &str) -> bool {
    document.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a JSON pointer, or an empty one.
pub fn list<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The list at a JSON pointer as a document of its own.
pub fn list_document(document: &Value, pointer: &str) -> Value {
    Value::Array(list(document, pointer).to_vec())
}

/// Any scalar as people write it; lists and objects as compact JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}
