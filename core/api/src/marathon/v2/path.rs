//! Paths: the ids of apps and groups.
#![deny(clippy::disallowed_methods)]

/// The longest id in bytes: the ids of its tasks, which are longer by what
/// tells them apart, are names of folders.
pub const ID_BYTES_MAX: usize = 200;

/// The rule that a path breaks, if any.
pub fn problem(path: &str) -> Option<&'static str> {
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() {
        return Some("must not be empty or the root path");
    }
    let well_formed = |segment: &str| segment == ".." || segment.split('.').all(is_label);
    if trimmed.split('/').any(|segment| !well_formed(segment)) {
        return Some(
            "must consist of segments of lower-case letters, digits, inner dashes and dots, separated by slashes",
        );
    }
    None
}

/// The rule that an app's or a group's own id breaks, if any.
pub fn problem_of_id(path: &str) -> Option<&'static str> {
    if let Some(problem) = problem(path) {
        return Some(problem);
    }
    if path.len() > ID_BYTES_MAX {
        return Some("must not be longer than 200 characters");
    }
    let last = path.trim_matches('/').rsplit('/').next().unwrap_or_default();
    if ["restart", "tasks", "versions", ".", ".."].contains(&last) {
        return Some("must not end in restart, tasks, versions, '.' or '..'");
    }
    None
}

/// The absolute form; relative paths start at `base`, `..` climbs.
pub fn absolute(path: &str, base: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { base };
    for segment in start.split('/').chain(path.split('/')) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// The group that holds it: `/shop` for `/shop/web`, `/` at the top.
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// Whether `path` is `group` or lies below it.
pub fn is_within(path: &str, group: &str) -> bool {
    group == "/"
        || path == group
        || path.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
}

/// `/shop/web` as `shop_web`: the first part of instance ids.
pub fn safe(path: &str) -> String {
    path.trim_start_matches('/').replace('/', "_")
}

/// `/shop/web` as `web.shop`: the name in service discovery.
pub fn reversed(path: &str, separator: &str) -> String {
    path.split('/').filter(|segment| !segment.is_empty()).rev().collect::<Vec<_>>().join(separator)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_rules() {
        for good in ["/web", "web", "/shop/web/", "/a.b/c-d", "/1"] {
            assert_eq!(problem_of_id(good), None, "{good}");
        }
        for bad in
            ["", "/", "/Web", "/-a", "/a-", "/a//b", "/a b", "/a..b", "/a/restart", "/versions"]
        {
            assert!(problem_of_id(bad).is_some(), "{bad}");
        }
        assert_eq!(problem_of_id(&"a".repeat(ID_BYTES_MAX)), None);
        let long = problem_of_id(&"a/".repeat(ID_BYTES_MAX)).unwrap();
        assert_eq!(long, format!("must not be longer than {ID_BYTES_MAX} characters"));
    }

    #[test]
    fn relative_paths_start_at_their_base() {
        assert_eq!(absolute("web", "/"), "/web");
        assert_eq!(absolute("/shop//web/", "/x"), "/shop/web");
        assert_eq!(absolute("../db", "/shop/front"), "/shop/db");
        assert_eq!(parent("/shop/web"), "/shop");
        assert_eq!(parent("/web"), "/");
        assert!(
            is_within("/shop/web", "/shop")
                && is_within("/shop", "/shop")
                && !is_within("/shopping", "/shop")
        );
        assert_eq!(reversed("/shop/web", "."), "web.shop");
        assert_eq!(safe("/shop/web"), "shop_web");
    }
}
