//! The rules for offer constraints.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_allocator::Role;
use karman_allocator::constraints::{self, Constraints, Predicate, Rule, Selector};
use karman_api::mesos::v1::scheduler::attribute_constraint::selector::PseudoattributeType;
use karman_api::mesos::v1::scheduler::attribute_constraint::{
    predicate::Predicate as WirePredicate, selector::Selector as WireSelector,
};
use karman_api::mesos::v1::scheduler::{AttributeConstraint, OfferConstraints};

/// Why offer constraints are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "'OfferConstraints.role_constraints' names '{0}', which is not one of the framework's roles"
    )]
    Role(String),
    #[error(
        "an attribute constraint of role '{0}' must have either 'attribute_name' or a known 'pseudoattribute_type'"
    )]
    Selector(String),
    #[error("an attribute constraint of role '{0}' has no predicate that is known")]
    Predicate(String),
    #[error(transparent)]
    Rules(#[from] constraints::Error),
}

/// What the allocator goes by; nothing said means every agent is wanted.
pub fn read(wire: Option<&OfferConstraints>, roles: &BTreeSet<Role>) -> Result<Constraints, Error> {
    let Some(OfferConstraints { role_constraints }) = wire else {
        return Ok(Constraints::default());
    };
    let mut parts = Vec::with_capacity(role_constraints.len());
    for (name, groups) in role_constraints {
        let role = roles.get(name.as_str()).ok_or_else(|| Error::Role(name.clone()))?;
        let groups: Result<Vec<Vec<Rule>>, Error> = groups
            .groups
            .iter()
            .map(|group| group.attribute_constraints.iter().map(|one| rule(name, one)).collect())
            .collect();
        parts.push((Role::clone(role), groups?));
    }
    Ok(Constraints::from_parts(parts)?)
}

fn rule(role: &str, wire: &AttributeConstraint) -> Result<Rule, Error> {
    let AttributeConstraint { selector, predicate } = wire;
    let selector = match &selector.selector {
        Some(WireSelector::AttributeName(name)) => Selector::Attribute(name.clone()),
        Some(WireSelector::PseudoattributeType(kind)) => {
            match PseudoattributeType::try_from(*kind) {
                Ok(PseudoattributeType::Hostname) => Selector::Hostname,
                Ok(PseudoattributeType::Region) => Selector::Region,
                Ok(PseudoattributeType::Zone) => Selector::Zone,
                Ok(PseudoattributeType::Unknown) | Err(_) => {
                    return Err(Error::Selector(role.to_owned()));
                }
            }
        }
        None => return Err(Error::Selector(role.to_owned())),
    };
    let predicate = match predicate.predicate.clone() {
        Some(WirePredicate::Exists(_)) => Predicate::Exists,
        Some(WirePredicate::NotExists(_)) => Predicate::NotExists,
        Some(WirePredicate::TextEquals(it)) => Predicate::TextEquals(it.value),
        Some(WirePredicate::TextNotEquals(it)) => Predicate::TextNotEquals(it.value),
        Some(WirePredicate::TextMatches(it)) => Predicate::TextMatches(it.regex),
        Some(WirePredicate::TextNotMatches(it)) => Predicate::TextNotMatches(it.regex),
        None => return Err(Error::Predicate(role.to_owned())),
    };
    Ok((selector, predicate))
}
