//! Opens files of this machine with the rights of a task's user.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Reason, User};

/// The kernel looks at who the thread is, at every step of the path: no look
/// before the leap. The thread ends with the rights it took.
pub(super) fn open(path: &Path, user: Option<&User>) -> Result<File, Reason> {
    let opened = match user {
        None => open_plain(path),
        Some(user) => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("fetch".to_owned());
            let opened = thread.spawn_scoped(scope, || {
                become_user(user)?;
                open_plain(path)
            })?;
            opened.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
        }),
    };
    let file = opened.map_err(Reason::Local)?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| Reason::Local(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode).is_file() { Ok(file) } else { Err(Reason::NoFile) }
}

/// What is no file might never open.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn become_user(user: &User) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let (uid, gid) = (Uid::from_raw(user.owner.uid), Gid::from_raw(user.owner.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}
