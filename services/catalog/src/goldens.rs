//! Every package of the public repository with its defaults, against what the
//! original engine made of it. The data lie beside a checkout, not in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use base64::Engine as _;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::render::render;
use crate::resolve;

#[derive(Deserialize)]
struct Universe {
    packages: Vec<Package>,
}

/// What rendering needs of a package.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    release_version: Value,
    marathon: Option<Marathon>,
    config: Option<Value>,
    resource: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marathon {
    v2_app_mustache_template: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Golden {
    name: String,
    release_version: Value,
    /// Missing where the original failed.
    marathon: Option<Value>,
}

#[test]
fn all_public_packages_render_as_in_the_original() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let (Some(goldens), Some(universe)) =
        (read(&data, "golden-renders.jsonl.gz"), read(&data, "universe.json.gz"))
    else {
        println!("skipped: no public packages in {}", data.display());
        return;
    };
    let universe: Universe = serde_json::from_str(&universe).unwrap();
    let key = |name: &str, release: &Value| (name.to_owned(), release.to_string().replace('"', ""));
    let packages = universe
        .packages
        .iter()
        .map(|package| (key(&package.name, &package.release_version), package));
    let packages: BTreeMap<_, _> = packages.collect();
    let (mut compared, mut different) = (0, Vec::new());
    for line in goldens.lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let key = key(&golden.name, &golden.release_version);
        let made = packages.get(&key).and_then(|package| render_package(package));
        compared += 1;
        // The original parses numbers as doubles, and so must a comparison.
        if made.as_ref().map(as_doubles) != golden.marathon.as_ref().map(as_doubles) {
            different.push(key);
        }
    }
    assert!(different.is_empty(), "{} of {compared} differ: {different:?}", different.len());
    assert!(compared > 1000);
}

/// None where the result is no JSON object.
fn render_package(package: &Package) -> Option<Value> {
    let template = &package.marathon.as_ref()?.v2_app_mustache_template;
    let template = base64::engine::general_purpose::STANDARD.decode(template).unwrap();
    let defaults = package.config.as_ref().map_or_else(|| json!({}), resolve::defaults);
    let context = resolve::context(defaults, package.resource.as_ref());
    let text = render(std::str::from_utf8(&template).unwrap(), &context).unwrap();
    serde_json::from_str(&text).ok().filter(Value::is_object)
}

fn as_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(as_doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), as_doubles(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn read(folder: &Path, name: &str) -> Option<String> {
    let file = File::open(folder.join(name)).ok()?;
    Some(std::io::read_to_string(GzDecoder::new(BufReader::new(file))).unwrap())
}
