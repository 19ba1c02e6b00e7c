//! The files that a command wants beside it. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::{Component, Path};

use karman_api::mesos::v1::command_info::Uri;

use super::Refusal;

/// Names that are unpacked by default.
const ARCHIVES: &[&str] =
    &[".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip", ".gz"];

/// One file to fetch into the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// `http://…`, `https://…`, or the path of a file of this machine.
    pub from: String,
    /// Relative to the sandbox.
    pub to: String,
    pub executable: bool,
}

pub(super) fn download(uri: &Uri) -> Result<Download, Refusal> {
    let Uri { value, executable, extract: _, cache: _, output_file } = uri;
    let executable = executable.unwrap_or(false);
    let from = match value.strip_prefix("file://") {
        Some(path) => path.to_owned(),
        None if value.starts_with("http://")
            || value.starts_with("https://")
            || value.starts_with('/') =>
        {
            value.clone()
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
    let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(Refusal::invalid(format!("Cannot fetch '{value}': no usable file name")));
    }
    let archive = ARCHIVES.iter().any(|suffix| base_name(&from).ends_with(suffix));
    if archive && uri.extract() && !executable {
        return Err(Refusal::failed(format!(
            "Cannot fetch '{value}': archives are not unpacked by this agent; set extract to false"
        )));
    }
    Ok(Download { from, to: name, executable })
}

/// The last part of a path without query and fragment.
fn base_name(from: &str) -> &str {
    let path = from.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}
