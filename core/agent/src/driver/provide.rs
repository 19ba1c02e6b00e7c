//! What a container is made of besides its command: the image, the folders of
//! its volumes, its secrets. All of it is gone when the container is.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Component, Path, PathBuf};

use karman_container::passwd;
use karman_image::{Image, Policy, Store};
use rustix::fs::{Mode, OFlags};
use tokio::sync::watch;

use crate::admit::{self, From, Plan, Wanted};
use crate::settings::Settings;

/// For the agent only.
const PRIVATE: u32 = 0o700;

/// For the user of a task only.
const SECRET_MODE: u32 = 0o400;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("This agent runs no images")]
    NoStore,
    #[error(transparent)]
    Pull(#[from] karman_image::Failed),
    #[error(transparent)]
    Hold(#[from] karman_image::HoldError),
    #[error(transparent)]
    User(#[from] passwd::Error),
    #[error("cannot make {}", path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Compose(#[from] admit::ComposeError),
    #[error("cannot write the launch record")]
    Launch(#[source] io::Error),
    #[error("cannot run beside the asynchronous tasks")]
    Join(#[from] io::Error),
}

/// Images that are here, and held.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) own: Option<Image>,
    pub(super) volumes: Vec<Vec<PathBuf>>,
}

/// Pulls what the container is made of. Nobody else waits while that takes long.
pub(super) async fn pull(
    store: Option<&Store>,
    container_id: &str,
    plan: &Plan,
) -> Result<Images, Error> {
    let mut images = Images::default();
    if let Some(wanted) = &plan.container.image {
        images.own = Some(one(store, container_id, wanted).await?);
    }
    for (number, volume) in plan.container.volumes.iter().enumerate() {
        if let From::Image(wanted) = &volume.from {
            let image = one(store, &format!("{container_id}.{number}"), wanted).await?;
            images.volumes.push(image.layers.clone());
        }
    }
    Ok(images)
}

async fn one(store: Option<&Store>, holder: &str, wanted: &Wanted) -> Result<Image, Error> {
    let store = store.ok_or(Error::NoStore)?;
    let Wanted { reference, cached, auth } = wanted;
    let policy = if *cached { Policy::Cached } else { Policy::Fresh };
    let (progress, _) = watch::channel(karman_image::Progress::default());
    let image = store.pull(reference, auth, policy, progress).await?;
    store.hold(&image, holder)?;
    Ok(image)
}

/// Nothing of the container is needed any more.
pub(super) fn release(settings: &Settings, container_id: &str) {
    for folder in [settings.files(container_id), settings.secrets(container_id)] {
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(container_id, error = error.to_string(), "a container leaves files");
        }
    }
    let Some(store) = &settings.images else { return };
    let held = store.holds();
    for holder in held.keys().filter(|holder| container_of(holder) == container_id) {
        if let Err(error) = store.release(holder) {
            tracing::warn!(container_id, error = karman_rt::chain(&error), "an image stays held");
        }
    }
}

/// Takes back what belongs to no container any more: their ends were not seen
/// by the process that made it.
pub(crate) fn sweep(settings: &Settings, known: &BTreeSet<String>) {
    let folders = [settings.all_files(), settings.all_secrets()];
    let listed = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    let folders =
        listed.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let holds = settings.images.as_ref().map(Store::holds).unwrap_or_default();
    let holders = holds.into_keys().map(|holder| container_of(&holder).to_owned());
    let left: BTreeSet<String> = folders.chain(holders).filter(|id| !known.contains(id)).collect();
    for id in left {
        release(settings, &id);
    }
}

/// A volume's image is held under the id of its container and a number.
fn container_of(holder: &str) -> &str {
    holder.split('.').next().unwrap_or(holder)
}

/// Owner of what the task may write, if it is not the agent.
pub(super) type Owner = Option<(u32, u32)>;

/// Who the user is in the image; on the machine where there is none.
pub(super) fn owner(user: Option<&str>, image: Option<&Image>) -> Result<Owner, Error> {
    let (Some(user), Some(image)) = (user, image) else { return Ok(None) };
    let found = passwd::find(user, &text(image, "passwd"), &text(image, "group"))?;
    Ok(Some((found.uid, found.gid)))
}

/// A file of `/etc` in the topmost layer that has it; what is no file is nothing.
fn text(image: &Image, name: &str) -> String {
    let read = |layer: &PathBuf| -> io::Result<String> {
        let etc = open(layer, OFlags::DIRECTORY)
            .and_then(|root| below(&root, "etc", OFlags::DIRECTORY))?;
        let file = File::from(below(&etc, name, OFlags::NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        file.take(passwd::FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    image.layers.iter().find_map(|layer| read(layer).ok()).unwrap_or_default()
}

/// The folders for what is written into an image, as the image's own root is.
pub(super) fn files(files: &Path, image: &Image) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Make { path, source }
    };
    let (upper, work) = (admit::upper(files), admit::work(files));
    let folders = DirBuilder::new().mode(PRIVATE).recursive(true).create(files);
    folders.map_err(failed(files))?;
    for folder in [&upper, &work] {
        exists(fs::create_dir(folder)).map_err(failed(folder))?;
    }
    if let Some(layer) = image.layers.first() {
        let root = fs::metadata(layer).map_err(failed(layer))?;
        fs::set_permissions(&upper, root.permissions()).map_err(failed(&upper))?;
        chown(&upper, Some(root.uid()), Some(root.gid())).map_err(failed(&upper))?;
    }
    Ok(())
}

/// Writes the secrets of a container into a folder; their paths, in order.
pub(super) fn write_secrets(
    folder: &Path,
    plan: &Plan,
    owner: Owner,
) -> Result<Vec<PathBuf>, Error> {
    let values = plan.container.volumes.iter().filter_map(|volume| match &volume.from {
        From::Secret(value) => Some(value),
        From::Machine(_) | From::Sandbox(_) | From::Parent(_) | From::Image(_) => None,
    });
    let mut paths = Vec::new();
    for (number, value) in values.enumerate() {
        let path = folder.join(number.to_string());
        let failed = |source| Error::Make { path: path.clone(), source };
        DirBuilder::new().mode(PRIVATE).recursive(true).create(folder).map_err(failed)?;
        exists(fs::remove_file(&path)).map_err(failed)?;
        let options = File::options().write(true).create_new(true).mode(SECRET_MODE).open(&path);
        let mut file = options.map_err(failed)?;
        file.write_all(value).map_err(failed)?;
        if let Some((uid, gid)) = owner {
            chown(&path, Some(uid), Some(gid)).map_err(failed)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Makes the folders of volumes that lie in a sandbox.
pub(super) fn folders(
    sandbox: &Path,
    parent: Option<&Path>,
    plan: &Plan,
    owner: Owner,
) -> Result<(), Error> {
    for volume in &plan.container.volumes {
        let (base, path) = match &volume.from {
            From::Sandbox(path) => (sandbox, path),
            From::Parent(path) => (parent.unwrap_or(sandbox), path),
            From::Machine(_) | From::Image(_) | From::Secret(_) => continue,
        };
        make_below(base, path, owner)
            .map_err(|source| Error::Make { path: base.join(path), source })?;
    }
    Ok(())
}

/// What others put into the sandbox leads nowhere else.
fn make_below(base: &Path, path: &Path, owner: Owner) -> io::Result<()> {
    let mut at = open(base, OFlags::DIRECTORY)?;
    for part in path.components() {
        let Component::Normal(name) = part else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let made = rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755));
        let next = rustix::fs::openat(
            &at,
            name,
            OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY,
            Mode::empty(),
        )?;
        if let (Ok(()), Some((uid, gid))) = (made, owner) {
            std::os::unix::fs::fchown(&next, Some(uid), Some(gid))?;
        }
        at = next;
    }
    Ok(())
}

/// Gives a sandbox with what was fetched into it to a user of the image.
pub(super) fn give(sandbox: &Path, (uid, gid): (u32, u32)) -> Result<(), Error> {
    let failed = |source| Error::Make { path: sandbox.to_owned(), source };
    let mut folders = vec![sandbox.to_owned()];
    while let Some(folder) = folders.pop() {
        std::os::unix::fs::lchown(&folder, Some(uid), Some(gid)).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_type().map_err(failed)? {
                kind if kind.is_dir() => folders.push(entry.path()),
                _ => {
                    std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid))
                        .map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn below(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// Done before, it need not be done again.
fn exists(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        other => other,
    }
}
