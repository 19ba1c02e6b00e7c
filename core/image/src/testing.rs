//! Archives for tests, honest and otherwise.

pub(crate) mod registry;

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use tar::{EntryType, Header};

use crate::digest::Digest;

/// One entry of an archive that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) path: String,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) data: Vec<u8>,
    pub(crate) link: String,
    pub(crate) device: (u32, u32),
    /// Records of pax.
    pub(crate) pax: Vec<(String, Vec<u8>)>,
}

fn member(path: &str, kind: EntryType, mode: u32) -> Member {
    let path = path.to_owned();
    Member {
        path,
        kind,
        mode,
        owner: (0, 0),
        data: Vec::new(),
        link: String::new(),
        device: (0, 0),
        pax: Vec::new(),
    }
}

pub(crate) fn file(path: &str, text: &str) -> Member {
    Member { data: text.into(), ..member(path, EntryType::Regular, 0o644) }
}

pub(crate) fn folder(path: &str, mode: u32) -> Member {
    member(path, EntryType::Directory, mode)
}

pub(crate) fn symlink(path: &str, target: &str) -> Member {
    Member { link: target.to_owned(), ..member(path, EntryType::Symlink, 0o777) }
}

pub(crate) fn hard_link(path: &str, target: &str) -> Member {
    Member { link: target.to_owned(), ..member(path, EntryType::Link, 0o644) }
}

pub(crate) fn device(path: &str, major: u32, minor: u32) -> Member {
    Member { device: (major, minor), ..member(path, EntryType::Char, 0o666) }
}

impl Member {
    pub(crate) fn owned(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn with(mut self, key: &str, value: &[u8]) -> Self {
        self.pax.push((key.to_owned(), value.to_vec()));
        self
    }

    fn header(&self) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(self.data.len() as u64);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        // As written, whatever the crate thinks of it.
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..self.path.len()].copy_from_slice(self.path.as_bytes());
        header.set_link_name_literal(&self.link).unwrap();
        header.set_cksum();
        header
    }
}

fn append(archive: &mut Vec<u8>, header: &Header, data: &[u8]) {
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(data);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// Of one type, with any data: what archives put before an entry.
pub(crate) fn extension(kind: EntryType, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_cksum();
    let mut archive = Vec::new();
    append(&mut archive, &header, data);
    archive
}

pub(crate) fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

pub(crate) fn tar(members: &[Member]) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in members {
        if !member.pax.is_empty() {
            let records: Vec<u8> =
                member.pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            archive.extend(extension(EntryType::XHeader, &records));
        }
        append(&mut archive, &member.header(), &member.data);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in its parts.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    /// Packed, lowest first.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Built {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// All blobs but the manifest.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.layers.iter().chain([&self.config])
    }
}

/// An image with a configuration that says little.
pub(crate) fn image(layers: &[Vec<Member>]) -> Built {
    let plain: Vec<Vec<u8>> = layers.iter().map(|members| tar(members)).collect();
    let config = json!({
        "architecture": crate::manifest::Platform::native().architecture, "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": plain.iter().map(|layer| Digest::of(layer)).collect::<Vec<_>>()},
    })
    .to_string()
    .into_bytes();
    build(config, plain.iter().map(|layer| gzip(layer)).collect())
}

pub(crate) fn build(config: Vec<u8>, layers: Vec<Vec<u8>>) -> Built {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": crate::manifest::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes();
    Built { manifest, config, layers }
}

/// Writes an OCI layout with one image.
pub(crate) fn write_layout(folder: &Path, image: &Built, name: &str) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for blob in image.blobs().chain([&image.manifest]) {
        std::fs::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
    }
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": crate::manifest::OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}

/// Whether tests may make devices and give files away.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("\n*** A PART OF THIS TEST DID NOT RUN: it needs root ***\n");
    }
    root
}
