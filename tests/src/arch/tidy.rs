use regex::Regex;

use super::source::{Source, below};
use super::{members, none};

/// A file above this is a question: which noun wants out?
const LINES_MAX: usize = 800;

fn sources() -> Vec<Source> {
    members().iter().flat_map(|member| below(&member.folder.join("src"))).collect()
}

fn find(check: impl Fn(&Source) -> Vec<String>) {
    let findings: Vec<String> = sources()
        .iter()
        .flat_map(|source| {
            check(source).into_iter().map(|finding| format!("{}: {finding}", source.shown()))
        })
        .collect();
    none(&findings);
}

#[test]
fn every_file_begins_with_what_it_is() {
    find(|source| {
        let documented = source.is_test() || source.text.starts_with("//!");
        if documented { vec![] } else { vec!["must begin with `//!`".to_owned()] }
    });
}

#[test]
fn no_file_grows_without_end() {
    find(|source| {
        let lines = source.code().lines().count();
        if source.is_test() || lines <= LINES_MAX {
            vec![]
        } else {
            vec![format!("{lines} lines; which noun wants out?")]
        }
    });
}

#[test]
fn tasks_are_spawned_by_the_runtime_only() {
    let spawn = Regex::new(r"tokio::(task::)?spawn\(|\btask::spawn\(").unwrap();
    find(|source| {
        let allowed = source.is_test() || source.shown().starts_with("core/rt/");
        let spawns = !allowed && spawn.is_match(&source.code());
        if spawns { vec!["spawn through karman_rt::Tasks".to_owned()] } else { vec![] }
    });
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not contain them.
    let words = [
        ["to", "do!("],
        ["unimpl", "emented!("],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["#[ign", "ore"],
        ["#[should_", "panic"],
    ];
    find(|source| {
        let found =
            words.iter().map(|word| word.concat()).filter(|word| source.text.contains(word));
        found.map(|word| format!("contains '{word}'")).collect()
    });
}

/// A new field must not be forgotten: conversions take both sides apart.
#[test]
fn conversions_name_every_field() {
    let rest =
        Regex::new(r"\{[^{}=]*\.\.\s*\}|\.\.Default::default\(\)|\.\.[A-Za-z:]+::default\(\)")
            .unwrap();
    find(|source| {
        let is_conversion = source.path.ends_with("convert.rs")
            || source.path.components().any(|part| part.as_os_str() == "convert");
        let code = if is_conversion && !source.is_test() { source.code() } else { String::new() };
        rest.find_iter(&code)
            .map(|found| format!("names not every field: {}", found.as_str()))
            .collect()
    });
}
