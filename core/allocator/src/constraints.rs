//! Which agents a framework wants offers of: rules over attributes, by role.
//!
//! A role has groups; an agent is wanted if all rules of any one group hold.
//! Rules about texts hold for attributes that are not texts: the framework will
//! look at those itself.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_model::attribute::{Attributes, Value};
use regex::{Regex, RegexBuilder};

use crate::Role;
use crate::machine::Machine;

/// The largest compiled form of a pattern, in bytes; a pattern of a few hundred
/// characters without large counted repetitions stays far below it.
pub const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// The deepest nesting of groups in a pattern.
const PATTERN_DEPTH_MAX: u32 = 50;
/// The rules of one framework.
pub const RULES_MAX: usize = 1000;

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    Hostname,
    Region,
    Zone,
    /// The first attribute of that name.
    Attribute(String),
}

/// What must hold of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    TextNotEquals(String),
    /// The pattern fits the whole text.
    TextMatches(String),
    TextNotMatches(String),
}

/// A selector and its predicate.
pub type Rule = (Selector, Predicate);

/// Of all roles of a framework; a role without an entry wants every agent.
#[derive(Clone, Debug, Default)]
pub struct Constraints(BTreeMap<Role, Vec<Group>>);

/// All of its tests must hold.
type Group = Vec<Test>;

#[derive(Clone, Debug)]
struct Test {
    selector: Selector,
    check: Check,
}

#[derive(Clone, Debug)]
enum Check {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Regex),
    NotMatches(Regex),
}

/// What is wrong with offer constraints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the offer constraints of role '{role}' must have at least one group")]
    NoGroups { role: String },
    #[error(
        "group {group} of the offer constraints of role '{role}' must have at least one constraint"
    )]
    NoRules { role: String, group: usize },
    #[error("the offer constraints must not have more than {RULES_MAX} attribute constraints")]
    TooMany,
    #[error(
        "the offer constraints of role '{role}': the pattern '{pattern}' is larger than {PATTERN_BYTES_MAX} bytes when compiled"
    )]
    TooComplex { role: String, pattern: String },
    #[error(
        "the offer constraints of role '{role}': the pattern '{pattern}' is not valid: {problem}"
    )]
    Pattern { role: String, pattern: String, problem: String },
}

impl Constraints {
    /// From groups of rules by role.
    pub fn from_parts(
        parts: impl IntoIterator<Item = (Role, Vec<Vec<Rule>>)>,
    ) -> Result<Self, Error> {
        let mut all: BTreeMap<Role, Vec<Group>> = BTreeMap::new();
        let mut count = 0;
        for (role, groups) in parts {
            if groups.is_empty() {
                return Err(Error::NoGroups { role: role.to_string() });
            }
            let mut compiled = Vec::with_capacity(groups.len());
            for (at, rules) in groups.into_iter().enumerate() {
                if rules.is_empty() {
                    return Err(Error::NoRules { role: role.to_string(), group: at });
                }
                count += rules.len();
                if count > RULES_MAX {
                    return Err(Error::TooMany);
                }
                let group: Result<Group, Error> =
                    rules.into_iter().map(|rule| compile(&role, rule)).collect();
                compiled.push(group?);
            }
            all.insert(role, compiled);
        }
        Ok(Self(all))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The roles that have constraints.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.0.keys()
    }

    /// Whether there is anything to check for `role`.
    pub fn apply_to(&self, role: &str) -> bool {
        self.0.contains_key(role)
    }

    /// Whether the framework wants offers of this machine in `role`.
    pub fn admit(&self, role: &str, machine: &Machine) -> bool {
        self.0.get(role).is_none_or(|groups| {
            groups.iter().any(|group| group.iter().all(|test| test.holds(machine)))
        })
    }
}

fn compile(role: &Role, (selector, predicate): Rule) -> Result<Test, Error> {
    let pattern = |pattern: String| whole(role, &pattern);
    let check = match predicate {
        Predicate::Exists => Check::Exists,
        Predicate::NotExists => Check::NotExists,
        Predicate::TextEquals(text) => Check::Equals(text),
        Predicate::TextNotEquals(text) => Check::NotEquals(text),
        Predicate::TextMatches(text) => Check::Matches(pattern(text)?),
        Predicate::TextNotMatches(text) => Check::NotMatches(pattern(text)?),
    };
    Ok(Test { selector, check })
}

/// A pattern that must fit the whole of a text.
fn whole(role: &Role, pattern: &str) -> Result<Regex, Error> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX)
            .build()
    };
    // By itself first: brackets that do not match must not pair with ours.
    build(pattern).and_then(|_alone| build(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        let (role, pattern) = (role.to_string(), pattern.to_owned());
        match error {
            regex::Error::CompiledTooBig(_) => Error::TooComplex { role, pattern },
            other => {
                // The last line says what; those before draw the place.
                let text = other.to_string();
                let problem = text.lines().last().unwrap_or_default();
                let problem = problem.strip_prefix("error: ").unwrap_or(problem).to_owned();
                Error::Pattern { role, pattern, problem }
            }
        }
    })
}

/// What a selector found.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute of another type.
    Other,
}

impl Test {
    fn holds(&self, machine: &Machine) -> bool {
        let found = self.selector.find(machine);
        match (&self.check, found) {
            (Check::Exists, found) => !matches!(found, Found::Nothing),
            (Check::NotExists, found) => matches!(found, Found::Nothing),
            (Check::Equals(_) | Check::Matches(_), Found::Nothing) => false,
            (Check::NotEquals(_) | Check::NotMatches(_), Found::Nothing) => true,
            (_, Found::Other) => true,
            (Check::Equals(wanted), Found::Text(text)) => wanted == text,
            (Check::NotEquals(wanted), Found::Text(text)) => wanted != text,
            (Check::Matches(pattern), Found::Text(text)) => pattern.is_match(text),
            (Check::NotMatches(pattern), Found::Text(text)) => !pattern.is_match(text),
        }
    }
}

