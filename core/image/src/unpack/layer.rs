//! Unpacks one layer into a folder that overlayfs can stack.
//!
//! What a layer removes becomes what overlayfs understands: devices 0:0 and
//! marked folders. What depends on the layers below is only noted here and done
//! by [`super::settle`], so that all layers of an image can be unpacked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FileType, Mode, makedev};

use super::meter::{Meter, Stop, reason};
use super::path::{clean, shown, split};
use super::tar::{self, Entry, Kind};
use super::tree::{
    Attributes, Before, Links, Ownership, Policy, Times, Tree, is_opaque, make_opaque,
};
use super::{Error, Limits, compression};
use crate::digest::{Algorithm, Digest};

/// Removes what lies below under the rest of the name.
const WHITEOUT: &[u8] = b".wh.";
/// Removes all that lies below in this folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other notes of a file system that is no longer in use.
const NOTES: &[u8] = b".wh..wh.";

/// Devices that give nothing away: null, zero, full, random, urandom and tty.
/// Others would be doors into the host, and are made by the agent where a task
/// may have them.
const DEVICES: [(u32, u32); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];

/// Of an entry beside its data.
const ENTRY_BYTES: u64 = 1024;

/// What became of a layer.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// Of the archive without its compression.
    pub(crate) diff: Option<Digest>,
    /// Of the archive as it was packed, if asked for.
    pub(crate) packed: Option<Digest>,
    /// On the disk.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Devices that were left out.
    pub(crate) devices_skipped: u64,
    /// Folders that the layer does not describe, the root among them.
    pub(crate) implied: BTreeSet<PathBuf>,
    /// Hard links to files of layers below.
    pub(crate) borrowed: BTreeMap<PathBuf, PathBuf>,
}

impl Unpacked {
    /// About what it takes on the disk: every entry takes a little.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.entries.saturating_mul(ENTRY_BYTES))
    }
}

/// A layer to unpack.
#[derive(Debug)]
pub(crate) struct LayerJob {
    pub(crate) archive: File,
    /// Exists and is empty.
    pub(crate) folder: PathBuf,
    /// Whether to reckon the digest of the archive as it is packed.
    pub(crate) packed: Option<Algorithm>,
    pub(crate) diff: Algorithm,
    pub(crate) limits: Limits,
    pub(crate) stop: Stop,
    /// Bytes of the archive that were read.
    pub(crate) seen: Arc<AtomicU64>,
}

/// Unpacks a layer. What it leaves behind after an error is of no use.
pub(crate) fn unpack(job: LayerJob) -> Result<Unpacked, Error> {
    let LayerJob { archive, folder, packed, diff, limits, stop, seen } = job;
    let mut source = Meter::new(archive, u64::MAX, &stop).seen_by(Some(seen));
    if let Some(algorithm) = packed {
        source = source.hashed(algorithm);
    }
    let (mut unpacked, source) = read(source, &folder, diff, limits, &stop)?;
    unpacked.packed = source;
    Ok(unpacked)
}

/// Unpacks layers on top of each other, lowest first, into numbered folders
/// below an empty one, as a store does. Returns them topmost first.
///
/// # Errors
/// A layer cannot be unpacked.
pub fn stack<R: Read + Send>(
    layers: impl IntoIterator<Item = R>,
    folder: &Path,
    limits: Limits,
) -> Result<Vec<PathBuf>, Error> {
    let mut lowers: Vec<PathBuf> = Vec::new();
    for (number, layer) in layers.into_iter().enumerate() {
        let path = folder.join(number.to_string());
        std::fs::create_dir(&path).map_err(|source| Error::Open { path: path.clone(), source })?;
        let unpacked = layer_of(layer, &path, limits)?;
        super::settle(&path, &unpacked, &lowers, limits)?;
        lowers.insert(0, path);
    }
    Ok(lowers)
}

/// Unpacks the layer that `input` gives into an empty folder.
pub(super) fn layer_of(
    input: impl Read + Send,
    folder: &Path,
    limits: Limits,
) -> Result<Unpacked, Error> {
    let stop = Stop::default();
    let source = Meter::new(input, u64::MAX, &stop);
    read(source, folder, Algorithm::Sha256, limits, &stop).map(|(unpacked, _)| unpacked)
}

fn read<R: Read + Send>(
    mut source: Meter<R>,
    folder: &Path,
    diff: Algorithm,
    limits: Limits,
    stop: &Stop,
) -> Result<(Unpacked, Option<Digest>), Error> {
    let mut layer = Layer::open(folder, limits)?;
    let (_, plain) = compression::open(&mut source).map_err(reason)?;
    let plain = Meter::new(plain, limits.bytes_max, stop).hashed(diff);
    let mut entries = tar::Reader::new(plain);
    while let Some(entry) = entries.next_entry()? {
        layer.entry(&entry, &mut entries.data())?;
    }
    entries.drain()?;
    let diff = entries.into_input().digest();
    // What a decompressor left behind belongs to the digest of the whole.
    std::io::copy(&mut source, &mut std::io::sink()).map_err(reason)?;
    let unpacked = layer.finish()?;
    Ok((Unpacked { diff, ..unpacked }, source.digest()))
}

struct Layer {
    tree: Tree,
    policy: Policy,
    limits: Limits,
    entries: u64,
    devices_skipped: u64,
    root_described: bool,
    borrowed: BTreeMap<PathBuf, PathBuf>,
    times: BTreeMap<PathBuf, Times>,
}

