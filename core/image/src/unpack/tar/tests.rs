use ::tar::EntryType as Type;
use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::testing::{extension, file, folder, pax_record, symlink, tar};

fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data).map_err(reason)?;
        entries.push((entry, data));
    }
    Ok(entries)
}

fn problem(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn long_names_and_attributes_are_read() {
    let long = "n".repeat(300);
    let mut bytes = extension(Type::GNULongName, format!("{long}\0").as_bytes());
    bytes.extend(extension(Type::GNULongLink, b"target\0"));
    bytes.extend(tar(&[
        symlink("short", "x"),
        file("plain", "data")
            .with("mtime", b"-1.25")
            .with("uid", b"70000")
            .with("SCHILY.xattr.user.a", b"1\n2=3"),
        folder("d/", 0o700),
    ]));
    let entries = read(&bytes).unwrap();
    assert_eq!(entries[0].0.path, long.as_bytes());
    assert_eq!(entries[0].0.kind, Kind::Symlink { target: b"target".to_vec() });
    let (plain, data) = &entries[1];
    assert_eq!((plain.uid, data.as_slice()), (70_000, &b"data"[..]));
    assert_eq!(plain.modified, Modified { seconds: -2, nanoseconds: 750_000_000 });
    assert_eq!(plain.attributes, [(b"user.a".to_vec(), b"1\n2=3".to_vec())]);
    assert_eq!(entries[2].0.kind, Kind::Directory);
}

#[test]
fn the_end_may_be_missing_but_nothing_else() {
    let whole = tar(&[file("a", &"x".repeat(700))]);
    assert_eq!(read(&whole[..512 + 1024]).unwrap().len(), 1);
    expect!["the archive is damaged: it ends too early"].assert_eq(&problem(&whole[..512 + 600]));
    expect!["the archive is damaged: it ends too early"].assert_eq(&problem(&whole[..100]));
    let mut wrong = whole;
    wrong[0] = b'b';
    expect!["the archive is damaged: the checksum of a header is wrong"]
        .assert_eq(&problem(&wrong));
}

#[test]
fn extensions_have_a_limit() {
    let large = vec![b'x'; 1 + (1 << 20)];
    expect!["the archive is damaged: an extended header is too long"]
        .assert_eq(&problem(&extension(Type::GNULongName, &large)));
    for wrong in [
        &b"x"[..],
        b"5 a=b",
        b"999 a=b\n",
        b"0 a=b\n",
        b"6 ab\n\n",
        b"99999999999999999999999 a=b\n",
    ] {
        assert!(read(&extension(Type::XHeader, wrong)).is_err(), "{wrong:?}");
    }
    let many: Vec<u8> =
        (0..300).flat_map(|n| pax_record(&format!("SCHILY.xattr.user.{n}"), b"")).collect();
    expect!["the archive is damaged: an entry has too many extended attributes"]
        .assert_eq(&problem(&extension(Type::XHeader, &many)));
}

#[test]
fn sparse_files_are_as_they_say() {
    let mut header = Header::new_gnu();
    header.set_entry_type(Type::GNUSparse);
    header.set_size(4);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..1].copy_from_slice(b"s");
    gnu.set_real_size(1000);
    gnu.sparse[0].set_offset(10);
    gnu.sparse[0].set_length(4);
    header.set_cksum();
    let bytes = |header: &Header| [&header.as_bytes()[..], b"data", &[0; 508]].concat();
    let entries = read(&bytes(&header)).unwrap();
    let pieces = vec![Piece { offset: 10, length: 4 }];
    assert_eq!(entries[0].0.kind, Kind::Sparse { size: 1000, pieces });
    assert_eq!(entries[0].1, b"data");
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse[0].set_offset(998);
    header.set_cksum();
    expect!["the archive is damaged: the pieces of a sparse file overlap"]
        .assert_eq(&problem(&bytes(&header)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(
        mut bytes in prop::collection::vec(any::<u8>(), 0..2048),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _result = read(&bytes);
        bytes = tar(&[file("a", "x").with("path", b"y"), symlink("b", "a")]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _result = read(&bytes);
    }
}
