use super::*;

/// An entry of a zip archive that is to be made.
struct Zipped<'a> {
    name: &'a str,
    mode: u32,
    data: &'a [u8],
    method: u16,
    /// What the list says, where it lies.
    size: Option<u32>,
    crc: Option<u32>,
    flags: u16,
}

fn entry<'a>(name: &'a str, mode: u32, data: &'a [u8]) -> Zipped<'a> {
    Zipped { name, mode, data, method: 8, size: None, crc: None, flags: 0 }
}

fn zip(entries: &[Zipped<'_>]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    for Zipped { name, mode, data, method, size, crc, flags } in entries {
        let offset = u32::try_from(archive.len()).unwrap();
        let mut sum = flate2::Crc::new();
        sum.update(data);
        let packed = match method {
            8 => {
                let fast = flate2::Compression::fast();
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), fast);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            _ => data.to_vec(),
        };
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let common = [
            &20_u16.to_le_bytes()[..],
            &flags.to_le_bytes(),
            &method.to_le_bytes(),
            &[0, 0, 0x21, 0x58],
            &crc.unwrap_or(sum.sum()).to_le_bytes(),
            &length(&packed),
            &size.map_or(length(data), u32::to_le_bytes),
            &name_length,
            &[0, 0],
        ]
        .concat();
        archive.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), &packed].concat());
        let made_by = [20, 3];
        list.extend([&b"PK\x01\x02"[..], &made_by, &common, &[0; 6]].concat());
        list.extend([(mode << 16).to_le_bytes(), offset.to_le_bytes()].concat());
        list.extend(name.as_bytes());
    }
    let start = u32::try_from(archive.len()).unwrap();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let size = u32::try_from(list.len()).unwrap().to_le_bytes();
    archive.extend(list);
    archive.extend(
        [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size, &start.to_le_bytes(), &[0, 0]].concat(),
    );
    archive
}

#[test]
fn zip_archives_are_extracted() {
    let stored = Zipped { method: 0, ..entry("stored", 0o100_600, b"as it is") };
    let archive = zip(&[
        entry("d/", 0o040_755, b""),
        entry("d/run", 0o104_755, b"#!/bin/sh\n"),
        stored,
        entry("link", 0o120_777, b"d/run"),
    ]);
    // A program may precede it.
    for bytes in [archive.clone(), [&b"MZ program"[..], &archive].concat()] {
        let (folder, done) = extracted("x.zip", &bytes);
        assert_eq!(done.unwrap().entries, 4);
        let own = |name: &str| folder.path().join(name);
        assert_eq!(fs::read_to_string(own("link")).unwrap(), "#!/bin/sh\n");
        assert_eq!(fs::metadata(own("d/run")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_to_string(own("stored")).unwrap(), "as it is");
        assert_eq!(fs::metadata(own("stored")).unwrap().mtime(), 1_704_067_200);
    }
}

#[test]
fn zip_archives_that_lie_are_refused() {
    let check = |entry: Zipped<'_>, expected: Expect| {
        let (_folder, done) = extracted("x.zip", &zip(&[entry]));
        expected.assert_eq(&done.unwrap_err().to_string());
    };
    check(
        entry("../x", 0o100_644, b"x"),
        expect!["'../x' leads out of the folder that is unpacked into"],
    );
    check(
        Zipped { size: Some(1), ..entry("x", 0o100_644, b"more than one") },
        expect!["the archive is damaged: an entry has another size than it says"],
    );
    check(
        Zipped { size: Some(1000), ..entry("x", 0o100_644, b"less") },
        expect!["the archive is damaged: an entry has another size than it says"],
    );
    check(
        Zipped { crc: Some(1), ..entry("x", 0o100_644, b"x") },
        expect!["the archive is damaged: a checksum is wrong"],
    );
    check(
        Zipped { flags: 1, ..entry("x", 0o100_644, b"x") },
        expect!["'x' is encrypted, which is not unpacked here"],
    );
    check(
        Zipped { method: 14, ..entry("x", 0o100_644, b"x") },
        expect!["'x' is packed by a method that is not known, which is not unpacked here"],
    );
    let (_folder, done) = extracted("x.zip", b"no zip at all");
    expect!["the archive is damaged: it is not a zip archive, or its end is missing"]
        .assert_eq(&done.unwrap_err().to_string());
}
