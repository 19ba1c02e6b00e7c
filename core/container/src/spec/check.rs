//! Containers that cannot be, and why. Pure.

use std::path::{Component, Path, PathBuf};

use super::{Namespace, Root, Source, Spec};

/// More layers than any image has; the kernel takes 500.
const LAYERS_MAX: usize = 256;

/// Of the kernel.
const HOSTNAME_BYTES_MAX: usize = 64;

/// Why no container can be made of a specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the command, an argument, a variable or a path holds a NUL character")]
    Nul,
    #[error("{} is no place in a container; use an absolute path without '..'", path.display())]
    Path { path: PathBuf },
    #[error("nothing can be put at {}, which is the kernel's", path.display())]
    Kernel { path: PathBuf },
    #[error("an image has {layers} layers; 1 to {LAYERS_MAX} can be put on each other")]
    Layers { layers: usize },
    #[error("{what} needs a mount namespace of its own")]
    NeedsMounts { what: &'static str },
    #[error(
        "the hostname '{name}' is not possible here; it needs 1 to {HOSTNAME_BYTES_MAX} characters and a uts namespace of its own"
    )]
    Hostname { name: String },
    #[error(
        "a map of users needs namespaces of its own for mounts and processes, and at least one range each for users and groups"
    )]
    Users,
}

pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    texts(spec)?;
    for mount in &spec.mounts {
        place(&mount.target)?;
        kernel(&mount.source, &mount.target)?;
        if let Source::Image(layers) = &mount.source {
            count(layers)?;
        }
    }
    spec.hidden.iter().try_for_each(|path| place(path))?;
    if let Root::Image { lower, .. } = &spec.root {
        count(lower)?;
    }
    own_mounts(spec)?;
    if let Some(name) = &spec.hostname {
        let fits = (1..=HOSTNAME_BYTES_MAX).contains(&name.len());
        if !fits || spec.namespaces.uts != Namespace::Own {
            return Err(Error::Hostname { name: name.clone() });
        }
    }
    Ok(())
}

fn texts(spec: &Spec) -> Result<(), Error> {
    let process = &spec.process;
    let variables = process.environment.iter().flat_map(|(name, value)| [name, value]);
    let mut texts = process.arguments.iter().chain([&process.program]).chain(variables);
    let nul = |path: &Path| path.as_os_str().as_encoded_bytes().contains(&0);
    let sources = spec.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Bind(path) | Source::Below { path, .. } => Some(path),
        Source::Image(_)
        | Source::Tmpfs { .. }
        | Source::Proc
        | Source::Sys
        | Source::Devpts
        | Source::Shm { .. }
        | Source::Mqueue => None,
    });
    let mut paths = sources.chain([&process.directory]);
    if texts.any(|text| text.contains('\0')) || paths.any(|path| nul(path)) {
        return Err(Error::Nul);
    }
    Ok(())
}

/// Whether something can be put there without leaving the container.
fn place(path: &Path) -> Result<(), Error> {
    let mut parts = path.components();
    let rooted = parts.next() == Some(Component::RootDir);
    let mut length = 0;
    let plain = parts.all(|part| {
        length += 1;
        matches!(part, Component::Normal(name) if !name.as_encoded_bytes().contains(&0))
    });
    if rooted && plain && length > 0 { Ok(()) } else { Err(Error::Path { path: path.to_owned() }) }
}

/// What the kernel shows of itself is masked; nobody puts something else there.
fn kernel(source: &Source, target: &Path) -> Result<(), Error> {
    let own = match source {
        Source::Proc => target == Path::new("/proc"),
        Source::Sys => target == Path::new("/sys"),
        Source::Bind(_)
        | Source::Below { .. }
        | Source::Image(_)
        | Source::Tmpfs { .. }
        | Source::Devpts
        | Source::Shm { .. }
        | Source::Mqueue => !["/proc", "/sys"].iter().any(|kernels| target.starts_with(kernels)),
    };
    if own { Ok(()) } else { Err(Error::Kernel { path: target.to_owned() }) }
}

fn count(layers: &[PathBuf]) -> Result<(), Error> {
    match layers.len() {
        1..=LAYERS_MAX => Ok(()),
        layers => Err(Error::Layers { layers }),
    }
}

fn own_mounts(spec: &Spec) -> Result<(), Error> {
    if spec.namespaces.mount == Namespace::Own {
        return Ok(());
    }
    let wanted = [
        (matches!(spec.root, Root::Image { .. }), "an image"),
        (!spec.mounts.is_empty(), "a volume"),
        (!spec.hidden.is_empty(), "hiding a folder"),
        (spec.namespaces.pid == Namespace::Own, "a pid namespace"),
        (spec.namespaces.ipc == Namespace::Own, "an ipc namespace"),
    ];
    match wanted.into_iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::NeedsMounts { what }),
        None => Ok(()),
    }
}
