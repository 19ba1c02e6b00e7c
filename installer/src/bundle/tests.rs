use super::*;

fn key() -> SigningKey {
    SigningKey::parse(&SigningKey::generate().unwrap()).unwrap()
}

fn sources(folder: &Path) -> Vec<Source> {
    let files = [
        (CONFIG, "cluster_name: x\n"),
        ("scripts/ip-detect", "#!/bin/sh\n"),
        (INSTALLER, "\x7fELF"),
    ];
    files
        .iter()
        .map(|(path, text)| {
            let file = folder.join(path.replace('/', "-"));
            fs::write(&file, text.repeat(50)).unwrap();
            Source { path: (*path).to_owned(), file }
        })
        .collect()
}

fn bundle(folder: &Path, key: &SigningKey) -> (PathBuf, Manifest) {
    make(folder, ("5bb1", "x", "r1"), sources(folder), key).unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let (file, manifest) = bundle(folder.path(), &key);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(name, format!("karman-{}.tar.gz", manifest.id()));
    let (place, opened) = open(&file, &key.public(), &folder.path().join("out")).unwrap();
    assert_eq!(opened, manifest);
    assert_eq!(
        fs::read_to_string(place.join("scripts/ip-detect")).unwrap(),
        "#!/bin/sh\n".repeat(50)
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &place.join(INSTALLER).metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let (file, _) = bundle(folder.path(), &key);
    let first = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let mut turned = sources(folder.path());
    turned.reverse();
    let (again, _) = make(folder.path(), ("5bb1", "x", "r1"), turned, &key).unwrap();
    assert_eq!((again == file, fs::read(&again).unwrap() == first), (true, true));
}

#[test]
fn a_flipped_bit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let (file, manifest) = bundle(folder.path(), &key);
    let whole = fs::read(&file).unwrap();
    let out = folder.path().join("out");
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let refused = open(&file, &key.public(), &out);
        assert!(refused.is_err(), "bit at {place} of {}", whole.len());
        assert!(!out.join(manifest.id()).exists());
        if let Err(Error::Damaged { inside, .. }) = refused {
            let known = [ARCHIVE, MANIFEST, SIGNATURE, CONFIG, INSTALLER, "scripts/ip-detect"];
            assert!(known.contains(&inside.as_str()), "{inside}");
        }
    }
    fs::write(&file, [whole.as_slice(), b"x"].concat()).unwrap();
    assert!(open(&file, &key.public(), &out).is_err(), "something follows");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(open(&file, &key.public(), &out).is_err(), "cut");
}

#[test]
fn the_bundle_of_another_cluster_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = bundle(folder.path(), &key());
    let refused = open(&file, &key().public(), &folder.path().join("out")).unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
}
