//! Documents that a command reads: from a file, a URL or stdin.

use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Failure, Kind};

/// A definition of an app is a few kilobytes; this keeps a wrong file from
/// filling the memory.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a JSON document from `source`: a path, an `http(s)://` URL, or `-`
/// for stdin. Without one, stdin is read unless it is a terminal.
pub async fn document(source: Option<&str>, what: &str) -> Result<Value, Failure> {
    let (name, text) = match source {
        None if io::stdin().is_terminal() => {
            return Err(Failure::usage(format!("nothing says what to {what}"))
                .remedy("name a file or URL, or pipe JSON into stdin"));
        }
        None | Some("-") => ("stdin".to_owned(), stdin()?),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            (url.to_owned(), fetch(url).await?)
        }
        Some(path) => (path.to_owned(), file(path)?),
    };
    serde_json::from_str(&text).map_err(|error| {
        let remedy =
            if text.trim().is_empty() { "it is empty" } else { "correct it and try again" };
        Failure::usage(format!("{name} is not valid JSON: {error}")).remedy(remedy)
    })
}

fn stdin() -> Result<String, Failure> {
    read(io::stdin().lock()).map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))
}

fn file(path: &str) -> Result<String, Failure> {
    std::fs::File::open(path).and_then(read).map_err(|error| {
        Failure::usage(format!("cannot read {path}: {error}")).remedy("check the name of the file")
    })
}

fn read(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(text)
}

async fn fetch(url: &str) -> Result<String, Failure> {
    let unreachable = |error: reqwest::Error| {
        Failure::new(
            Kind::Unreachable,
            format!("cannot fetch {url}: {}", crate::http::innermost(&error)),
        )
        .remedy("check the URL")
    };
    let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build().map_err(unreachable)?;
    let response = client.get(url).send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(Failure::new(
            Kind::NotFound,
            format!("cannot fetch {url}: {}", response.status()),
        ));
    }
    let body = crate::http::limited(response, DOCUMENT_BYTES_MAX)
        .await
        .map_err(|failure| failure.remedy("check the URL"))?;
    String::from_utf8(body).map_err(|_| Failure::usage(format!("{url} is not text")))
}
