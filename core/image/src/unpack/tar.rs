//! Reads the entries of a tar archive, one after the other: ustar, GNU and pax.
//!
//! The headers themselves are read by the `tar` crate. Its own reader of
//! archives takes extensions of any length into memory, so what strings entries
//! together is here.

mod extension;

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::Error;
use super::meter::reason;
use super::path::shown;
use extension::Extensions;

const BLOCK: usize = 512;

/// Of one pax header or long name.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Holes of a sparse file.
const PIECES_MAX: usize = 65_536;

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it was written: not yet looked at.
    pub path: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Modified,
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modified {
    pub seconds: i64,
    pub nanoseconds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File {
        size: u64,
    },
    /// Pieces of data with holes between them.
    Sparse {
        size: u64,
        pieces: Vec<Piece>,
    },
    Directory,
    Symlink {
        target: Vec<u8>,
    },
    HardLink {
        target: Vec<u8>,
    },
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// Over everything that an archive consists of.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Of the present entry: data and what fills up the block.
    data_left: u64,
    padding: u64,
    /// Hold for all entries that follow.
    global: Extensions,
    ended: bool,
}

fn damaged(problem: &'static str) -> Error {
    Error::Damaged { problem }
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Self { input, data_left: 0, padding: 0, global: Extensions::default(), ended: false }
    }

    /// Leaves what was not read of the last entry behind.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => extensions.path = Some(self.long_text()?),
                EntryType::GNULongLink => extensions.link = Some(self.long_text()?),
                EntryType::XHeader => extensions.read(&self.extension()?)?,
                EntryType::XGlobalHeader => {
                    let bytes = self.extension()?;
                    self.global.read(&bytes)?;
                }
                _ => {
                    if let Some(entry) = self.entry(&header, extensions)? {
                        return Ok(Some(entry));
                    }
                    extensions = Extensions::default();
                }
            }
        }
    }

    /// Of the entry that was returned last.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// What may follow the end, and counts for the digest.
    pub fn drain(&mut self) -> Result<(), Error> {
        io::copy(&mut self.input, &mut io::sink()).map(drop).map_err(reason)
    }

    fn header(&mut self) -> Result<Option<Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut block = [0; BLOCK];
        if !read_whole(&mut self.input, &mut block)? || block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        if header.cksum().ok() != Some(checksum(&block)) {
            return Err(damaged("the checksum of a header is wrong"));
        }
        let size = header.entry_size().map_err(|_| damaged("a size is no number"))?;
        self.expect(size)?;
        Ok(Some(header.clone()))
    }

    fn expect(&mut self, size: u64) -> Result<(), Error> {
        self.padding = size.wrapping_neg() % BLOCK as u64;
        self.data_left = size;
        // What no file can have; sums of it would overflow.
        if size > i64::MAX as u64 { Err(damaged("a size is beyond all measure")) } else { Ok(()) }
    }

    fn skip(&mut self) -> Result<(), Error> {
        let rest = self.data_left + self.padding;
        (self.data_left, self.padding) = (0, 0);
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink());
        match skipped.map_err(reason)? == rest {
            true => Ok(()),
            false => Err(damaged("it ends too early")),
        }
    }

    fn extension(&mut self) -> Result<Vec<u8>, Error> {
        if self.data_left > EXTENSION_BYTES_MAX {
            return Err(damaged("an extended header is too long"));
        }
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes).map_err(reason)?;
        Ok(bytes)
    }

    fn long_text(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = self.extension()?;
        // Ends with a NUL, as text in C does.
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
        Ok(bytes)
    }

    /// `None` for what is no member, like the label of a volume.
    fn entry(&mut self, header: &Header, own: Extensions) -> Result<Option<Entry>, Error> {
        let extensions = own.over(&self.global);
        if let Some(size) = extensions.size {
            self.expect(size)?;
        }
        let path = extensions.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let old = header.as_old();
        let narrow = |id: u64| u32::try_from(id).map_err(|_| damaged("an owner is out of range"));
        let uid = extensions.uid.map_or_else(|| number(&old.uid, header.uid()), Ok)?;
        let gid = extensions.gid.map_or_else(|| number(&old.gid, header.gid()), Ok)?;
        let mode = number(&old.mode, header.mode().map(u64::from))? & 0o7777;
        let Some(kind) = self.kind(header, &extensions, &path)? else { return Ok(None) };
        let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
        let plain = Modified { seconds: seconds.unwrap_or_default(), nanoseconds: 0 };
        Ok(Some(Entry {
            path,
            kind,
            mode: narrow(mode)?,
            uid: narrow(uid)?,
            gid: narrow(gid)?,
            modified: extensions.modified.unwrap_or(plain),
            attributes: extensions.attributes,
        }))
    }

    fn kind(
        &mut self,
        header: &Header,
        extensions: &Extensions,
        path: &[u8],
    ) -> Result<Option<Kind>, Error> {
        let target = || {
            let own = || header.link_name_bytes().map(std::borrow::Cow::into_owned);
            extensions.link.clone().or_else(own).unwrap_or_default()
        };
        let device = || {
            let numbers = (header.device_major(), header.device_minor());
            match numbers {
                (Ok(Some(major)), Ok(Some(minor))) => Ok((major, minor)),
                _ => Err(damaged("a device has no numbers")),
            }
        };
        Ok(Some(match header.entry_type() {
            _ if extensions.is_sparse => {
                return Err(Error::Kind { path: shown(path), what: "a sparse file in pax form" });
            }
            EntryType::GNUSparse => self.sparse(header)?,
            // Before there were types, folders were told by their last letter.
            EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File { size: self.data_left },
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink { target: target() },
            EntryType::Link => Kind::HardLink { target: target() },
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => {
                let (major, minor) = device()?;
                Kind::Character { major, minor }
            }
            EntryType::Block => {
                let (major, minor) = device()?;
                Kind::Block { major, minor }
            }
            _ => return Ok(None),
        }))
    }

    /// The old form: the list of pieces lies in the header and in blocks that
    /// follow it.
    fn sparse(&mut self, header: &Header) -> Result<Kind, Error> {
        let wrong = |_| damaged("a sparse file is described wrongly");
        let gnu = header.as_gnu().ok_or(damaged("a sparse file has no description"))?;
        let size = gnu.real_size().map_err(wrong)?;
        let mut pieces = Vec::new();
        let mut add = |part: &tar::GnuSparseHeader| {
            if !part.is_empty() {
                let (offset, length) =
                    (part.offset().map_err(wrong)?, part.length().map_err(wrong)?);
                pieces.push(Piece { offset, length });
            }
            Ok::<_, Error>(pieces.len())
        };
        for part in &gnu.sparse {
            add(part)?;
        }
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if !read_whole(&mut self.input, block.as_mut_bytes())? {
                return Err(damaged("it ends too early"));
            }
            for part in block.sparse() {
                if add(part)? > PIECES_MAX {
                    return Err(damaged("a sparse file has too many pieces"));
                }
            }
            more = block.is_extended();
        }
        check_pieces(&pieces, size, self.data_left)?;
        Ok(Kind::Sparse { size, pieces })
    }
}

