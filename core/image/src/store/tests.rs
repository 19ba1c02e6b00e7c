mod killed;
mod loaded;
mod removed;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use expect_test::{Expect, expect};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::manifest::OCI_INDEX;
use crate::progress::{Phase, Progress};
use crate::testing::registry::Fake;
use crate::testing::{Built, Member, build, file, folder, gzip, image, tar};

fn settings() -> Settings {
    let limits = Limits { bytes_max: 8 << 20, entries_max: 1000, free_bytes_min: 0 };
    Settings { limits, downloads_max: 3, unpacks_max: 2, ..Settings::default() }
}

fn open(folder: &Path) -> Store {
    drop(rustls::crypto::ring::default_provider().install_default());
    Store::open(folder, settings()).unwrap()
}

struct World {
    folder: TempDir,
    store: Store,
    fake: Fake,
}

impl World {
    async fn new() -> Self {
        let fake = Fake::start().await;
        let folder = tempfile::tempdir().unwrap();
        Self { store: open(folder.path()), folder, fake }
    }

    async fn pull(&self, name: &str, policy: Policy) -> Result<Image, Failed> {
        self.pull_as(name, &Auth::default(), policy).await
    }

    async fn pull_as(&self, name: &str, auth: &Auth, policy: Policy) -> Result<Image, Failed> {
        let (progress, told) = watch::channel(Progress::default());
        let pulled = self.store.pull(&self.fake.reference(name), auth, policy, progress).await;
        assert!(pulled.is_err() || told.borrow().phase == Phase::Done);
        pulled
    }

    /// Why a pull failed; nothing of it is left.
    #[track_caller]
    fn refused(&self, pulled: Result<Image, Failed>, expected: &Expect) {
        let error = pulled.unwrap_err();
        let text = chain(&error).replace(&self.fake.address, "REGISTRY");
        expected.assert_eq(&text);
        assert_eq!(self.store.images(), []);
        assert_eq!(entries(&self.folder.path().join("work")), 0);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn three_layers() -> Built {
    image(&[
        vec![folder("./", 0o755), folder("etc", 0o755), file("etc/a", "lower")],
        vec![file("etc/b", "middle")],
        vec![file("hello", "upper"), file("etc/.wh.a", "")],
    ])
}

#[tokio::test]
async fn an_image_is_pulled_once() {
    let world = World::new().await;
    let built = three_layers();
    world.fake.push("team/app", "1", &built);
    let pulled = world.pull("team/app:1", Policy::Cached).await.unwrap();
    assert_eq!(pulled.digest, built.digest());
    assert_eq!(pulled.config.command, ["/hello"]);
    assert_eq!(pulled.layers.len(), 3);
    assert_eq!(fs::read_to_string(pulled.layers[0].join("hello")).unwrap(), "upper");
    assert_eq!(fs::read_to_string(pulled.layers[2].join("etc/a")).unwrap(), "lower");
    assert_eq!(world.fake.take_requests().len(), 1 + 1 + 3);

    world.pull("team/app:1", Policy::Cached).await.unwrap();
    assert_eq!(world.fake.take_requests(), Vec::<String>::new());
    world.pull("team/app:1", Policy::Fresh).await.unwrap();
    assert_eq!(world.fake.take_requests(), ["team/app/manifests/1"]);
    // By its digest it is known under any name.
    let by_digest = format!("other@{}", built.digest());
    world.pull(&by_digest, Policy::Cached).await.unwrap();
    assert_eq!(world.fake.take_requests(), Vec::<String>::new());
    let listed = world.store.images();
    assert_eq!(listed[0].names, [world.fake.reference("team/app:1")]);
    assert!(listed[0].bytes > 0 && listed[0].pulled_ms > 0);
}

#[tokio::test]
async fn those_who_want_the_same_wait_for_the_same() {
    let world = World::new().await;
    world.fake.push("app", "1", &three_layers());
    let changed = image(&[
        vec![folder("./", 0o755), folder("etc", 0o755), file("etc/a", "lower")],
        vec![file("etc/b", "changed")],
    ]);
    world.fake.push("app", "2", &changed);
    let pulls = ["app:1", "app:1", "app:2", "app:1"].map(|name| world.pull(name, Policy::Fresh));
    for pulled in futures::future::join_all(pulls).await {
        pulled.unwrap();
    }
    let mut requests = world.fake.take_requests();
    let count = requests.len();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), count, "nothing is fetched twice");
    assert_eq!(entries(&world.folder.path().join("layers")), 2 * 4);
}

