//! Fills the template of a package: Mustache as Cosmos speaks it. Pure.
//!
//! The language is small (`{{x.y}}`, `{{{x}}}`, `{{&x}}`, `{{#x}}`, `{{^x}}`,
//! `{{! }}`, `{{.}}`), but its values are not those of plain Mustache. The
//! result is to be JSON, so text is escaped for JSON and for nothing else;
//! [`value`] tells the rest. Partials and other delimiters occur in no package
//! and are errors.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

mod template;
mod value;

use template::{Node, Path};
use value::Item;

/// Sections within sections; real templates have four.
const DEPTH_MAX: usize = 64;
/// The largest result in bytes: sections in sections over long lists multiply.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The template of a package cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("line {line}: the tag is not closed")]
    OpenTag { line: usize },
    #[error("line {line}: the section '{name}' is not closed")]
    OpenSection { name: String, line: usize },
    #[error("line {line}: '{name}' is closed here and was not opened")]
    NotOpened { name: String, line: usize },
    #[error("line {line}: the tag '{tag}' is not supported")]
    Unsupported { tag: String, line: usize },
    #[error("line {line}: more than {DEPTH_MAX} sections in one another")]
    TooDeep { line: usize },
    #[error("the result is longer than {OUTPUT_BYTES_MAX} bytes")]
    TooLong,
}

/// The text of `template` with `context` in its tags.
pub fn render(template: &str, context: &Value) -> Result<String, Error> {
    let nodes = template::parse(template)?;
    let root = Item::new(context);
    let mut out = String::with_capacity(template.len());
    fill(&nodes, &[&root], &mut out)?;
    Ok(out)
}

fn fill(nodes: &[Node], scopes: &[&Item], out: &mut String) -> Result<(), Error> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Variable(path) => {
                if let Some(item) = look_up(path, scopes) {
                    item.print(out);
                }
            }
            Node::Section { path, inverted: true, nodes, source: _ } => {
                if !look_up(path, scopes).is_some_and(|item| item.is_truthy()) {
                    fill(nodes, scopes, out)?;
                }
            }
            Node::Section { path, inverted: false, nodes, source } => match look_up(path, scopes) {
                None if path.is_as_json() => as_json(source, scopes, out),
                None => {}
                Some(item) => match item.as_ref() {
                    Item::List(items) => {
                        for item in items {
                            fill(nodes, &[scopes, &[item]].concat(), out)?;
                        }
                    }
                    item if item.is_truthy() => fill(nodes, &[scopes, &[item]].concat(), out)?,
                    _ => {}
                },
            },
        }
        if out.len() > OUTPUT_BYTES_MAX {
            return Err(Error::TooLong);
        }
    }
    Ok(())
}

/// The innermost scope that has the first part of the path decides; what it
/// lacks of the rest is missing, whatever the outer scopes have.
fn look_up<'a>(path: &Path, scopes: &[&'a Item]) -> Option<std::borrow::Cow<'a, Item>> {
    let Some((first, rest)) = path.parts() else {
        return scopes.last().map(|item| std::borrow::Cow::Borrowed(*item));
    };
    let start = scopes.iter().rev().find_map(|scope| scope.get(first))?;
    rest.iter().try_fold(start, |item, part| match item {
        std::borrow::Cow::Borrowed(item) => item.get(part),
        std::borrow::Cow::Owned(item) => {
            item.get(part).map(|item| std::borrow::Cow::Owned(item.into_owned()))
        }
    })
}

/// `{{#asJson}}name{{/asJson}}` is the text variable `name` with its quotes, or
/// `null`.
fn as_json(source: &str, scopes: &[&Item], out: &mut String) {
    let root = scopes.first().and_then(|root| root.get(source.trim()));
    match root.as_deref() {
        Some(Item::Text(text)) => out.push_str(text),
        _ => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests;
