//! The place of a file in a sandbox.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::{Download, RESERVED, Reason, User, blocking, reopen};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::unpack::{self, Limits, Owner, Stop};

const COPY_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) struct Place {
    sandbox: PathBuf,
    to: PathBuf,
    executable: bool,
    owner: Option<Owner>,
    limits: Limits,
}

impl Place {
    pub(super) fn of(
        download: &Download,
        sandbox: &Path,
        user: Option<&User>,
        limits: Limits,
    ) -> Result<Self, Reason> {
        let to = PathBuf::from(&download.to);
        let plain = to.components().all(|part| matches!(part, Component::Normal(_)));
        let reserved = RESERVED.iter().any(|name| to.starts_with(name));
        if !plain || reserved || to.as_os_str().is_empty() {
            return Err(Reason::Name { name: download.to.clone() });
        }
        Ok(Self {
            sandbox: sandbox.to_owned(),
            to,
            executable: download.executable,
            owner: user.map(|user| user.owner),
            limits,
        })
    }

    /// An empty file, instead of whatever was there.
    pub(super) async fn create(&self) -> Result<File, Reason> {
        let place = self.clone();
        blocking(move || place.create_now()).await
    }

    fn create_now(&self) -> Result<File, Reason> {
        unpack::create_beneath(&self.sandbox, &self.to, self.owner).map_err(Reason::Place)
    }

    /// Copies what is on this machine already.
    pub(super) async fn copy(&self, source: File, checksum: Option<Digest>) -> Result<(), Reason> {
        let place = self.clone();
        let stop = Stop::default();
        let _guard = stop.guard();
        blocking(move || {
            let bytes_max = place.limits.bytes_max;
            if source.metadata()?.len() > bytes_max {
                return Err(Reason::TooLarge { bytes_max });
            }
            let mut target = place.create_now()?;
            match checksum {
                // The kernel may share the blocks instead of copying them.
                None => drop(io::copy(&mut &source, &mut target)?),
                Some(wanted) => checked(&source, &target, &wanted, &stop)?,
            }
            Ok(())
        })
        .await
    }

    /// Gives the file its mode; its owner it has.
    pub(super) async fn finish(&self) -> Result<(), Reason> {
        let place = self.clone();
        blocking(move || {
            let mode = if place.executable { 0o755 } else { 0o644 };
            let file = unpack::open_beneath(&place.sandbox, &place.to).map_err(Reason::Place)?;
            Ok(file.set_permissions(std::fs::Permissions::from_mode(mode))?)
        })
        .await
    }
}

fn checked(source: &File, mut target: &File, wanted: &Digest, stop: &Stop) -> Result<(), Reason> {
    let mut hasher = Hasher::new(wanted.algorithm());
    let (mut source, mut buffer) = (reopen(source)?, vec![0; COPY_BYTES]);
    loop {
        if stop.is_stopped() {
            return Err(io::Error::from(io::ErrorKind::Interrupted).into());
        }
        let read = source.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let part = buffer.get(..read).unwrap_or_default();
        hasher.update(part);
        target.write_all(part)?;
    }
    check(hasher, wanted)
}

/// Compares what came with what was to come.
pub(super) fn check(hasher: Hasher, wanted: &Digest) -> Result<(), Reason> {
    let found = hasher.finish();
    if found == *wanted { Ok(()) } else { Err(Reason::Checksum { wanted: wanted.clone(), found }) }
}

/// Reckons what was wanted, or something.
pub(super) fn hasher(wanted: Option<&Digest>) -> Hasher {
    Hasher::new(wanted.map_or(Algorithm::Sha256, Digest::algorithm))
}
