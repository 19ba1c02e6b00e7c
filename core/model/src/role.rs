//! Roles: slash-separated names under which frameworks share resources.
#![deny(clippy::disallowed_methods)]

/// The role of everybody; resources "reserved" to it are reserved to nobody.
pub const ANY: &str = "*";

/// Why a text cannot be a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("role must not be empty")]
    Empty,
    #[error("role '{0}' must not start or end with a slash or contain two in a row")]
    Slashes(String),
    #[error("role '{0}' must not contain '.', '..' or '*' between slashes")]
    Component(String),
    #[error("role '{0}' must not start with a dash")]
    Dash(String),
    #[error("role '{0}' must not contain white space or control characters")]
    Character(String),
}

/// Whether `role` may be used as a role.
pub fn check(role: &str) -> Result<(), Error> {
    if role == ANY {
        return Ok(());
    }
    if role.is_empty() {
        return Err(Error::Empty);
    }
    if role.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Character(role.to_owned()));
    }
    for component in role.split('/') {
        match component {
            "" => return Err(Error::Slashes(role.to_owned())),
            "." | ".." | ANY => return Err(Error::Component(role.to_owned())),
            _ if component.starts_with('-') => return Err(Error::Dash(role.to_owned())),
            _ => {}
        }
    }
    Ok(())
}

/// Whether `role` lies strictly below `ancestor` in the tree of roles.
pub fn is_below(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether resources reserved to `owner` may be offered to `role`.
pub fn may_use(role: &str, owner: &str) -> bool {
    role == owner || is_below(role, owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_names_follow_the_rules() {
        for good in ["*", "web", "eng/web", "a.b", "a-b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", "a/*", ".", "-a", "a b", "a\tb"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn descendants_may_use_what_is_reserved_above_them() {
        assert!(may_use("eng/web", "eng"));
        assert!(may_use("eng", "eng"));
        assert!(!may_use("eng", "eng/web"));
        assert!(!may_use("engine", "eng"));
    }
}