#[tokio::test]
async fn a_pull_ends_with_the_last_who_waits() {
    let world = World::new().await;
    world.fake.push("app", "1", &three_layers());
    world.fake.content().hangs = true;
    {
        let pull = world.pull("app:1", Policy::Cached);
        tokio::pin!(pull);
        let asked = async {
            while !world.fake.content().requests.iter().any(|path| path.contains("/blobs/")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { _ = &mut pull => panic!("it hangs"), () = asked => {} }
    }
    world.fake.content().hangs = false;
    assert_eq!(world.store.images(), []);
    world.pull("app:1", Policy::Cached).await.unwrap();
}

#[tokio::test]
async fn credentials_are_shown_where_they_belong() {
    let world = World::new().await;
    world.fake.push("app", "1", &three_layers());
    let password = base64::engine::general_purpose::STANDARD.encode("me:secret");
    world.fake.content().password = Some(password);
    world.refused(
        world.pull("app:1", Policy::Cached).await,
        &expect!["cannot pull REGISTRY/app:1: REGISTRY wants to know who asks; give a pullConfig secret or a docker config with credentials for it"],
    );
    let wrong = Auth::default().with_password(&world.fake.address, "me", "wrong");
    world.refused(
        world.pull_as("app:1", &wrong, Policy::Cached).await,
        &expect!["cannot pull REGISTRY/app:1: REGISTRY refuses: the credentials given for it are not enough (or it has no such image)"],
    );
    let right = Auth::default().with_password(&world.fake.address, "me", "secret");
    world.pull_as("app:1", &right, Policy::Cached).await.unwrap();
}

#[tokio::test]
async fn a_broken_transfer_goes_on() {
    let world = World::new().await;
    let noise: String =
        (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
    world.fake.push("app", "1", &image(&[vec![file("noise", &noise)]]));
    world.fake.content().break_after = Some(40_000);
    world.pull("app:1", Policy::Cached).await.unwrap();
    let blobs = world.fake.take_requests().iter().filter(|path| path.contains("/blobs/")).count();
    assert!(blobs > 2, "{blobs}");
}

#[tokio::test]
async fn mirrors_are_asked_first() {
    let (mirror, world) = (Fake::start().await, World::new().await);
    world.fake.push("app", "1", &three_layers());
    world.fake.push("only/here", "1", &three_layers());
    mirror.push("copies/app", "1", &three_layers());
    let mirrors = BTreeMap::from([(
        world.fake.address.clone(),
        vec!["http://127.0.0.1:1".to_owned(), format!("{}/copies", mirror.address)],
    )]);
    let folder = tempfile::tempdir().unwrap();
    let registries = Registries { mirrors, ..Registries::default() };
    let store = Store::open(folder.path(), Settings { registries, ..settings() }).unwrap();
    for name in ["app:1", "only/here:1"] {
        let (progress, _) = watch::channel(Progress::default());
        let reference = world.fake.reference(name);
        store.pull(&reference, &Auth::default(), Policy::Cached, progress).await.unwrap();
    }
    assert_eq!(mirror.take_requests().len(), 1 + 1 + 3 + 1);
    assert_eq!(world.fake.take_requests(), ["only/here/manifests/1"]);
}

#[tokio::test]
async fn the_platform_is_chosen() {
    let world = World::new().await;
    let built = three_layers();
    world.fake.push("app", "own", &built);
    let entry = |architecture: &str, manifest: &[u8]| json!({"mediaType": crate::manifest::OCI_MANIFEST, "digest": Digest::of(manifest), "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture}});
    let native = Platform::native();
    let index = |entries: serde_json::Value| {
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string()
    };
    let both = index(json!([entry("s390x", b"x"), entry(&native.architecture, &built.manifest)]));
    world.fake.push_manifest("app", "1", both.as_bytes());
    assert_eq!(world.pull("app:1", Policy::Cached).await.unwrap().digest, built.digest());
    let by_index = format!("app@{}", Digest::of(both.as_bytes()));
    assert_eq!(world.pull(&by_index, Policy::Cached).await.unwrap().digest, built.digest());
}

#[tokio::test]
async fn lies_are_found() {
    let world = World::new().await;
    let check = async |built: &Built, expected: Expect| {
        world.fake.push("app", "1", built);
        world.refused(world.pull("app:1", Policy::Cached).await, &expected);
    };
    world.refused(
        world.pull("absent:1", Policy::Cached).await,
        &expect!["cannot pull REGISTRY/absent:1: REGISTRY has no such image"],
    );
    let honest = image(&[vec![file("a", "a")]]);
    let forged = gzip(&tar(&[file("a", "b")]));
    world.fake.push("app", "1", &honest);
    let place = format!("app/blobs/{}", Digest::of(&honest.layers[0]));
    let mut other = forged.clone();
    other.resize(honest.layers[0].len(), 0);
    for (blob, expected) in [
        (other, expect!["the content is DIGEST"]),
        (vec![0; 5000], expect!["the content has more bytes"]),
        (vec![0; 5], expect!["the content has fewer bytes"]),
    ] {
        world.fake.content().documents.insert(place.clone(), blob);
        let text = chain(&world.pull("app:1", Policy::Cached).await.unwrap_err());
        let kind = match text {
            _ if text.contains("the content is sha256:") => "the content is DIGEST",
            _ if text.contains("bytes, not") && text.contains("has 5 ") => {
                "the content has fewer bytes"
            }
            _ if text.contains("bytes, not") => "the content has more bytes",
            _ => &text,
        };
        expected.assert_eq(kind);
    }
    let digest = Digest::of(&forged);
    let text = format!("the layer {digest} unpacks to");
    let built = build(honest.config.clone(), vec![forged]);
    world.fake.push("app", "1", &built);
    let error = world.pull("app:1", Policy::Cached).await.unwrap_err();
    assert!(chain(&error).contains(&text), "{}", chain(&error));
    let bomb = Member { data: vec![0; 9 << 20], ..file("bomb", "") };
    let bomb = image(&[vec![bomb]]);
    let layer = Digest::of(&bomb.layers[0]);
    world.fake.push("app", "1", &bomb);
    let error = world.pull("app:1", Policy::Cached).await.unwrap_err();
    assert_eq!(
        chain(&error).split_once(": ").unwrap().1,
        format!(
            "cannot unpack the layer {layer}: the archive becomes larger than 8 MiB, which is the limit"
        )
    );
    check(
        &Built { manifest: json!({"schemaVersion": 1, "fsLayers": []}).to_string().into_bytes(), ..honest.clone() },
        expect!["cannot pull REGISTRY/app:1: the manifest is of Docker's first schema, which is no longer read; push it again"],
    )
    .await;
    check(
        &Built { manifest: vec![b' '; 5 << 20], ..honest.clone() },
        expect![
            "cannot pull REGISTRY/app:1: REGISTRY sends a document that is larger than 4096 KiB"
        ],
    )
    .await;
    assert_eq!(entries(&world.folder.path().join("layers")), 0);
}

#[tokio::test]
async fn layers_that_were_fetched_are_kept_for_the_next_pull() {
    let world = World::new().await;
    let good = three_layers();
    let mut layers = good.layers.clone();
    layers[2] = gzip(&tar(&[file("../escape", "x")]));
    let mut config: serde_json::Value = serde_json::from_slice(&good.config).unwrap();
    config["rootfs"]["diff_ids"][2] = json!(Digest::of(&tar(&[file("../escape", "x")])));
    world.fake.push("app", "bad", &build(config.to_string().into_bytes(), layers));
    world.fake.push("app", "good", &good);
    let error = world.pull("app:bad", Policy::Cached).await.unwrap_err();
    assert!(chain(&error).ends_with("'../escape' leads out of the folder that is unpacked into"));
    world.fake.take_requests();
    world.pull("app:good", Policy::Cached).await.unwrap();
    assert!(world.fake.take_requests().len() <= 5);
}
