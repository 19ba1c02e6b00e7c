//! How bytes are packed, seen from the first of them.

use std::io::{self, BufRead, BufReader, Read};

/// A stream of xz or zstd may ask for a dictionary of this size, not more.
const DICTIONARY_BYTES_MAX: u64 = 256 << 20;
const WINDOW_LOG_MAX: u32 = 27;

/// Read from files and sockets at once.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    pub fn detect(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame, or one that is to be skipped before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Unpacks what `input` gives.
    pub fn open<'a>(
        self,
        input: impl BufRead + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    DICTIONARY_BYTES_MAX,
                    liblzma::stream::CONCATENATED,
                )
                .map_err(io::Error::other)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// Unpacks whatever `input` turns out to be.
pub(super) fn open<'a>(
    input: impl Read + Send + 'a,
) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut input = input;
    let mut first = Vec::with_capacity(6);
    input.by_ref().take(6).read_to_end(&mut first)?;
    let compression = Compression::detect(&first);
    let whole = io::Cursor::new(first).chain(input);
    Ok((compression, compression.open(BufReader::with_capacity(BUFFER_BYTES, whole))?))
}
