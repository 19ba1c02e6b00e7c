//! Against the registry that others run: Debian's `docker-registry`, and the
//! overlay of the kernel.
#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use karman_image::{Auth, Digest, Image, Phase, Policy, Progress, Reference, Settings, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// Says loudly that something is not tested; in CI it fails.
fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI lacks {what}");
    eprintln!("\n*** THIS TEST DID NOT RUN: this machine lacks {what} ***\n");
}

/// A registry on a port of its own, and what it keeps.
struct Registry {
    process: Child,
    address: String,
    root: TempDir,
    http: reqwest::Client,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Registry {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let root = tempfile::tempdir().unwrap();
        let config = json!({
            "version": 0.1, "log": {"level": "info"}, "http": {"addr": "127.0.0.1:0"},
            "storage": {"filesystem": {"rootdirectory": root.path().join("data")}, "delete": {"enabled": true}},
        });
        let path = root.path().join("config.yml");
        std::fs::write(&path, config.to_string()).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            missing("docker-registry (apt-get install docker-registry)");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            rest.split([' ', '"', ',']).next().map(ToOwned::to_owned)
        });
        // Somebody must read what it says, or it stops saying and doing.
        std::thread::spawn(move || lines.for_each(drop));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Self { process, address: address.expect("it listens"), root, http })
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let begin = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let begun = self.http.post(begin).send().await.unwrap();
        assert_eq!(begun.status().as_u16(), 202);
        let mut place: reqwest::Url =
            begun.headers()["location"].to_str().unwrap().parse().unwrap();
        place.query_pairs_mut().append_pair("digest", &Digest::of(blob).to_string());
        let put = self.http.put(place).body(blob.to_vec()).send().await.unwrap();
        assert_eq!(put.status().as_u16(), 201);
    }

    async fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Digest {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let media_type = manifest["mediaType"].as_str().unwrap();
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let request = self.http.put(url).header("content-type", media_type).body(bytes);
        let put = request.send().await.unwrap();
        assert_eq!(put.status().as_u16(), 201, "{}", put.text().await.unwrap());
        digest
    }

    /// Pushes layers as they are packed, with the types of one family.
    async fn push(&self, repository: &str, tag: &str, layers: &[Layer], family: Family) -> Digest {
        for layer in layers {
            self.push_blob(repository, &layer.packed).await;
        }
        let diffs: Vec<Digest> = layers.iter().map(|layer| Digest::of(&layer.plain)).collect();
        let config = json!({
            "architecture": karman_image::Platform::native().architecture, "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/sh"], "User": "1:2"},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        })
        .to_string()
        .into_bytes();
        self.push_blob(repository, &config).await;
        let (manifest_type, config_type, layer_type) = family;
        let descriptor = |media_type: String, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
        let listed: Vec<Value> = layers
            .iter()
            .map(|layer| descriptor(format!("{layer_type}{}", layer.suffix), &layer.packed))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": descriptor(config_type.to_owned(), &config), "layers": listed,
        });
        self.push_manifest(repository, tag, &manifest).await
    }
}

type Family = (&'static str, &'static str, &'static str);

const OCI: Family = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
);
const DOCKER: Family = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar",
);

struct Layer {
    plain: Vec<u8>,
    packed: Vec<u8>,
    suffix: &'static str,
}

