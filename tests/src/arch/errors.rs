use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::none;
use super::source::below;
use crate::binaries::root;

/// The error codes that the gateway answers with are those that are explained.
#[test]
fn every_error_code_is_explained() {
    let code = Regex::new(r"\bERR_[A-Z_]+\b").unwrap();
    let codes = |text: &str| -> BTreeSet<String> {
        code.find_iter(text).map(|found| found.as_str().to_owned()).collect()
    };
    let explained = codes(&fs::read_to_string(root().join("docs/errors.md")).unwrap());
    let answered: BTreeSet<String> = below(&root().join("services/gateway/src"))
        .iter()
        .filter(|file| !file.is_test())
        .flat_map(|file| codes(&file.code()))
        .collect();
    let missing = answered.difference(&explained).map(|code| format!("{code} is not explained"));
    let stale = explained.difference(&answered).map(|code| format!("{code} is never answered"));
    none(&missing.chain(stale).collect::<Vec<_>>());
}
