//! The files that the master shows: its own log, under the path that it has
//! everywhere.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::master::{Response as Answer, call, response};
use karman_rt::time::now_ms;
use serde_json::{Value, json};

use super::legacy::padded;
use super::operator::send;
use super::query::Query;
use super::{Shared, answer};

const FOLDER: &str = "/master";
const LOG: &str = "/master/log";
/// Readable by whoever may ask.
const LOG_MODE: u32 = 0o100_644;
/// The most bytes of one read of the old endpoint, 16 pages.
const READ_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Browse,
    Read,
    Download,
    Debug,
}

fn is_log(path: &str) -> bool {
    path.trim_end_matches('/') == LOG
}

fn is_listed(path: &str) -> bool {
    path.trim_end_matches('/') == FOLDER || is_log(path)
}

fn not_found(path: &str) -> Response {
    answer::text(
        StatusCode::NOT_FOUND,
        format!("no file '{path}' on this master; it shows {LOG} only"),
    )
}

/// LIST_FILES.
pub(super) fn list(shared: &Shared, path: &str, codec: Codec) -> Response {
    if !is_listed(path) {
        return not_found(path);
    }
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let log = v1::FileInfo {
        path: LOG.to_owned(),
        nlink: Some(1),
        size: Some(shared.log.size()),
        mtime: Some(v1::TimeInfo { nanoseconds: now.saturating_mul(1_000_000) }),
        mode: Some(LOG_MODE),
        uid: Some("root".to_owned()),
        gid: Some("root".to_owned()),
    };
    let answer = Answer {
        r#type: Some(response::Type::ListFiles.into()),
        list_files: Some(response::ListFiles { file_infos: vec![log] }),
        ..Answer::default()
    };
    send(codec, &answer)
}

/// READ_FILE.
pub(super) fn read_part(shared: &Shared, read: &call::ReadFile, codec: Codec) -> Response {
    if !is_log(&read.path) {
        return not_found(&read.path);
    }
    let length = read.length.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    let data = Bytes::from(shared.log.read(read.offset, length).data);
    let answer = Answer {
        r#type: Some(response::Type::ReadFile.into()),
        read_file: Some(response::ReadFile { size: shared.log.size(), data }),
        ..Answer::default()
    };
    send(codec, &answer)
}

/// The old endpoints, `/files/…`.
pub(super) fn handle(shared: &Shared, file: File, query: &Query) -> Response {
    if file == File::Debug {
        return padded(&json!({ LOG: "(the last part, in memory)" }), query);
    }
    let Some(path) = query.get("path").filter(|path| !path.is_empty()) else {
        return answer::text(StatusCode::BAD_REQUEST, "Expecting 'path=value' in query");
    };
    match file {
        File::Browse if is_listed(path) => padded(&browse(shared), query),
        File::Read if is_log(path) => match part(shared, query) {
            Ok(value) => padded(&value, query),
            Err(problem) => answer::text(StatusCode::BAD_REQUEST, problem),
        },
        File::Download if is_log(path) => {
            let data = shared.log.read(0, usize::MAX).data;
            answer::body(StatusCode::OK, "application/octet-stream", data.into())
        }
        File::Browse | File::Read | File::Download | File::Debug => not_found(path),
    }
}

fn browse(shared: &Shared) -> Value {
    json!([{
        "gid": "root", "mode": "-rw-r--r--", "mtime": now_ms() / 1000, "nlink": 1,
        "path": LOG, "size": shared.log.size(), "uid": "root",
    }])
}

/// `offset` -1, as without one, asks for the size.
fn part(shared: &Shared, query: &Query) -> Result<Value, String> {
    let number = |name: &str| match query.number::<i64>(name)? {
        Some(negative) if negative < -1 => Err(format!("'{name}' of {negative} is negative")),
        number => Ok(number.and_then(|it| u64::try_from(it).ok())),
    };
    let length = number("length")?.map_or(READ_BYTES_MAX, |length| {
        usize::try_from(length).unwrap_or(usize::MAX).min(READ_BYTES_MAX)
    });
    let Some(offset) = number("offset")? else {
        return Ok(json!({ "offset": shared.log.size(), "data": "" }));
    };
    let excerpt = shared.log.read(offset, length);
    Ok(json!({ "offset": excerpt.offset, "data": String::from_utf8_lossy(&excerpt.data) }))
}
