//! The folders of persistent volumes.
//!
//! ```text
//! volumes/roles/<role>/<id>   a volume
//! volumes/aside/…             found where a new one was to be: of an agent that
//!                             was removed, kept for whoever wants it
//! volumes/trash/…             deleted as soon as there is time
//! ```
//!
//! A volume goes by one rename, so that there is never a half of one.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tracing::{info, warn};
use uuid::Uuid;

use crate::disk;
use crate::volumes::{Place, Volume};

/// Others on the machine do not look into a volume.
const MODE: u32 = 0o750;

const TRASH: &str = "trash";

/// Makes sure of a folder for the volume. What lies there already belongs to it
/// if `adopt`, else to somebody else, and is set aside.
pub(crate) fn make(work_dir: &Path, volume: &Volume, adopt: bool) -> io::Result<()> {
    let path = volume.path(work_dir);
    if let Place::Mount(_) = volume.place {
        // Somebody else mounts it.
        return fs::read_dir(&path).map(drop);
    }
    if path.is_dir() {
        if adopt || is_empty(&path)? {
            return Ok(());
        }
        set_aside(work_dir, volume, &path)?;
    }
    let Some(parent) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs::create_dir_all(parent)?;
    DirBuilder::new().mode(MODE).create(&path)?;
    disk::sync_dir(parent)?;
    info!(folder = %path.display(), "persistent volume created");
    Ok(())
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

fn set_aside(work_dir: &Path, volume: &Volume, path: &Path) -> io::Result<()> {
    let folder = volume.base(work_dir).join("aside");
    fs::create_dir_all(&folder)?;
    let role = volume.role.replace('/', " ");
    let aside = folder.join(format!("{role} {} {}", volume.id, Uuid::new_v4()));
    fs::rename(path, &aside)?;
    warn!(
        folder = %path.display(),
        aside = %aside.display(),
        "a new persistent volume found files of an earlier agent; they are set aside"
    );
    Ok(())
}

/// Takes the volume away; what was in it is deleted by [`empty_trash`].
pub(crate) fn retire(work_dir: &Path, volume: &Volume) -> io::Result<()> {
    let path = volume.path(work_dir);
    if !path.exists() {
        return Ok(());
    }
    let trash = volume.base(work_dir).join(TRASH);
    let grave = trash.join(Uuid::new_v4().to_string());
    match volume.place {
        Place::Work | Place::Path(_) => {
            fs::create_dir_all(&trash)?;
            fs::rename(&path, &grave)?;
            path.parent().map_or(Ok(()), disk::sync_dir)?;
        }
        // The mount point stays.
        Place::Mount(_) => {
            fs::create_dir_all(&grave)?;
            for entry in fs::read_dir(&path)? {
                let name = entry?.file_name();
                if name != OsStr::new(TRASH) {
                    fs::rename(path.join(&name), grave.join(&name))?;
                }
            }
            disk::sync_dir(&path)?;
        }
    }
    info!(folder = %path.display(), "persistent volume destroyed");
    Ok(())
}

/// Deletes what is left of volumes of these disks.
pub(crate) fn empty_trash(bases: Vec<PathBuf>) {
    for base in bases {
        let trash = base.join(TRASH);
        match fs::remove_dir_all(&trash) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Tried again at the next occasion, at the latest at the next
                // start.
                warn!(folder = %trash.display(), error = error.to_string(), "cannot delete");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(id: &str) -> Volume {
        Volume { place: Place::Work, role: "eng/web".into(), id: id.into() }
    }

    #[test]
    fn a_volume_is_made_kept_and_taken_away_whole() {
        let work_dir = tempfile::tempdir().unwrap();
        let (work_dir, volume) = (work_dir.path(), volume("v"));
        make(work_dir, &volume, false).unwrap();
        let path = work_dir.join("volumes/roles/eng web/v");
        assert!(path.is_dir());
        // Made again by an agent that forgot: as it was.
        make(work_dir, &volume, false).unwrap();
        fs::write(path.join("data"), "x").unwrap();
        make(work_dir, &volume, true).unwrap();
        assert!(path.join("data").exists());
        retire(work_dir, &volume).unwrap();
        retire(work_dir, &volume).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read_dir(work_dir.join("volumes/trash")).unwrap().count(), 1);
        empty_trash(vec![volume.base(work_dir)]);
        assert!(!work_dir.join("volumes/trash").exists());
    }

    #[test]
    fn files_of_others_are_set_aside() {
        let work_dir = tempfile::tempdir().unwrap();
        let (work_dir, volume) = (work_dir.path(), volume("v"));
        let path = volume.path(work_dir);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("secret"), "x").unwrap();
        make(work_dir, &volume, false).unwrap();
        assert!(is_empty(&path).unwrap());
        let aside = fs::read_dir(work_dir.join("volumes/aside")).unwrap().next().unwrap().unwrap();
        assert!(aside.path().join("secret").exists());
    }

    #[test]
    fn a_mount_point_outlives_its_volume() {
        let disk = tempfile::tempdir().unwrap();
        let volume = Volume { place: Place::Mount(disk.path().into()), ..volume("v") };
        let work_dir = Path::new("/none");
        make(work_dir, &volume, false).unwrap();
        fs::write(disk.path().join("data"), "x").unwrap();
        retire(work_dir, &volume).unwrap();
        empty_trash(vec![volume.base(work_dir)]);
        assert!(is_empty(disk.path()).unwrap());
    }
}
