//! Reads zip archives: from the list at their end, as everybody does.

mod records;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use flate2::Crc;

use super::Error;
use super::compression::Compression;
use super::meter::{Meter, Stop, reason};
use super::path::{PATH_BYTES_MAX, shown};
use super::tar::{Entry, Kind};
use records::{CENTRAL_BYTES, Central, LOCAL_BYTES, Listing, Method};

/// Of the list of entries, which is read from front to back.
const BUFFER_BYTES: usize = 64 << 10;

fn damaged(problem: &'static str) -> Error {
    Error::Damaged { problem }
}

/// Hands out every entry with its data.
pub(super) fn read(
    file: &File,
    stop: &Stop,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let Listing { base, start, end, count } = records::listing(file)?;
    let listing = io::BufReader::with_capacity(BUFFER_BYTES, At { file, offset: start, end });
    // It goes as far as the file does.
    let mut listing = Meter::new(listing, u64::MAX, stop);
    for _ in 0..count {
        let central = next(&mut listing)?;
        entry(file, base, &central, stop, &mut take)?;
    }
    Ok(())
}

fn next(listing: &mut impl Read) -> Result<Central, Error> {
    let mut fixed = [0; CENTRAL_BYTES];
    listing.read_exact(&mut fixed).map_err(reason)?;
    let lengths = records::lengths(&fixed)?;
    let mut part = |length: u16| {
        let mut bytes = vec![0; usize::from(length)];
        listing.read_exact(&mut bytes).map_err(reason).map(|()| bytes)
    };
    let (name, extra, _comment) =
        (part(lengths.name)?, part(lengths.extra)?, part(lengths.comment)?);
    Central::parse(&fixed, name, &extra)
}

fn entry(
    file: &File,
    base: u64,
    central: &Central,
    stop: &Stop,
    take: &mut impl FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    if central.encrypted {
        return Err(Error::Kind { path: shown(&central.name), what: "encrypted" });
    }
    let offset = base.checked_add(central.offset).ok_or(damaged("an entry lies nowhere"))?;
    let mut local = [0; LOCAL_BYTES];
    file.read_exact_at(&mut local, offset).map_err(reason)?;
    let start = offset + records::data_offset(&local)?;
    let end = start.checked_add(central.packed).ok_or(damaged("an entry lies nowhere"))?;
    let packed = io::BufReader::new(At { file, offset: start, end });
    let plain: Box<dyn Read + Send + '_> = match central.method {
        Method::Stored => Box::new(packed),
        Method::Deflated => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        Method::Bzip2 => Compression::Bzip2.open(packed).map_err(reason)?,
        Method::Zstd => Compression::Zstd.open(packed).map_err(reason)?,
        Method::Other => {
            let path = shown(&central.name);
            return Err(Error::Kind { path, what: "packed by a method that is not known" });
        }
    };
    let mut data = Checked { input: plain.take(central.size), crc: Crc::new(), size: central.size };
    let mut kind = central.kind();
    if let Kind::Symlink { target } = &mut kind {
        if central.size > PATH_BYTES_MAX as u64 {
            return Err(damaged("the target of a link is too long"));
        }
        data.read_to_end(target).map_err(reason)?;
    }
    take(&central.entry(kind), &mut Meter::new(&mut data, u64::MAX, stop))?;
    data.finish(central)
}

/// A part of a file.
struct At<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Data that must be what the list says.
struct Checked<R> {
    input: io::Take<R>,
    crc: Crc,
    size: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.crc.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<R: Read> Checked<R> {
    fn finish(mut self, central: &Central) -> Result<(), Error> {
        if matches!(central.kind(), Kind::Directory) {
            return Ok(());
        }
        io::copy(&mut self, &mut io::sink()).map_err(reason)?;
        let mut beyond = [0; 1];
        let more = self.input.get_mut().read(&mut beyond).map_err(reason)?;
        if self.input.limit() > 0
            || more > 0
            || u64::from(self.crc.amount()) != self.size & 0xffff_ffff
        {
            return Err(damaged("an entry has another size than it says"));
        }
        if self.crc.sum() == central.crc { Ok(()) } else { Err(damaged("a checksum is wrong")) }
    }
}
