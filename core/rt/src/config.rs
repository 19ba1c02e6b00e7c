//! Configuration files: YAML into typed structs, all mistakes at once.

use std::collections::BTreeSet;

/// One mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Mistake {
    /// Where, as `section.key`.
    pub path: String,
    /// What is wrong and what to do about it.
    pub problem: String,
}

/// A mapping of keys, or a single value of the given kind.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    Number,
    Flag,
    List,
    Map(&'static [(&'static str, Shape)]),
}

/// Checks a parsed document against its shape and reports every unknown key
/// (with the nearest known one) and every value of the wrong kind.
pub fn check(document: &yaml_serde::Value, shape: Shape) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    walk(document, shape, "", &mut mistakes);
    mistakes
}

/// Parses text into a document.
pub fn parse(text: &str) -> Result<yaml_serde::Value, Mistake> {
    yaml_serde::from_str(text).map_err(|error| Mistake {
        path: "file".into(),
        problem: format!("is not valid YAML: {error}"),
    })
}

fn walk(value: &yaml_serde::Value, shape: Shape, path: &str, mistakes: &mut Vec<Mistake>) {
    use yaml_serde::Value;
    let expected = match (shape, value) {
        (Shape::Map(keys), Value::Mapping(mapping)) => {
            for (key, value) in mapping {
                let name = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match keys.iter().find(|(known, _)| *known == name) {
                    Some((_, shape)) => walk(value, *shape, &path, mistakes),
                    None => {
                        let known: BTreeSet<&str> = keys.iter().map(|(known, _)| *known).collect();
                        mistakes.push(Mistake { path, problem: unknown(&name, &known) });
                    }
                }
            }
            return;
        }
        (_, Value::Null)
        | (Shape::Text, Value::String(_) | Value::Number(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Flag, Value::Bool(_))
        | (Shape::List, Value::Sequence(_)) => return,
        (Shape::Map(_), _) => "a mapping of keys",
        (Shape::Text, _) => "text",
        (Shape::Number, _) => "a number",
        (Shape::Flag, _) => "true or false",
        (Shape::List, _) => "a list",
    };
    let path = if path.is_empty() { "file" } else { path };
    mistakes.push(Mistake { path: path.to_owned(), problem: format!("must be {expected}") });
}

fn unknown(name: &str, known: &BTreeSet<&str>) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown key; did you mean '{near}'?"),
        None => format!(
            "unknown key; known are {}",
            known.iter().copied().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The candidate that is spelled most like `name`, if any is close.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::Map(&[
        ("data_dir", Shape::Text),
        ("agents", Shape::Number),
        ("gateway", Shape::Map(&[("tls", Shape::Flag)])),
    ]);

    #[track_caller]
    fn check_text(text: &str, expected: &[&str]) {
        let mistakes: Vec<String> =
            check(&parse(text).unwrap(), SHAPE).iter().map(ToString::to_string).collect();
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn all_mistakes_are_reported_with_the_nearest_key() {
        check_text("data_dir: /x\nagents: 2\n", &[]);
        check_text(
            "data_dri: /x\nagents: two\ngateway: {tsl: true, tls: 1}\n",
            &[
                "data_dri: unknown key; did you mean 'data_dir'?",
                "agents: must be a number",
                "gateway.tsl: unknown key; did you mean 'tls'?",
                "gateway.tls: must be true or false",
            ],
        );
        check_text("- a\n", &["file: must be a mapping of keys"]);
        check_text(
            "zzzzzzzzz: 1\n",
            &["zzzzzzzzz: unknown key; known are agents, data_dir, gateway"],
        );
    }
}