impl Selector {
    fn find<'a>(&self, machine: &'a Machine) -> Found<'a> {
        let domain = machine.domain.as_ref();
        let text = |text: Option<&'a str>| text.map_or(Found::Nothing, Found::Text);
        match self {
            Self::Hostname => Found::Text(&machine.hostname),
            Self::Region => text(domain.map(|domain| domain.region.as_str())),
            Self::Zone => text(domain.map(|domain| domain.zone.as_str())),
            Self::Attribute(name) => attribute(&machine.attributes, name),
        }
    }
}

fn attribute<'a>(attributes: &'a Attributes, name: &str) -> Found<'a> {
    match attributes.get(name) {
        None => Found::Nothing,
        Some(Value::Text(text)) => Found::Text(text),
        Some(Value::Scalar(_) | Value::Ranges(_) | Value::Set(_)) => Found::Other,
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::Domain;

    use super::*;

    fn machine() -> Machine {
        Machine {
            hostname: "node1.example".into(),
            attributes: Attributes::parse("rack:r12;rack:r13;generation:3").unwrap(),
            domain: Some(Domain { region: "eu".into(), zone: "eu-1".into() }),
            ..Machine::default()
        }
    }

    #[track_caller]
    fn check(groups: &[&[Rule]], admitted: bool) {
        let groups = groups.iter().map(|group| group.to_vec()).collect();
        let constraints = Constraints::from_parts([("web".into(), groups)]).unwrap();
        assert_eq!(constraints.admit("web", &machine()), admitted);
        assert!(constraints.admit("ops", &machine()), "other roles are free");
    }

    fn attribute(name: &str) -> Selector {
        Selector::Attribute(name.into())
    }

    #[test]
    fn every_predicate_does_as_it_says() {
        use Predicate as P;
        let rack = || attribute("rack");
        let none = || attribute("none");
        check(&[&[(rack(), P::Exists)]], true);
        check(&[&[(none(), P::Exists)]], false);
        check(&[&[(rack(), P::NotExists)]], false);
        check(&[&[(none(), P::NotExists)]], true);
        check(&[&[(rack(), P::TextEquals("r12".into()))]], true);
        check(&[&[(rack(), P::TextEquals("r13".into()))]], false);
        check(&[&[(none(), P::TextEquals("r12".into()))]], false);
        check(&[&[(rack(), P::TextNotEquals("r12".into()))]], false);
        check(&[&[(none(), P::TextNotEquals("r12".into()))]], true);
        check(&[&[(rack(), P::TextMatches("r1[0-9]".into()))]], true);
        check(&[&[(rack(), P::TextMatches("1".into()))]], false);
        check(&[&[(rack(), P::TextMatches("r|r12".into()))]], true);
        check(&[&[(rack(), P::TextNotMatches("r.*".into()))]], false);
        check(&[&[(none(), P::TextNotMatches("r.*".into()))]], true);
        check(&[&[(none(), P::TextMatches(".*".into()))]], false);
    }

    #[test]
    fn what_is_no_text_passes_tests_of_texts() {
        use Predicate as P;
        let generation = || attribute("generation");
        check(&[&[(generation(), P::TextEquals("4".into()))]], true);
        check(&[&[(generation(), P::TextNotMatches(".*".into()))]], true);
        check(&[&[(generation(), P::NotExists)]], false);
    }

    #[test]
    fn the_machine_itself_can_be_asked() {
        use Predicate as P;
        check(&[&[(Selector::Hostname, P::TextMatches(r"node\d\..*".into()))]], true);
        check(&[&[(Selector::Region, P::TextEquals("eu".into()))]], true);
        check(&[&[(Selector::Zone, P::TextNotEquals("eu-1".into()))]], false);
    }

    #[test]
    fn all_of_a_group_or_another_group() {
        use Predicate as P;
        let (yes, no) = ((attribute("rack"), P::Exists), (attribute("none"), P::Exists));
        check(&[&[yes.clone(), no.clone()]], false);
        check(&[std::slice::from_ref(&no), &[yes.clone(), yes]], true);
        check(&[std::slice::from_ref(&no), std::slice::from_ref(&no)], false);
    }

    #[track_caller]
    fn check_error(groups: Vec<Vec<Rule>>, expected: &str) {
        let error = Constraints::from_parts([("web".into(), groups)]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let matches =
            |pattern: &str| vec![vec![(attribute("a"), Predicate::TextMatches(pattern.into()))]];
        check_error(vec![], "the offer constraints of role 'web' must have at least one group");
        check_error(
            vec![vec![]],
            "group 0 of the offer constraints of role 'web' must have at least one constraint",
        );
        check_error(
            matches("a)("),
            "the offer constraints of role 'web': the pattern 'a)(' is not valid: unopened group",
        );
        check_error(
            matches(r"\w{1000}{1000}"),
            r"the offer constraints of role 'web': the pattern '\w{1000}{1000}' is larger than 262144 bytes when compiled",
        );
        let rule = (attribute("a"), Predicate::Exists);
        check_error(
            vec![vec![rule; RULES_MAX + 1]],
            "the offer constraints must not have more than 1000 attribute constraints",
        );
    }
}
