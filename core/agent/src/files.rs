//! The files of sandboxes by their public names: the real path, or
//! `/frameworks/F/executors/E/runs/C`, where `C` may be `latest`.
//!
//! Nothing outside of the one sandbox that is named can be reached, save the
//! persistent volumes of its task: the kernel resolves the rest of a path below
//! the sandbox or the volume and no further, whatever links the task has put
//! there.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};

/// The most that one read answers: sixteen pages.
pub(crate) const READ_BYTES_MAX: u64 = 64 * 1024;

/// Files that one listing names.
const LISTED_MAX: usize = 100_000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("No such file or folder.")]
    NotFound,
    #[error("The path leads out of its sandbox.")]
    Outside,
    #[error("Not a folder.")]
    NotAFolder,
    #[error("Not a file.")]
    NotAFile,
    #[error("cannot read: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Self::NotFound,
            Some(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => Self::Outside,
            _ => Self::Io(error),
        }
    }
}

/// Where sandboxes are.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) work_dir: PathBuf,
    pub(crate) agent_id: Option<String>,
    pub(crate) volumes: Vec<Attached>,
}

/// A persistent volume in the sandbox of a task that has not been forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) sandbox: PathBuf,
    /// Below the sandbox.
    pub(crate) at: PathBuf,
    pub(crate) volume: PathBuf,
}

/// A file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) path: String,
    pub(crate) nlink: i32,
    pub(crate) size: u64,
    pub(crate) modified_s: i64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Roots {
    /// Opens what a public name means.
    fn open(&self, name: &str) -> Result<File, Error> {
        let (sandbox, rest) = self.enter(self.locate(name)?);
        let root = File::open(sandbox)?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { &rest };
        let opened = openat2(
            &root,
            rest,
            // A named pipe must not hold up the reader.
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        let file: OwnedFd = opened.map_err(io::Error::from)?;
        Ok(file.into())
    }

    /// The volume that a path leads into, if it does, and the path below it.
    fn enter(&self, (sandbox, rest): (PathBuf, PathBuf)) -> (PathBuf, PathBuf) {
        let mut inside = self.volumes.iter().filter(|attached| attached.sandbox == sandbox);
        let found = inside.find_map(|attached| {
            let below = rest.strip_prefix(&attached.at).ok()?;
            Some((attached.volume.clone(), below.to_owned()))
        });
        found.unwrap_or((sandbox, rest))
    }

    /// The sandbox that a name lies in, and the path below it.
    fn locate(&self, name: &str) -> Result<(PathBuf, PathBuf), Error> {
        let slaves = self.work_dir.join("slaves");
        let path = match Path::new(name).strip_prefix(&slaves) {
            Ok(path) => path.to_owned(),
            Err(_) => Path::new(self.agent_id.as_deref().ok_or(Error::NotFound)?)
                .join(name.trim_start_matches('/')),
        };
        let mut parts = path.components();
        let mut next = || match parts.next() {
            Some(Component::Normal(part)) => part.to_str().ok_or(Error::NotFound),
            Some(Component::ParentDir) => Err(Error::Outside),
            _ => Err(Error::NotFound),
        };
        let fields = [next()?, next()?, next()?, next()?, next()?, next()?, next()?];
        let [agent, "frameworks", framework, "executors", executor, "runs", run] = fields else {
            return Err(Error::NotFound);
        };
        let mut sandbox = slaves;
        sandbox.extend([agent, "frameworks", framework, "executors", executor, "runs"]);
        let rest = parts.as_path().to_owned();
        if run == "latest" {
            let target = std::fs::read_link(sandbox.join(run))?;
            let mut parts = target.components();
            match (parts.next(), parts.next()) {
                (Some(Component::Normal(run)), None) => sandbox.push(run),
                _ => return Err(Error::Outside),
            }
        } else {
            sandbox.push(run);
        }
        Ok((sandbox, rest))
    }

    /// The files of a folder, by name.
    pub(crate) fn browse(&self, name: &str) -> Result<Vec<Info>, Error> {
        let folder = self.open(name)?;
        if !folder.metadata()?.is_dir() {
            return Err(Error::NotAFolder);
        }
        let base = name.trim_end_matches('/');
        let mut files = Vec::new();
        for entry in Dir::read_from(&folder).map_err(io::Error::from)?.take(LISTED_MAX) {
            let entry = entry.map_err(io::Error::from)?;
            let file = entry.file_name();
            if matches!(file.to_bytes(), b"." | b"..") {
                continue;
            }
            // Of the link itself: its target may be anywhere. Gone meanwhile
            // is not listed.
            let Ok(stat) = rustix::fs::statat(&folder, file, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            files.push(Info {
                path: format!("{base}/{}", file.to_string_lossy()),
                nlink: i32::try_from(stat.st_nlink).unwrap_or(i32::MAX),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified_s: stat.st_mtime,
                mode: stat.st_mode,
                uid: stat.st_uid,
                gid: stat.st_gid,
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// A part of a file and the file's length.
    pub(crate) fn read(
        &self,
        name: &str,
        offset: u64,
        length: u64,
    ) -> Result<(Vec<u8>, u64), Error> {
        let file = self.file(name)?;
        let size = file.metadata()?.len();
        let wanted = length.min(READ_BYTES_MAX).min(size.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        bytes.truncate(read);
        Ok((bytes, size))
    }

    /// A whole file.
    pub(crate) fn file(&self, name: &str) -> Result<File, Error> {
        let file = self.open(name)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir()
            || kind.is_fifo()
            || kind.is_socket()
            || kind.is_char_device()
            || kind.is_block_device()
        {
            return Err(Error::NotAFile);
        }
        Ok(file)
    }
}

impl Info {
    /// As `ls -l` writes it.
    pub(crate) fn mode_text(&self) -> String {
        let kind = match self.mode & 0o170_000 {
            0o040_000 => 'd',
            0o120_000 => 'l',
            0o010_000 => 'p',
            0o140_000 => 's',
            0o020_000 => 'c',
            0o060_000 => 'b',
            _ => '-',
        };
        let mut text = String::from(kind);
        for bit in (0..9).rev() {
            let letter = ['x', 'w', 'r'].get(bit % 3).copied().unwrap_or('-');
            text.push(if self.mode & (1 << bit) == 0 { '-' } else { letter });
        }
        text
    }

    pub(crate) fn user(&self) -> String {
        let user = nix::unistd::User::from_uid(self.uid.into()).ok().flatten();
        user.map_or_else(|| self.uid.to_string(), |user| user.name)
    }

    pub(crate) fn group(&self) -> String {
        let group = nix::unistd::Group::from_gid(self.gid.into()).ok().flatten();
        group.map_or_else(|| self.gid.to_string(), |group| group.name)
    }
}

/// The length of a file that was opened before.
pub(crate) fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.size())
}

#[cfg(test)]
mod tests;