/// What was left blank is nothing.
fn number(field: &[u8], read: io::Result<u64>) -> Result<u64, Error> {
    match read {
        Err(_) if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
        other => other.map_err(|_| damaged("an owner or a mode is no number")),
    }
}

/// One after the other, inside of the file, and as much as there is.
fn check_pieces(pieces: &[Piece], size: u64, data: u64) -> Result<(), Error> {
    let (mut end, mut sum) = (0, 0_u64);
    for Piece { offset, length } in pieces {
        let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
        end = next.ok_or(damaged("the pieces of a sparse file overlap"))?;
        sum = sum.saturating_add(*length);
    }
    if sum == data { Ok(()) } else { Err(damaged("a sparse file has other data than it says")) }
}

fn checksum(block: &[u8; BLOCK]) -> u32 {
    let byte =
        |(at, byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

/// False at the end; an end in the middle is an error.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> Result<bool, Error> {
    let length = buffer.len() as u64;
    let mut filled = io::Cursor::new(buffer);
    let read = io::copy(&mut input.take(length), &mut filled).map_err(reason)?;
    match read {
        0 => Ok(false),
        _ if read == length => Ok(true),
        _ => Err(damaged("it ends too early")),
    }
}

/// The data of one entry, and no more.
#[derive(Debug)]
pub struct Data<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.reader.data_left).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let Some(part) = buffer.get_mut(..length).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let read = self.reader.input.read(part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.data_left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
