use std::path::{Path, PathBuf};

use regex::Regex;

use super::none;
use crate::binaries::root;

/// Every link from a document to a file of the repository leads somewhere.
#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut findings = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") || target.starts_with('#') || target.starts_with("mailto:") {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            if !document.parent().unwrap_or(Path::new("/")).join(file).exists() {
                let shown = document.strip_prefix(root()).unwrap_or(&document).display();
                findings.push(format!("{shown}: '{target}' does not exist"));
            }
        }
    }
    none(&findings);
}

/// The Markdown files of the repository, without what is built or hidden.
fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let hidden = name.to_str().is_none_or(|name| name.starts_with('.') || name == "target");
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    assert!(!documents.is_empty());
    documents
}
