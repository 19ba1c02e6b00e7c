use std::collections::BTreeSet;

use super::{Member, members, metadata, none};

/// Every dependency on a crate of the workspace follows an arrow. Tests may use
/// what they like: they are not part of what is drawn.
#[test]
fn crates_depend_only_along_the_arrows() {
    let arrows = metadata("arrows");
    let members = members();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = Vec::new();
    for member in &members {
        let Some(allowed) = arrows.get(&member.name) else {
            findings.push(format!("{} has no entry in [workspace.metadata.arrows]", member.name));
            continue;
        };
        for dependency in dependencies(member) {
            let is_ours = names.contains(dependency.as_str());
            if is_ours && !allowed.iter().any(|name| *name == dependency || name == "*") {
                findings
                    .push(format!("{} depends on {dependency}, and no arrow says so", member.name));
            }
        }
    }
    for (from, to) in &arrows {
        for name in
            to.iter().chain([from]).filter(|name| *name != "*" && !names.contains(name.as_str()))
        {
            findings.push(format!("the arrows of {from} name {name}, which is no crate"));
        }
    }
    none(&findings);
}

fn dependencies(member: &Member) -> Vec<String> {
    let tables = ["dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|table| member.manifest.get(*table)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn the_arrows_have_no_cycle() {
    let arrows = metadata("arrows");
    let mut order: Vec<&String> = Vec::new();
    while order.len() < arrows.len() {
        let next = arrows.iter().find(|(name, to)| {
            !order.contains(name) && to.iter().all(|name| name == "*" || order.contains(&name))
        });
        let Some((name, _)) = next else {
            let left: Vec<_> = arrows.keys().filter(|name| !order.contains(name)).collect();
            panic!("these depend on each other: {left:?}");
        };
        order.push(name);
    }
}

#[test]
fn every_crate_follows_the_lint_table() {
    let followed = |member: &Member| {
        member.manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool())
    };
    let findings: Vec<String> = members()
        .iter()
        .filter(|member| followed(member) != Some(true))
        .map(|member| format!("{} needs `[lints] workspace = true`", member.name))
        .collect();
    none(&findings);
}
