use crate::testing::{symlink, write_layout};

use super::*;

fn pack(folder: &Path) -> Vec<u8> {
    let mut members = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            members.push(
                Member { data: fs::read(&path).unwrap(), ..file("x", "") }
                    .with("path", name.as_bytes()),
            );
        }
    }
    tar(&members)
}

#[tokio::test]
async fn layouts_and_their_archives_are_loaded() {
    let root = tempfile::tempdir().unwrap();
    let layout = root.path().join("layout");
    let built = three_layers();
    write_layout(&layout, &built, "quay.io/team/app:1");
    let archive = root.path().join("layout.tar.gz");
    fs::write(&archive, gzip(&pack(&layout))).unwrap();
    for path in [&layout, &archive] {
        let store = open(&root.path().join(path.extension().map_or("a", |_| "b")));
        let images = store.load(path).await.unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].digest, built.digest());
        let name = "quay.io/team/app:1".parse().unwrap();
        assert_eq!(store.named(&name).unwrap().layers, images[0].layers);
        let other: Reference = "mine".parse().unwrap();
        store.load_as(path, Some(&other)).await.unwrap();
        assert!(store.named(&other).is_some());
        assert_eq!(entries(&root.path().join("layout")), 3, "it is left as it was");
    }
}

#[tokio::test]
async fn what_docker_saves_is_loaded() {
    let built = three_layers();
    let plain: Vec<Vec<u8>> = vec![
        tar(&[folder("./", 0o755), folder("etc", 0o755), file("etc/a", "lower")]),
        tar(&[file("etc/b", "middle")]),
        tar(&[file("hello", "upper"), file("etc/.wh.a", "")]),
    ];
    let manifest = json!([{
        "Config": "c.json", "RepoTags": ["app:2", "quay.io/x:3"],
        "Layers": ["0/layer.tar", "1/layer.tar", "2/layer.tar"],
    }]);
    let member = |path: &str, data: &[u8]| Member { data: data.to_vec(), ..file(path, "") };
    let archive = tar(&[
        member("c.json", &built.config),
        member("0/layer.tar", &plain[0]),
        member("1/layer.tar", &plain[1]),
        member("real.tar", &plain[2]),
        symlink("2/layer.tar", "../real.tar"),
        member("manifest.json", manifest.to_string().as_bytes()),
    ]);
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("saved.tar");
    fs::write(&path, &archive).unwrap();
    let store = open(&root.path().join("store"));
    let images = store.load(&path).await.unwrap();
    assert_eq!(fs::read_to_string(images[0].layers[0].join("hello")).unwrap(), "upper");
    let names: Vec<String> = store.images()[0].names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["docker.io/library/app:2", "quay.io/x:3"]);
    assert_eq!(store.load(&path).await.unwrap()[0].digest, images[0].digest);
}

#[tokio::test]
async fn what_holds_no_image_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let check = async |archive: Vec<u8>, expected: Expect| {
        let path = root.path().join("x.tar");
        fs::write(&path, archive).unwrap();
        let text = chain(&store.load(&path).await.unwrap_err());
        expected.assert_eq(&text.replace(path.to_str().unwrap(), "X"));
        assert_eq!(entries(&root.path().join("store/work")), 0);
    };
    check(
        b"nothing".to_vec(),
        expect!["cannot load X: cannot unpack X: the archive is damaged: it ends too early"],
    )
    .await;
    check(
        tar(&[file("x", "")]),
        expect!["cannot load X: neither an OCI layout (index.json) nor an archive of docker save (manifest.json) is there"],
    )
    .await;
    check(
        tar(&[symlink("index.json", "/etc/passwd")]),
        expect!["cannot load X: cannot read 'index.json': Invalid cross-device link (os error 18)"],
    )
    .await;
    check(
        tar(&[file("manifest.json", r#"[{"Config": "../../x", "Layers": []}]"#)]),
        expect!["cannot load X: cannot read '../../x': Invalid cross-device link (os error 18)"],
    )
    .await;
    check(
        tar(&[file("index.json", r#"{"manifests": []}"#)]),
        expect!["cannot load X: no image is listed"],
    )
    .await;
    let blob = Digest::of(b"other");
    let index = json!({"manifests": [{"mediaType": crate::manifest::OCI_MANIFEST, "digest": blob, "size": 1}]});
    let lie = Member { data: b"x".to_vec(), ..file("x", "") }
        .with("path", format!("blobs/sha256/{}", blob.hex()).as_bytes());
    let path = root.path().join("x.tar");
    fs::write(&path, tar(&[file("index.json", &index.to_string()), lie])).unwrap();
    let text = chain(&store.load(&path).await.unwrap_err());
    assert!(text.contains("has the content"), "{text}");
}

#[tokio::test]
async fn archives_come_in_pieces() {
    let root = tempfile::tempdir().unwrap();
    write_layout(&root.path().join("layout"), &three_layers(), "app:1");
    let archive = pack(&root.path().join("layout"));
    let store = open(&root.path().join("store"));
    let (first, rest) = archive.split_at(1000);
    assert_eq!(store.upload("a1", 0, first.to_vec()).await.unwrap(), 1000);
    let error = store.upload("a1", 10, rest.to_vec()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the upload has 1000 bytes, so the next piece begins there, not at 10"
    );
    store.upload("a1", 1000, rest.to_vec()).await.unwrap();
    assert_eq!(store.load_upload("a1", None).await.unwrap().len(), 1);
    assert!(store.upload("../x", 0, vec![]).await.is_err());
    assert!(store.upload("a1", 5, vec![]).await.is_err());
    for number in 0..12 {
        store.upload(&format!("n{number}"), 0, vec![0]).await.unwrap();
    }
    assert_eq!(entries(&root.path().join("store/uploads")), 8);
    let large = store.upload("n11", 1, vec![0; 9 << 20]).await.unwrap_err();
    assert!(matches!(large, UploadError::TooLarge { .. }));
}
