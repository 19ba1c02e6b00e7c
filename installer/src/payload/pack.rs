//! Making a packed installer. The same programs make the same bytes.

use super::*;

/// Why there is no packed installer.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read {}; --bin-dir must hold karmand and karman, --etcd-dir etcd and etcdctl", path.display())]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Payload(#[from] Error),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Writes `output`: the bare part of `installer` and the programs of both folders.
pub fn pack(
    installer: &Path,
    bin_dir: &Path,
    etcd_dir: &Path,
    output: &Path,
) -> Result<u64, PackError> {
    let bare = bare(installer)?;
    let mut programs = vec![(INSTALLER.to_owned(), None, Item::of_bytes(INSTALLER, &bare))];
    for (folder, names) in [(bin_dir, OWN_PROGRAMS), (etcd_dir, ETCD_PROGRAMS)] {
        for name in names {
            let path = folder.join(name);
            let bytes = std::fs::read(&path)
                .map_err(|source| PackError::Program { path: path.clone(), source })?;
            let inside = format!("bin/{name}");
            let item = Item::of_bytes(&inside, &bytes);
            programs.push((inside, Some(bytes), item));
        }
    }
    programs.sort_by(|one, other| one.0.cmp(&other.0));
    let write = |source| PackError::Write { path: output.to_owned(), source };
    let archive = archive(&programs).map_err(write)?;
    let unfinished = output.with_extension("new");
    let mut file = File::create(&unfinished).map_err(write)?;
    let hash = ring::digest::digest(&SHA256, &archive);
    let length = archive.len() as u64;
    let parts: [&[u8]; 5] = [&bare, &archive, hash.as_ref(), &length.to_le_bytes(), MAGIC];
    for part in parts {
        file.write_all(part).map_err(write)?;
    }
    let rights = std::os::unix::fs::PermissionsExt::from_mode(PROGRAM_MODE);
    file.set_permissions(rights).and_then(|()| file.sync_all()).map_err(write)?;
    std::fs::rename(&unfinished, output).map_err(write)?;
    Ok(bare.len() as u64 + length + TRAILER_BYTES)
}

/// An installer without what it carries.
fn bare(installer: &Path) -> Result<Vec<u8>, PackError> {
    let read = |source| Error::Read { path: installer.to_owned(), source };
    let end = match Payload::open(installer) {
        Ok(payload) => Some(payload.bare),
        Err(Error::Bare { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let file = File::open(installer).map_err(read)?;
    file.take(end.unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

fn archive(programs: &[(String, Option<Vec<u8>>, Item)]) -> io::Result<Vec<u8>> {
    let items: Vec<&Item> = programs.iter().map(|(_, _, item)| item).collect();
    let list = serde_json::to_vec_pretty(&items)?;
    // The default header of a stream has neither a time nor a name in it.
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
    append(&mut archive, LIST, 0o644, &list)?;
    for (path, bytes, item) in programs {
        if let Some(bytes) = bytes {
            append(&mut archive, path, item.mode, bytes)?;
        }
    }
    archive.into_inner()?.finish()
}

/// A file without an owner and a time.
pub(crate) fn append<W: io::Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, path, bytes)
}
