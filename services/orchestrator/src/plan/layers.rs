//! In which order apps that depend on one another are deployed.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_api::marathon::v2::path;

/// Apps depend on one another in a circle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dependency graph has cyclic dependencies through {app}")]
pub struct Cycle {
    pub app: String,
}

/// The length of the longest chain of dependencies below each app. A
/// dependency on a group is one on every app in it; one on something that does
/// not exist is none.
pub fn layers(apps: &BTreeMap<&str, &[String]>) -> Result<BTreeMap<String, usize>, Cycle> {
    let mut layers: BTreeMap<String, usize> = BTreeMap::new();
    // Most apps depend on nothing; the rest settles in as many rounds as the
    // longest chain has links.
    let mut open: Vec<(&str, Vec<&str>)> = Vec::new();
    for (app, dependencies) in apps {
        if dependencies.is_empty() {
            layers.insert((*app).to_owned(), 0);
        } else {
            let needed = apps.keys().filter(|other| {
                *other != app && dependencies.iter().any(|one| path::is_within(other, one))
            });
            open.push((app, needed.copied().collect()));
        }
    }
    while !open.is_empty() {
        let before = open.len();
        let settled: Vec<(String, usize)> = open
            .iter()
            .filter_map(|(app, needed)| {
                let below: Option<Vec<usize>> =
                    needed.iter().map(|one| layers.get(*one).copied()).collect();
                below.map(|below| {
                    ((*app).to_owned(), below.into_iter().max().map_or(0, |top| top + 1))
                })
            })
            .collect();
        layers.extend(settled);
        open.retain(|(app, _)| !layers.contains_key(*app));
        if let (true, Some((app, _))) = (open.len() == before, open.first()) {
            return Err(Cycle { app: (*app).to_owned() });
        }
    }
    Ok(layers)
}
