use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Mutex;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;
use crate::testing::{file, gzip, is_root, symlink as link_member, tar};

/// A web server with one file, which has a version.
#[derive(Clone, Debug, Default)]
struct Web(Arc<Mutex<Site>>);

#[derive(Debug, Default)]
struct Site {
    body: Vec<u8>,
    etag: Option<&'static str>,
    fails: usize,
    served: usize,
    confirmed: usize,
}

impl Web {
    async fn start(body: &[u8]) -> (Self, String) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let web = Self::default();
        web.site().body = body.to_vec();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve).with_state(web.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (web, format!("http://{address}"))
    }

    fn site(&self) -> std::sync::MutexGuard<'_, Site> {
        self.0.lock().unwrap()
    }
}

impl Web {
    /// How often the file was sent, and how often it had not changed.
    fn counts(&self) -> (usize, usize) {
        let site = self.site();
        (site.served, site.confirmed)
    }
}

async fn serve(State(web): State<Web>, request: Request) -> Response {
    let mut site = web.site();
    if request.uri().path().contains("absent") {
        return StatusCode::NOT_FOUND.into_response();
    }
    if site.fails > 0 {
        site.fails -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let known = request.headers().get("if-none-match").and_then(|value| value.to_str().ok());
    if known.is_some() && known == site.etag {
        site.confirmed += 1;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    site.served += 1;
    let body = site.body.clone();
    match site.etag {
        Some(etag) => ([("etag", etag)], body).into_response(),
        None => body.into_response(),
    }
}

struct Box {
    root: TempDir,
    fetcher: Fetcher,
}

impl Box {
    fn new(cache_bytes_max: u64) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sandbox")).unwrap();
        let limits = Limits { bytes_max: 1 << 20, entries_max: 100, free_bytes_min: 0 };
        let settings = Settings { cache_bytes_max, limits };
        let fetcher = Fetcher::open(&root.path().join("cache"), settings).unwrap();
        Self { root, fetcher }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("sandbox").join(name)
    }

    async fn fetch(&self, download: &Download, user: Option<&User>) -> Result<(), String> {
        let fetched = self.fetcher.fetch(download, &self.path(""), user).await;
        fetched.map_err(|error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        })
    }
}

fn download(from: &str, to: &str) -> Download {
    Download {
        from: from.to_owned(),
        to: to.to_owned(),
        executable: false,
        extract: true,
        cache: false,
        checksum: None,
    }
}

#[tokio::test]
async fn files_come_from_servers_with_the_right_content() {
    let (web, url) = Web::start(b"content").await;
    let sandbox = Box::new(0);
    web.site().fails = 1;
    let wanted = Download {
        checksum: Some(Digest::of(b"content")),
        executable: true,
        ..download(&format!("{url}/x"), "bin/run")
    };
    sandbox.fetch(&wanted, None).await.unwrap();
    assert_eq!(fs::read(sandbox.path("bin/run")).unwrap(), b"content");
    assert_eq!(fs::metadata(sandbox.path("bin/run")).unwrap().mode() & 0o7777, 0o755);
    web.site().body = b"other".to_vec();
    let error = sandbox.fetch(&wanted, None).await.unwrap_err();
    assert!(error.contains("its content is sha256:") && error.contains("not sha256:"), "{error}");
    let check = async |download: Download, expected: Expect| {
        let error = sandbox.fetch(&download, None).await.unwrap_err();
        expected.assert_eq(&error.replace(&url, "URL"));
    };
    check(
        download(&format!("{url}/absent"), "x"),
        expect!["Failed to fetch 'URL/absent': the server answered 404"],
    )
    .await;
    web.site().body = vec![0; 2 << 20];
    check(
        download(&format!("{url}/x"), "x"),
        expect!["Failed to fetch 'URL/x': it is larger than 1 MiB, which is the limit"],
    )
    .await;
    for to in ["../x", "/x", "", "stdout", "stderr/x", "a/../x"] {
        let error = sandbox.fetch(&download(&url, to), None).await.unwrap_err();
        assert!(error.ends_with("cannot be its name in the sandbox"), "{to}: {error}");
    }
}

