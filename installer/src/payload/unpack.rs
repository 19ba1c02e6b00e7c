//! Taking files out of a packed installer.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;

use flate2::read::GzDecoder;

use super::*;

type Archive = tar::Archive<GzDecoder<io::Take<File>>>;

impl Payload {
    pub(super) fn archive(&self) -> Result<Archive, Error> {
        let read = |source| Error::Read { path: self.file.clone(), source };
        let mut file = File::open(&self.file).map_err(read)?;
        file.seek(SeekFrom::Start(self.bare)).map_err(read)?;
        Ok(tar::Archive::new(GzDecoder::new(file.take(self.length))))
    }

    /// Writes files of the release, by their path in it, to where they belong.
    /// A file appears whole and with the right hash, or not at all.
    pub fn unpack(&self, wanted: &BTreeMap<String, PathBuf>) -> Result<(), Error> {
        if let Some(to) = wanted.get(INSTALLER) {
            let read = |source| Error::Read { path: self.file.clone(), source };
            let bare = File::open(&self.file).map_err(read)?.take(self.bare);
            self.place(INSTALLER, bare, to)?;
        }
        let damaged = |error: io::Error| Error::Damaged {
            path: self.file.clone(),
            what: format!("what it carries cannot be unpacked: {error}"),
        };
        let mut left = wanted.len() - usize::from(wanted.contains_key(INSTALLER));
        let mut archive = self.archive()?;
        for entry in archive.entries().map_err(damaged)? {
            if left == 0 {
                break;
            }
            let entry = entry.map_err(damaged)?;
            let path = entry.path().map_err(damaged)?.display().to_string();
            if let Some(to) = wanted.get(&path) {
                self.place(&path, entry, to)?;
                left -= 1;
            }
        }
        if left == 0 {
            return Ok(());
        }
        let what = "a file of its list is missing".to_owned();
        Err(Error::Damaged { path: self.file.clone(), what })
    }

    fn place(&self, path: &str, mut from: impl io::Read, to: &Path) -> Result<(), Error> {
        let write = |source| Error::Write { path: to.to_owned(), source };
        let item = self.items.iter().find(|item| item.path == path);
        let mode = item.map_or(PROGRAM_MODE, |item| item.mode);
        let unfinished = to.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(mode).open(&unfinished);
        let mut file = file.map_err(write)?;
        let (sha256, _size) = copy(&mut from, &mut file).map_err(write)?;
        if item.is_none_or(|item| item.sha256 != sha256) {
            let what = format!("{path} does not have the hash that is on its list");
            return Err(Error::Damaged { path: self.file.clone(), what });
        }
        let rights = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(rights).and_then(|()| file.sync_all()).map_err(write)?;
        std::fs::rename(&unfinished, to).map_err(write)
    }
}
