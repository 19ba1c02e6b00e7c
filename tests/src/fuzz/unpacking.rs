//! The bodies of the fuzz targets that unpack what strangers packed. The crate
//! `fuzz/` compiles this file too, so it reaches nothing but the crate under
//! test.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use karman_image::manifest::{Described, Document};
use karman_image::unpack::{Form, Job, Limits, extract, stack};
use karman_image::{Auth, Digest, Platform, Reference};

const LIMITS: Limits = Limits { bytes_max: 1 << 20, entries_max: 200, free_bytes_min: 0 };

/// A block of a tar archive.
const BLOCK: usize = 512;

/// Names of images, manifests, configurations, credentials: by the first byte.
pub fn image_documents(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => reference(rest),
        1 => {
            if let Ok(Document::Index(entries)) = Document::parse(rest) {
                let _chosen = Platform::native().choose(&entries);
            }
        }
        2 => {
            let platform = Platform::native();
            if let Ok(described) = Described::parse(rest, 1, &platform) {
                let texts = described.config.entrypoint.iter().chain(&described.config.command);
                assert!(texts.into_iter().all(|text| !text.contains('\0')));
            }
        }
        _ => {
            if let Ok(auth) = Auth::from_docker_config(rest) {
                assert_eq!(auth.clone().or(&auth), auth);
            }
        }
    }
}

fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        assert_eq!(written.parse().as_ref(), Ok(&reference), "{written}");
        assert!(!reference.repository().contains("..") && !reference.host().contains('/'));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        let path = Path::new("blobs").join(digest.hex());
        assert_eq!(path.components().count(), 2, "a digest is one component of a path");
        assert_eq!(digest.to_string(), text);
    }
}

/// An archive of some kind, which the first byte says.
pub fn archive(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let (form, bytes) = match kind % 4 {
        0 => (Form::Tar, repaired(rest)),
        1 => (Form::Tar, rest.to_vec()),
        2 => (Form::Zip, rest.to_vec()),
        _ => (Form::Single("single".to_owned()), rest.to_vec()),
    };
    let room = Room::new();
    // It must not be written through, whatever an archive makes of it.
    std::os::unix::fs::symlink("../outside", room.inside.join("link")).expect("a link");
    let mut packed = room.file(&bytes);
    packed.rewind().expect("a file");
    let reserved = &["stdout"];
    let folder = &room.inside;
    let job = Job { archive: packed, form: &form, folder, owner: None, reserved, limits: LIMITS };
    let extracted = extract(job);
    room.check();
    assert!(!room.inside.join("stdout").exists());
    walk(&room.inside, &mut |_, data| {
        assert_eq!(data.mode() & 0o7000, 0, "nothing gets rights from its archive");
        assert!(data.is_dir() || data.is_file() || data.is_symlink());
    });
    if let Ok(extracted) = extracted {
        assert!(extracted.bytes <= LIMITS.bytes_max && extracted.entries <= LIMITS.entries_max);
    }
}

/// Gives headers the checksums that they should have, where a reader looks for
/// them: otherwise hardly any change would get further.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + BLOCK) {
        seal(header);
        let size = header.get(124..135).and_then(|field| std::str::from_utf8(field).ok());
        let size =
            size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
        at += BLOCK + size.unwrap_or(0).min(1 << 30).next_multiple_of(BLOCK);
    }
    bytes
}

fn seal(header: &mut [u8]) {
    if header.iter().all(|byte| *byte == 0) {
        return;
    }
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Layers as text: a line for each entry, of a letter, a path and perhaps a
/// target; `---` begins the next layer.
pub fn image_layers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let layers: Vec<Vec<u8>> = text.split("---").take(4).map(layer).collect();
    let room = Room::new();
    let stacked = stack(layers.iter().map(Vec::as_slice), &room.inside, LIMITS);
    room.check();
    walk(&room.inside, &mut |path, _| {
        let name = path.file_name().unwrap_or_default();
        assert!(!name.to_string_lossy().starts_with(".wh."), "{}", path.display());
    });
    if let Ok(folders) = stacked {
        assert_eq!(folders.len(), layers.len());
    }
}

fn layer(text: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    for line in text.lines().take(64) {
        let mut words = line.split(' ');
        let (Some(kind), Some(path)) = (words.next(), words.next()) else { continue };
        let target = words.next().unwrap_or_default();
        let (flag, mode, data) = match kind {
            "d" => (b'5', "1755", ""),
            "s" => (b'2', "0777", ""),
            "h" => (b'1', "0644", ""),
            "c" => (b'3', "0666", ""),
            "p" => (b'6', "0666", ""),
            _ => (b'0', "4755", target),
        };
        archive.extend(header(flag, mode, path, target, data.len()));
        archive.extend_from_slice(data.as_bytes());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive
}

fn header(flag: u8, mode: &str, path: &str, target: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, length: usize, text: &str| {
        let bytes = text.as_bytes();
        let length = length.min(bytes.len());
        header[at..at + length].copy_from_slice(&bytes[..length]);
    };
    put(0, 100, path);
    put(100, 8, mode);
    put(108, 8, "0");
    put(116, 8, "0");
    put(124, 12, &format!("{size:o}"));
    put(136, 12, "0");
    put(157, 100, target);
    put(257, 8, "ustar\x0000");
    put(329, 8, "1");
    put(337, 8, "3");
    header[156] = flag;
    seal(&mut header);
    header
}

/// A folder to unpack into, beside something that must not be touched.
struct Room {
    root: PathBuf,
    inside: PathBuf,
}

impl Room {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("karman-fuzz-{}-{number}", std::process::id()));
        let inside = root.join("inside");
        for folder in [&inside, &root.join("outside")] {
            fs::create_dir_all(folder).expect("a temporary folder can be made");
        }
        fs::write(root.join("outside/canary"), "alive").expect("a file can be written");
        Self { root, inside }
    }

    fn file(&self, bytes: &[u8]) -> File {
        let path = self.root.join("packed");
        let mut file = File::options().create_new(true).read(true).write(true).open(&path);
        let file = file.as_mut().expect("a file can be made");
        file.write_all(bytes).expect("a file can be written");
        fs::remove_file(&path).expect("a file can be removed");
        file.try_clone().expect("a file can be had twice")
    }

    /// Only what is inside has changed, and it is not too much.
    fn check(&self) {
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).expect("the folder is there");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.root), ["inside", "outside"]);
        assert_eq!(names(&self.root.join("outside")), ["canary"]);
        let canary = fs::read_to_string(self.root.join("outside/canary"));
        assert_eq!(canary.expect("it is there"), "alive");
        let mut bytes = 0;
        walk(&self.inside, &mut |_, data| {
            bytes += if data.is_file() && data.nlink() == 1 { data.len() } else { 0 };
        });
        assert!(bytes <= 4 * LIMITS.bytes_max + 4, "{bytes} bytes came out");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.root);
    }
}

fn walk(folder: &Path, look: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(data) = path.symlink_metadata() else { continue };
        look(&path, &data);
        if data.is_dir() {
            walk(&path, look);
        }
    }
}
