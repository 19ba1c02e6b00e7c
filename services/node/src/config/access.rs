//! Who may call the master: `master.credentials` and `master.authenticate`.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use karman_master::access::{Access, Credentials};

use crate::reader::Reader;

/// The principals under which Karman's own services call: the orchestrator, and
/// all others. Their secrets are made anew with every start.
pub(crate) const ORCHESTRATOR: &str = "marathon";
pub(crate) const SERVICES: &str = "karman";

/// Bits of a file's mode that let others than its owner in.
const OTHERS: u32 = 0o077;

/// Why a file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read the file '{}': {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("others may read the file '{}' (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("the file '{}': {}", path.display(), karman_rt::chain(source))]
    Form { path: PathBuf, source: karman_master::access::Error },
    #[error("the file '{}' names '{principal}', which Karman itself uses; choose another principal", path.display())]
    Reserved { path: PathBuf, principal: &'static str },
}

/// With credentials all doors ask for them, unless `authenticate` names some;
/// with `authenticate` alone, only Karman's own services get in at those.
pub(super) fn read(file: &mut Reader<'_>, flag: Option<&Path>) -> Access {
    let path = flag.map(Path::to_owned).or_else(|| Some(file.text("master.credentials")?.into()));
    let credentials = path.map(|path| credentials(&path).map_err(|error| error.to_string()));
    let credentials = match credentials {
        Some(Ok(credentials)) => Some(credentials),
        Some(Err(problem)) => {
            let key = if flag.is_some() { "--credentials" } else { "master.credentials" };
            file.mistake(key, problem);
            None
        }
        None => None,
    };
    let Some(doors) = file.texts("master.authenticate") else {
        return credentials.map_or_else(Access::default, Access::everywhere);
    };
    let mut access = Access { credentials: credentials.unwrap_or_default(), ..Access::default() };
    for door in doors {
        match door.as_str() {
            "readonly" => access.readonly = true,
            "readwrite" => access.readwrite = true,
            "frameworks" => access.frameworks = true,
            other => file.mistake(
                "master.authenticate",
                format!("'{other}' is not known; write readonly, readwrite or frameworks"),
            ),
        }
    }
    access
}

fn credentials(path: &Path) -> Result<Credentials, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(Error::Open { path: path.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let credentials = Credentials::parse(&text)
        .map_err(|source| Error::Form { path: path.to_owned(), source })?;
    match [ORCHESTRATOR, SERVICES].into_iter().find(|principal| credentials.has(principal)) {
        Some(principal) => Err(Error::Reserved { path: path.to_owned(), principal }),
        None => Ok(credentials),
    }
}
