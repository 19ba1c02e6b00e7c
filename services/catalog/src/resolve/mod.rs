//! Which version of a package is meant, and what its template is filled with.
//! Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One version of a package in one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release<T> {
    pub name: String,
    /// A text without order: only `release` says which is newer.
    pub version: String,
    pub release: u64,
    /// The position of its repository in the list of repositories.
    pub repository: usize,
    pub definition: T,
}

/// Why no version was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Package [{name}] not found")]
    Package { name: String },
    #[error("Version [{version}] of package [{name}] not found")]
    Version { name: String, version: String },
}

/// The releases of all repositories as one list: each version once, from the
/// first repository that has it; of a name the first repository comes first,
/// and in it the newest.
pub fn merge_repositories<T>(releases: Vec<Release<T>>) -> Vec<Release<T>> {
    let mut kept = BTreeMap::new();
    for release in releases {
        let rank = |release: &Release<T>| (release.repository, u64::MAX - release.release);
        let key = (release.name.clone(), release.version.clone());
        if kept.get(&key).is_none_or(|known| rank(&release) < rank(known)) {
            kept.insert(key, release);
        }
    }
    let mut merged: Vec<_> = kept.into_values().collect();
    merged.sort_by(|a, b| {
        (&a.name, a.repository, b.release).cmp(&(&b.name, b.repository, a.release))
    });
    merged
}

/// The version asked for, or the first of its name, in a merged list.
pub fn select<'a, T>(
    merged: &'a [Release<T>],
    name: &str,
    version: Option<&str>,
) -> Result<&'a Release<T>, Error> {
    let mut named = merged.iter().filter(|release| release.name == name).peekable();
    if named.peek().is_none() {
        return Err(Error::Package { name: name.to_owned() });
    }
    match version {
        None => named.next().ok_or_else(|| Error::Package { name: name.to_owned() }),
        Some(version) => named
            .find(|release| release.version == version)
            .ok_or_else(|| Error::Version { name: name.to_owned(), version: version.to_owned() }),
    }
}

/// The options that a schema gives by itself: `default` where there is one,
/// even `null`, otherwise those of its properties, if they have any.
pub fn defaults(schema: &Value) -> Value {
    let mut options = Map::new();
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        if let Some(default) = property.get("default") {
            options.insert(name.clone(), default.clone());
        } else if property.get("properties").is_some() {
            let nested = defaults(property);
            if nested.as_object().is_some_and(|nested| !nested.is_empty()) {
                options.insert(name.clone(), nested);
            }
        }
    }
    Value::Object(options)
}

/// `over` on top of `base`: objects merge, everything else replaces.
pub fn merge(base: Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (name, value) in over {
                let merged = match base.remove(name) {
                    Some(known) => merge(known, value),
                    None => value.clone(),
                };
                base.insert(name.clone(), merged);
            }
            Value::Object(base)
        }
        (_, over) => over.clone(),
    }
}

/// What a template is filled with: the options, and under `resource` the
/// resources of the package, which win over options of the same name.
pub fn context(options: Value, resource: Option<&Value>) -> Value {
    let resource = resource.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    merge(options, &Value::Object(Map::from_iter([("resource".to_owned(), resource)])))
}

#[cfg(test)]
mod tests;