impl Layer {
    fn open(folder: &Path, limits: Limits) -> Result<Self, Error> {
        let tree = Tree::open(folder, Links::InRoot, limits)?;
        let root = rustix::process::geteuid().is_root();
        let owner = if root { Ownership::Kept } else { Ownership::Own };
        Ok(Self {
            tree,
            policy: Policy { owner, mode_mask: 0o7777, mode_added: 0, extended: true },
            limits,
            entries: 0,
            devices_skipped: 0,
            root_described: false,
            borrowed: BTreeMap::new(),
            times: BTreeMap::new(),
        })
    }

    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), Error> {
        let entries_max = self.limits.entries_max;
        self.entries += 1;
        if self.entries > entries_max {
            return Err(Error::TooMany { entries_max });
        }
        let path = clean(&entry.path)?;
        let name = path.file_name().unwrap_or_default().as_bytes();
        let above = path.parent().unwrap_or(Path::new(""));
        if above.iter().any(|part| part.as_bytes().starts_with(WHITEOUT)) {
            let problem = "a folder in it has the name of something that is removed";
            return Err(Error::Path { path: shown(&entry.path), problem });
        }
        if name == OPAQUE {
            return self.opaque(above);
        }
        if name.starts_with(NOTES) {
            return Ok(());
        }
        match name.strip_prefix(WHITEOUT) {
            Some(gone) => self.whiteout(&path, OsStr::from_bytes(gone)),
            None => self.make(entry, &path, data),
        }
    }

    fn opaque(&mut self, path: &Path) -> Result<(), Error> {
        let folder = self.tree.folder(path)?;
        make_opaque(&folder).map_err(|errno| written(path, errno))
    }

    fn whiteout(&mut self, path: &Path, gone: &OsStr) -> Result<(), Error> {
        if gone.is_empty() || gone == "." || gone == ".." {
            return Err(Error::Escapes { path: shown(path.as_os_str().as_bytes()) });
        }
        let path = path.with_file_name(gone);
        let Some((folder, name)) = self.tree.place(&path)? else { return Ok(()) };
        match Tree::before(&folder, name).map_err(|errno| written(&path, errno))? {
            Before::Nothing => {
                rustix::fs::mknodat(&folder, name, FileType::CharacterDevice, Mode::empty(), 0)
                    .map_err(|errno| written(&path, errno))
            }
            // It removes what lies below, not what this layer brings.
            Before::Directory => self.opaque(&path),
            Before::Whiteout | Before::Other => Ok(()),
        }
    }

    fn make(&mut self, entry: &Entry, path: &Path, data: &mut impl Read) -> Result<(), Error> {
        let attributes = Attributes::of(entry, &self.policy);
        self.borrowed.remove(path);
        match &entry.kind {
            Kind::File { .. } => self.tree.file(path, data, &attributes),
            Kind::Sparse { size, pieces } => {
                self.tree.sparse(path, (*size, pieces), data, &attributes)
            }
            Kind::Directory => self.directory(path, &attributes),
            Kind::Symlink { target } => self.tree.symlink(path, target, &attributes),
            Kind::HardLink { target } => self.hard_link(path, target),
            Kind::Fifo => self.tree.node(path, FileType::Fifo, 0, &attributes),
            Kind::Character { major, minor } if DEVICES.contains(&(*major, *minor)) => {
                let device = makedev(*major, *minor);
                self.tree.node(path, FileType::CharacterDevice, device, &attributes)
            }
            Kind::Character { .. } | Kind::Block { .. } => {
                self.devices_skipped += 1;
                Ok(())
            }
        }
    }

    fn directory(&mut self, path: &Path, attributes: &Attributes<'_>) -> Result<(), Error> {
        let before = self.tree.directory(path, attributes)?;
        if before == Before::Whiteout {
            self.opaque(path)?;
        }
        self.tree.is_described(path);
        self.root_described |= path.as_os_str().is_empty();
        self.times.insert(path.to_owned(), attributes.times());
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, target: &[u8]) -> Result<(), Error> {
        let target = clean(target)?;
        if !self.tree.hard_link(path, &target)? {
            // The folder must be there when the file is fetched from below.
            if let Some((folder, _)) = split(path) {
                self.tree.folder(folder)?;
            }
            let target = self.borrowed.get(&target).cloned().unwrap_or(target);
            self.borrowed.insert(path.to_owned(), target);
        }
        Ok(())
    }

    fn finish(self) -> Result<Unpacked, Error> {
        let Self { tree, entries, devices_skipped, root_described, borrowed, times, .. } = self;
        for (path, times) in &times {
            tree.set_times(path, times)?;
        }
        let bytes = tree.written();
        let mut implied = tree.into_implied();
        if !root_described {
            implied.insert(PathBuf::new());
        }
        Ok(Unpacked { bytes, entries, devices_skipped, implied, borrowed, ..Unpacked::default() })
    }
}

fn written(path: &Path, errno: rustix::io::Errno) -> Error {
    Error::Write { path: shown(path.as_os_str().as_bytes()), source: errno.into() }
}

/// Whether a folder hides all that lies below it.
pub(super) fn hides_below(folder: &std::os::fd::OwnedFd) -> bool {
    is_opaque(folder)
}