/// Packs what the real `tar` makes of a folder.
fn layer(suffix: &'static str, fill: impl Fn(&Path)) -> Layer {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let output = Command::new("tar")
        .args(["-c", "--numeric-owner", "--xattrs", "--xattrs-include=user.*", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plain = output.stdout;
    let packed = match suffix {
        ".gzip" | "+gzip" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            std::io::Write::write_all(&mut encoder, &plain).unwrap();
            encoder.finish().unwrap()
        }
        "+zstd" => zstd::encode_all(&*plain, 1).unwrap(),
        _ => plain.clone(),
    };
    Layer { plain, packed, suffix }
}

fn base(root: &Path) {
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["bin", "etc", "tmp", "var/lib/app"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::write(root.join("bin/sh"), "shell").unwrap();
    std::fs::set_permissions(root.join("bin/sh"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::hard_link(root.join("bin/sh"), root.join("bin/ash")).unwrap();
    std::os::unix::fs::symlink("bin/sh", root.join("entry")).unwrap();
    std::fs::write(root.join("etc/old"), "old").unwrap();
    std::fs::write(root.join("var/lib/app/data"), "lower").unwrap();
    std::fs::write(root.join("etc/large"), vec![7; 3 << 20]).unwrap();
}

fn change(root: &Path) {
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/.wh.old"), "").unwrap();
    std::fs::create_dir_all(root.join("var/lib/app")).unwrap();
    std::fs::write(root.join("var/lib/app/.wh..wh..opq"), "").unwrap();
    std::fs::write(root.join("var/lib/app/new"), "upper").unwrap();
}

fn store(root: &Path) -> Store {
    Store::open(&root.join("images"), Settings::default()).unwrap()
}

async fn pull(store: &Store, reference: &Reference) -> Image {
    let (progress, told) = watch::channel(Progress::default());
    let image = store.pull(reference, &Auth::default(), Policy::Fresh, progress).await.unwrap();
    assert_eq!(told.borrow().phase, Phase::Done);
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_families_come_from_a_real_registry() {
    let Some(registry) = Registry::start() else { return };
    let store = store(registry.root.path());
    let oci = [layer("+zstd", base), layer("+gzip", change)];
    let digest = registry.push("team/oci", "1", &oci, OCI).await;
    let image = pull(&store, &registry.reference("team/oci:1")).await;
    assert_eq!(image.digest, digest);
    assert_eq!(
        (image.config.entrypoint[0].as_str(), image.config.user.as_deref()),
        ("/bin/sh", Some("1:2"))
    );
    assert_eq!(std::fs::read(image.layers[1].join("etc/large")).unwrap().len(), 3 << 20);
    let inode = |name: &str| std::fs::metadata(image.layers[1].join(name)).unwrap().ino();
    assert_eq!(inode("bin/sh"), inode("bin/ash"));

    let docker = [layer(".gzip", base), layer("", change)];
    let digest = registry.push("docker", "1", &docker, DOCKER).await;
    assert_eq!(pull(&store, &registry.reference("docker:1")).await.digest, digest);
    let by_digest = registry.reference(&format!("docker@{digest}"));
    assert_eq!(pull(&store, &by_digest).await.digest, digest);

    let native = karman_image::Platform::native().architecture;
    let listed = |architecture: &str| json!({"mediaType": DOCKER.0, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": architecture}});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": [listed(&native)]});
    registry.push_manifest("docker", "list", &index).await;
    assert_eq!(pull(&store, &registry.reference("docker:list")).await.digest, digest);

    let (progress, _) = watch::channel(Progress::default());
    let absent = registry.reference("absent:1");
    let error = store.pull(&absent, &Auth::default(), Policy::Cached, progress).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().ends_with("has no such image"));
}

/// Mounts an image, and takes the mount away.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(image: &Image, root: &Path) -> Option<Self> {
        let at = root.join("merged");
        for folder in ["upper", "work", "merged"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let lower: Vec<&str> = image.layers.iter().map(|layer| layer.to_str().unwrap()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            root.join("upper").display(),
            root.join("work").display()
        );
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let mounted = rustix::mount::mount("overlay", &at, "overlay", flags, Some(&*options));
        mounted.ok().map(|()| Self(at))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::empty()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_stacks_the_layers_as_they_were_meant() {
    let Some(registry) = Registry::start() else { return };
    let store = store(registry.root.path());
    registry.push("app", "1", &[layer("+gzip", base), layer("+gzip", change)], OCI).await;
    let image = pull(&store, &registry.reference("app:1")).await;
    let Some(overlay) = Overlay::mount(&image, registry.root.path()) else {
        missing("root, or a folder that overlays can be made in");
        return;
    };
    let at = |name: &str| overlay.0.join(name);
    assert!(!at("etc/old").exists() && at("etc/large").exists());
    assert!(!at("var/lib/app/data").exists());
    assert_eq!(std::fs::read_to_string(at("var/lib/app/new")).unwrap(), "upper");
    assert_eq!(std::fs::metadata(at("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(std::fs::metadata(at("bin/sh")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(std::fs::read_to_string(at("entry")).unwrap(), "shell");
    std::fs::write(at("tmp/mine"), "x").unwrap();
    assert!(!image.layers[1].join("tmp/mine").exists(), "layers stay as they are");
}
