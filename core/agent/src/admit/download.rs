//! The files that a command wants beside it. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::{Component, Path};

use karman_api::mesos::v1::command_info::Uri;
use karman_image::Digest;
pub use karman_image::fetch::Download;
use karman_image::fetch::RESERVED;

use super::Refusal;

/// What the content must be stands at the end of where it is, as in
/// `https://…/tool.tgz#sha256=…`: servers are never sent that part.
const CHECKSUMS: [&str; 2] = ["sha256", "sha512"];

pub(super) fn download(uri: &Uri) -> Result<Download, Refusal> {
    let Uri { value, executable, extract: _, cache, output_file } = uri;
    let (place, checksum) = checksum(value)?;
    let from = match place.strip_prefix("file://") {
        Some(path) => path.to_owned(),
        None if place.starts_with("http://")
            || place.starts_with("https://")
            || place.starts_with('/') =>
        {
            place.to_owned()
        }
        None => {
            return Err(Refusal::failed(format!(
                "Cannot fetch '{value}': only http, https and file are supported"
            )));
        }
    };
    let name = match output_file {
        Some(name) => name.clone(),
        None => base_name(&from).to_owned(),
    };
    let path = Path::new(&name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let reserved = RESERVED.iter().any(|reserved| path.starts_with(reserved));
    if name.is_empty() || !plain || reserved || name.contains('\0') {
        return Err(Refusal::invalid(format!("Cannot fetch '{value}': no usable file name")));
    }
    Ok(Download {
        from,
        to: name,
        executable: executable.unwrap_or(false),
        extract: uri.extract(),
        cache: cache.unwrap_or(false),
        checksum,
    })
}

/// Takes a checksum off the end. Other fragments stay: they may be part of the
/// name of a file.
fn checksum(value: &str) -> Result<(&str, Option<Digest>), Refusal> {
    let split = || {
        let (place, fragment) = value.rsplit_once('#')?;
        let (algorithm, hex) = fragment.split_once('=')?;
        CHECKSUMS.contains(&algorithm).then_some((place, algorithm, hex))
    };
    let Some((place, algorithm, hex)) = split() else { return Ok((value, None)) };
    let digest = format!("{algorithm}:{}", hex.to_ascii_lowercase());
    match digest.parse() {
        Ok(digest) => Ok((place, Some(digest))),
        Err(_) => Err(Refusal::invalid(format!(
            "Cannot fetch '{value}': '{hex}' is not a checksum by {algorithm}"
        ))),
    }
}

/// The last part of a path without query and fragment.
fn base_name(from: &str) -> &str {
    let path = from.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}
