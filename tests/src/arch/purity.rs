use std::path::PathBuf;

use regex::Regex;

use super::source::{Source, below};
use super::{Member, members, metadata, none};

const DENY: &str = "#![deny(clippy::disallowed_methods)]";
/// What decides does not wait and does not log; clippy cannot forbid these for
/// one module.
const IMPURE: &str = r"\btracing\b|\basync fn\b|\.await\b";

/// A pure module: the file that it begins with and all of its files.
struct Module {
    name: String,
    first: PathBuf,
    sources: Vec<Source>,
}

#[test]
fn pure_modules_deny_what_is_impure() {
    let impure = Regex::new(IMPURE).unwrap();
    let mut findings = Vec::new();
    for module in modules(&mut findings) {
        let first = module.sources.iter().find(|source| source.path == module.first);
        let code = first.map(Source::code).unwrap_or_default();
        if code.lines().find(|line| !line.trim().is_empty()) != Some(DENY) {
            findings
                .push(format!("{} must begin with {DENY} after its documentation", module.name));
        }
        for source in module.sources.iter().filter(|source| !source.is_test()) {
            let code = source.code();
            for word in impure.find_iter(&code) {
                findings.push(format!(
                    "{} is pure but contains '{}'",
                    source.shown(),
                    word.as_str()
                ));
            }
        }
    }
    none(&findings);
}

fn modules(findings: &mut Vec<String>) -> Vec<Module> {
    let pure = metadata("pure");
    let members = members();
    let mut modules = Vec::new();
    for (name, entries) in &pure {
        let Some(member) = members.iter().find(|member| member.name == *name) else {
            findings.push(format!("[workspace.metadata.pure] names {name}, which is no crate"));
            continue;
        };
        let src = member.folder.join("src");
        if entries.iter().any(|entry| entry == "*") {
            modules.push(whole(member, entries));
            continue;
        }
        // A crate that is only its documentation has nothing to check yet.
        if below(&src).iter().all(|source| {
            source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs")
        }) {
            continue;
        }
        for entry in entries {
            match [src.join(entry).join("mod.rs"), src.join(format!("{entry}.rs"))]
                .into_iter()
                .find(|path| path.is_file())
            {
                Some(first) => modules.push(one(name, entry, first, member)),
                None => findings.push(format!(
                    "{name} has no module '{entry}', which [workspace.metadata.pure] names"
                )),
            }
        }
    }
    modules
}

/// A crate but for the modules that are excepted with `!`.
fn whole(member: &Member, entries: &[String]) -> Module {
    let src = member.folder.join("src");
    let excepted: Vec<PathBuf> = entries
        .iter()
        .filter_map(|entry| entry.strip_prefix('!'))
        .map(|name| src.join(name))
        .collect();
    let is_excepted = |source: &Source| {
        excepted
            .iter()
            .any(|path| source.path.starts_with(path) || source.path == path.with_extension("rs"))
    };
    let sources = below(&src).into_iter().filter(|source| !is_excepted(source)).collect();
    Module { name: member.name.clone(), first: src.join("lib.rs"), sources }
}

fn one(crate_name: &str, module: &str, first: PathBuf, member: &Member) -> Module {
    let folder = member.folder.join("src").join(module);
    let sources = below(&member.folder.join("src"))
        .into_iter()
        .filter(|source| source.path == first || source.path.starts_with(&folder));
    Module { name: format!("{crate_name}::{module}"), sources: sources.collect(), first }
}
