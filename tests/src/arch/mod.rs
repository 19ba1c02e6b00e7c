//! The code is held to the drawing: arrows between crates, purity of modules,
//! tidiness of files, links of documents.

mod arrows;
mod data;
mod docs;
mod errors;
mod purity;
mod source;
mod tidy;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::binaries::root;

/// A crate of the workspace.
struct Member {
    name: String,
    folder: PathBuf,
    manifest: toml::Table,
}

fn manifest(folder: &std::path::Path) -> toml::Table {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All crates of the workspace.
fn members() -> Vec<Member> {
    let workspace = manifest(&root());
    let paths = workspace["workspace"]["members"].as_array().expect("a list of members");
    let member = |path: &toml::Value| {
        let folder = root().join(path.as_str().expect("a path"));
        let manifest = manifest(&folder);
        let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
        Member { name, folder, manifest }
    };
    paths.iter().map(member).collect()
}

/// `[workspace.metadata.<table>]`: a list of texts for each crate.
fn metadata(table: &str) -> BTreeMap<String, Vec<String>> {
    let workspace = manifest(&root());
    let texts = |value: &toml::Value| {
        let items = value.as_array().expect("a list").iter();
        items.map(|item| item.as_str().expect("text").to_owned()).collect()
    };
    let table = workspace["workspace"]["metadata"][table].as_table().expect("a table");
    table.iter().map(|(name, value)| (name.clone(), texts(value))).collect()
}

/// Fails with every finding.
#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