#[tokio::test]
async fn archives_are_extracted_beside_themselves() {
    let (_web, url) = Web::start(&gzip(&tar(&[file("d/f", "text")]))).await;
    let sandbox = Box::new(0);
    sandbox.fetch(&download(&url, "a.tgz"), None).await.unwrap();
    assert_eq!(fs::read_to_string(sandbox.path("d/f")).unwrap(), "text");
    assert!(sandbox.path("a.tgz").is_file());
    for skipped in [
        Download { extract: false, ..download(&url, "b/b.tgz") },
        Download { executable: true, ..download(&url, "c/c.tgz") },
    ] {
        fs::remove_dir_all(sandbox.path("d")).unwrap();
        sandbox.fetch(&skipped, None).await.unwrap();
        assert!(!sandbox.path("d").exists());
        fs::create_dir(sandbox.path("d")).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_written_through_links() {
    let outside = tempfile::tempdir().unwrap();
    let (_web, url) =
        Web::start(&tar(&[link_member("out", outside.path().to_str().unwrap())])).await;
    let sandbox = Box::new(0);
    sandbox.fetch(&download(&url, "first.tar"), None).await.unwrap();
    let error = sandbox.fetch(&download(&url, "out/evil"), None).await.unwrap_err();
    assert!(error.contains("leads out of the folder"), "{error}");
    symlink(outside.path().join("file"), sandbox.path("evil")).unwrap();
    sandbox.fetch(&download(&url, "evil"), None).await.unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_kept_is_fetched_once() {
    let (web, url) = Web::start(b"v1").await;
    let sandbox = Box::new(1000);
    let cached = Download { cache: true, ..download(&url, "x") };
    web.site().etag = Some("\"1\"");
    let all = (0..8).map(|number| {
        let cached = Download { to: number.to_string(), ..cached.clone() };
        let sandbox = &sandbox;
        async move { sandbox.fetch(&cached, None).await.unwrap() }
    });
    futures::future::join_all(all).await;
    assert_eq!(web.counts(), (1, 0));
    sandbox.fetch(&cached, None).await.unwrap();
    assert_eq!(web.counts(), (1, 1));
    {
        let mut site = web.site();
        site.body = b"v2".to_vec();
        site.etag = Some("\"2\"");
    }
    sandbox.fetch(&cached, None).await.unwrap();
    assert_eq!(fs::read(sandbox.path("x")).unwrap(), b"v2");
    // A copy of its own for each: what one does to it others do not see.
    fs::write(sandbox.path("x"), "spoilt").unwrap();
    sandbox.fetch(&cached, None).await.unwrap();
    assert_eq!(fs::read(sandbox.path("x")).unwrap(), b"v2");
    let known = Download { checksum: Some(Digest::of(b"v2")), ..cached };
    sandbox.fetch(&known, None).await.unwrap();
    let served = web.site().served;
    sandbox.fetch(&known, None).await.unwrap();
    assert_eq!(web.site().served, served);
}

#[tokio::test]
async fn what_is_kept_has_a_limit_and_survives_a_restart() {
    let (web, url) = Web::start(&[b'x'; 400]).await;
    let sandbox = Box::new(1000);
    let get = async |sandbox: &Box, name: &str| {
        let from = format!("{url}/{name}");
        sandbox.fetch(&Download { cache: true, ..download(&from, name) }, None).await.unwrap();
    };
    for name in ["a", "b", "a", "c", "a"] {
        get(&sandbox, name).await;
    }
    assert_eq!(web.site().served, 3);
    get(&sandbox, "b").await;
    assert_eq!(web.site().served, 4, "it was unused for the longest");
    let Box { root, fetcher } = sandbox;
    let settings = fetcher.0.settings;
    drop(fetcher);
    fs::write(root.path().join("cache/coming/half"), "half").unwrap();
    let fetcher = Fetcher::open(&root.path().join("cache"), settings).unwrap();
    let sandbox = Box { root, fetcher };
    get(&sandbox, "b").await;
    assert_eq!(web.site().served, 4);
    web.site().body = vec![b'y'; 2000];
    get(&sandbox, "large").await;
    get(&sandbox, "b").await;
    assert_eq!(web.site().served, 5);
    assert_eq!(fs::metadata(sandbox.path("large")).unwrap().len(), 2000);
}

#[tokio::test]
async fn files_of_the_machine_are_read_as_the_user() {
    let sandbox = Box::new(0);
    let source = sandbox.root.path().join("source");
    fs::write(&source, "data").unwrap();
    let from = source.to_str().unwrap();
    sandbox.fetch(&download(from, "x"), None).await.unwrap();
    assert_eq!(fs::read_to_string(sandbox.path("x")).unwrap(), "data");
    let error = sandbox.fetch(&download("/dev/zero", "x"), None).await.unwrap_err();
    assert!(error.ends_with("it is no regular file"), "{error}");
    if !is_root() {
        return;
    }
    let nobody = User { owner: Owner { uid: 65_534, gid: 65_534 }, groups: vec![65_534] };
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.root.path(), open).unwrap();
    sandbox.fetch(&download(from, "sub/x"), Some(&nobody)).await.unwrap();
    for name in ["sub", "sub/x"] {
        assert_eq!(fs::metadata(sandbox.path(name)).unwrap().uid(), 65_534, "{name}");
    }
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    let error = sandbox.fetch(&download(from, "x"), Some(&nobody)).await.unwrap_err();
    assert!(error.contains("as the user of the task: Permission denied"), "{error}");
    assert!(rustix::process::geteuid().is_root(), "only the thread gave up its rights");
}

#[test]
fn passwords_are_not_shown() {
    assert_eq!(shown("https://me:secret@h/x?a=b"), "https://me:***@h/x?a=b");
    assert_eq!(shown("/etc/hosts"), "/etc/hosts");
}
