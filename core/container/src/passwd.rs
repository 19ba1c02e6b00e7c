//! Users by name, from the files of an image: nothing in them is to be trusted,
//! least of all that it is short or well-formed. Pure.
#![deny(clippy::disallowed_methods)]

/// The longest file that is read.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// More groups than a user has.
const GROUPS_MAX: usize = 1024;

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: Option<String>,
}

/// Why nobody is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no user '{name}' in the image")]
    NoUser { name: String },
    #[error("no group '{name}' in the image")]
    NoGroup { name: String },
}

/// `name`, `name:group`, `uid`, `uid:gid` or a mixture. A number need not be in
/// the files.
pub fn find(wanted: &str, passwd: &str, group: &str) -> Result<Identified, Error> {
    let (user, named_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let mut found = user_of(user, passwd)?;
    match named_group {
        Some(name) => {
            let gid = gid_of(name, group);
            found.1.gid = gid.ok_or_else(|| Error::NoGroup { name: name.to_owned() })?;
        }
        None => found.1.groups = memberships(&found.0, group),
    }
    if !found.1.groups.contains(&found.1.gid) {
        found.1.groups.push(found.1.gid);
    }
    Ok(found.1)
}

/// The user, and the name by which groups know him.
fn user_of(user: &str, passwd: &str) -> Result<(String, Identified), Error> {
    let number = user.parse::<u32>().ok();
    // A name of digits is a number to everybody else, too.
    let line = passwd.lines().filter_map(entry).find(|line| match number {
        Some(number) => line.uid == number,
        None => line.name == user,
    });
    if let Some(Entry { name, uid, gid, home }) = line {
        let home = Some(home.to_owned()).filter(|home| home.starts_with('/'));
        return Ok((name.to_owned(), Identified { uid, gid, groups: Vec::new(), home }));
    }
    let uid = number.ok_or_else(|| Error::NoUser { name: user.to_owned() })?;
    Ok((String::new(), Identified { uid, gid: 0, groups: Vec::new(), home: None }))
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let _comment = fields.next();
    Some(Entry { name, uid, gid, home: fields.next().unwrap_or_default() })
}

fn gid_of(name: &str, group: &str) -> Option<u32> {
    name.parse()
        .ok()
        .or_else(|| groups(group).find(|(known, _, _)| *known == name).map(|(_, gid, _)| gid))
}

fn memberships(name: &str, group: &str) -> Vec<u32> {
    let member = |members: &str| !name.is_empty() && members.split(',').any(|it| it == name);
    let of_user = groups(group).filter(|(_, _, members)| member(members));
    of_user.map(|(_, gid, _)| gid).take(GROUPS_MAX).collect()
}

/// Name, number, members.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let gid = fields.next()?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default().trim()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
garbage
:x:7:7::/:
web:x:33:34:web server:/var/www:/bin/false
late:x:nan:1::/:
bare:x:40:40
";
    const GROUP: &str =
        "root:x:0:\nweb:x:34:\nlogs:x:50:web,root\nmore:x:51:other,web\nbad:x:x:web\n";

    #[track_caller]
    fn check(wanted: &str, uid: u32, gid: u32, groups: &[u32], home: Option<&str>) {
        let found = find(wanted, PASSWD, GROUP).unwrap();
        let home = home.map(str::to_owned);
        assert_eq!(found, Identified { uid, gid, groups: groups.to_vec(), home });
    }

    #[test]
    fn names_and_numbers_are_found() {
        check("web", 33, 34, &[50, 51, 34], Some("/var/www"));
        check("33", 33, 34, &[50, 51, 34], Some("/var/www"));
        check("web:logs", 33, 50, &[50], Some("/var/www"));
        check("web:7", 33, 7, &[7], Some("/var/www"));
        check("1000", 1000, 0, &[0], None);
        check("1000:1001", 1000, 1001, &[1001], None);
        check("root:", 0, 0, &[50, 0], Some("/root"));
        check("bare", 40, 40, &[40], None);
    }

    #[test]
    fn nobody_is_not_somebody() {
        let missing = |name: &str| Err(Error::NoUser { name: name.to_owned() });
        assert_eq!(find("nobody", PASSWD, GROUP), missing("nobody"));
        assert_eq!(find("", PASSWD, GROUP), missing(""));
        assert_eq!(find("-1", PASSWD, GROUP), missing("-1"));
        assert_eq!(find("4294967296", PASSWD, GROUP), missing("4294967296"));
        let group = find("web:none", PASSWD, GROUP);
        assert_eq!(group, Err(Error::NoGroup { name: "none".to_owned() }));
    }

    proptest! {
        #[test]
        fn any_files_are_read(wanted in ".*", passwd in "(?s).*", group in "(?s).*") {
            let _found = find(&wanted, &passwd, &group);
        }
    }
}
