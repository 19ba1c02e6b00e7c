//! The files of sandboxes.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use karman_api::mesos::v1::Resource;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::io::ReaderStream;

use super::error::Error;
use super::{Shared, Wrapped};
use crate::admit;
use crate::driver::blocking;
use crate::files::{self, Attached, READ_BYTES_MAX, Roots};
use crate::volumes;

/// A cut of text ends at most this far inside of a character.
const UTF8_CUT_MAX: usize = 3;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    path: Option<String>,
    offset: Option<String>,
    length: Option<String>,
    jsonp: Option<String>,
}

impl Wanted {
    fn path(&self) -> Result<String, Error> {
        self.path.clone().filter(|path| !path.is_empty()).ok_or(Error::NoPath)
    }

    fn wrapped(&self) -> Wrapped {
        Wrapped { jsonp: self.jsonp.clone() }
    }
}

impl Shared {
    pub(super) fn roots(&self) -> Roots {
        Roots {
            work_dir: self.settings.work_dir.clone(),
            agent_id: self.snapshot().agent_id.clone(),
            volumes: self.attached(),
        }
    }
}

impl Shared {
    /// The volumes of all tasks that are not forgotten, under each name that
    /// their sandboxes have.
    fn attached(&self) -> Vec<Attached> {
        let (snapshot, mut all) = (self.snapshot(), Vec::new());
        for view in snapshot.containers.values() {
            let record = &view.record;
            let has_volume =
                |it: &Resource| it.disk.as_ref().is_some_and(|it| it.persistence.is_some());
            if !record.task.resources.iter().any(has_volume) {
                continue;
            }
            let uses = admit::resources(&record.task).ok().and_then(|it| volumes::uses(&it).ok());
            for used in uses.into_iter().flatten() {
                let volume = used.volume.path(&self.settings.work_dir);
                let names = match &record.member {
                    None => vec![PathBuf::new()],
                    Some(_) => vec![
                        Path::new("containers").join(&record.container_id),
                        Path::new("tasks").join(view.task_id()),
                    ],
                };
                all.extend(names.into_iter().map(|name| Attached {
                    sandbox: record.root().1.to_owned(),
                    at: name.join(&used.container_path),
                    volume: volume.clone(),
                }));
            }
        }
        all
    }
}

pub(super) async fn browse(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    let (roots, path) = (shared.roots(), wanted.path()?);
    let listed = blocking::<_, files::Error>(move || {
        let file = |info: files::Info| {
            json!({
                "gid": info.group(), "mode": info.mode_text(), "mtime": info.modified_s,
                "nlink": info.nlink, "path": info.path, "size": info.size, "uid": info.user(),
            })
        };
        Ok(roots.browse(&path)?.into_iter().map(file).collect::<Vec<_>>())
    });
    Ok(wanted.wrapped().json(&listed.await?))
}

pub(super) async fn read(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    let offset = number("offset", wanted.offset.as_deref())?.unwrap_or(-1);
    let length = number("length", wanted.length.as_deref())?.unwrap_or(-1);
    let (roots, path) = (shared.roots(), wanted.path()?);
    let answer = blocking::<_, files::Error>(move || {
        let Ok(from) = u64::try_from(offset) else {
            // How long is it?
            let (_, size) = roots.read(&path, 0, 0)?;
            return Ok(json!({ "offset": size, "data": "" }));
        };
        let (bytes, _) =
            roots.read(&path, from, u64::try_from(length).unwrap_or(READ_BYTES_MAX))?;
        Ok(json!({ "offset": from, "data": String::from_utf8_lossy(whole_characters(&bytes)) }))
    });
    Ok(wanted.wrapped().json(&answer.await?))
}

fn number(what: &'static str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) if number >= -1 => Ok(Some(number)),
        Ok(number) => Err(Error::Invalid { what, problem: format!("{number} is negative") }),
        Err(error) => Err(Error::Invalid { what, problem: error.to_string() }),
    }
}

/// Without the first part of a character that the end of the read cut.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error)
            if error.error_len().is_none()
                && bytes.len() - error.valid_up_to() <= UTF8_CUT_MAX
                && error.valid_up_to() > 0 =>
        {
            bytes.get(..error.valid_up_to()).unwrap_or(bytes)
        }
        _ => bytes,
    }
}

pub(super) async fn download(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    let (roots, path) = (shared.roots(), wanted.path()?);
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or("file")
        .replace(['"', '\\', '\r', '\n'], "_");
    let (file, length) = blocking::<_, files::Error>(move || {
        let file = roots.file(&path)?;
        let length = files::length(&file)?;
        Ok((file, length))
    })
    .await?;
    // As long as it was: a log that grows meanwhile must not break the promise.
    let file = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), length);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// Public names and what they mean.
pub(super) async fn debug(
    State(shared): State<Shared>,
    Query(wrapped): Query<Wrapped>,
) -> Response {
    let snapshot = shared.snapshot();
    let mut names = Map::new();
    for view in snapshot.containers.values().chain(&snapshot.completed) {
        let real = view.record.sandbox.to_string_lossy().into_owned();
        let mut public = format!(
            "/frameworks/{}/executors/{}/runs/latest",
            view.record.framework_id,
            view.record.executor_id()
        );
        if view.record.member.is_some() {
            public.push_str("/tasks/");
            public.push_str(view.task_id());
        }
        names.insert(public, Value::String(real.clone()));
        names.insert(real.clone(), Value::String(real));
    }
    wrapped.json(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_characters_wait_for_their_rest() {
        let text = "aé".as_bytes();
        assert_eq!(whole_characters(text), text);
        assert_eq!(whole_characters(&text[..2]), b"a");
        assert_eq!(whole_characters(b"a\xff"), b"a\xff");
        // Never nothing, or a reader would wait for ever.
        assert_eq!(whole_characters(&text[1..2]), &text[1..2]);
    }
}
