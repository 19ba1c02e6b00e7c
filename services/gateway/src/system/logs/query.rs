//! What a reader of logs asks for, and cutting text into lines. Pure.
#![deny(clippy::disallowed_methods)]

use karman_dashboard::sandbox::READ_BYTES_MAX;

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    Beginning,
    End,
    Byte(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub cursor: Cursor,
    /// Lines to leave out; negative ones are added before the cursor.
    pub skip: i64,
    pub limit: Option<u64>,
}

/// A parameter that is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}='{value}' must be {expected}")]
pub(super) struct Error {
    name: &'static str,
    value: String,
    expected: &'static str,
}

/// How lines are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// One JSON object a line.
    Json,
    /// Server-sent events, which never end: the file is followed.
    Events,
}

impl Form {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Events => "text/event-stream",
        }
    }
}

pub(super) fn form(accept: &str) -> Form {
    if accept.contains("text/event-stream") {
        Form::Events
    } else if accept.contains("application/json") {
        Form::Json
    } else {
        Form::Text
    }
}

/// Parses the query. The id of the last event that a reconnecting client got
/// wins over its cursor.
pub(super) fn parse(query: &str, last_event: Option<&str>) -> Result<Query, Error> {
    let mut out = Query { cursor: Cursor::Beginning, skip: 0, limit: None };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "cursor" => out.cursor = cursor(value)?,
            "skip" => out.skip = number("skip", value)?,
            "limit" => out.limit = Some(number("limit", value)?).filter(|limit| *limit > 0),
            _ => {}
        }
    }
    if let Some(last) = last_event {
        (out.cursor, out.skip) = (cursor(last)?, 0);
    }
    Ok(out)
}

fn cursor(value: &str) -> Result<Cursor, Error> {
    match value {
        "BEG" => Ok(Cursor::Beginning),
        "END" => Ok(Cursor::End),
        byte => match byte.parse() {
            Ok(byte) => Ok(Cursor::Byte(byte)),
            Err(_) => Err(Error {
                name: "cursor",
                value: byte.to_owned(),
                expected: "BEG, END or a number of bytes",
            }),
        },
    }
}

fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| Error { name, value: value.to_owned(), expected: "a whole number" })
}

/// A line that alone fills most of a piece is sent in parts.
const WHOLE_LINE_BYTES_MAX: u64 = READ_BYTES_MAX - 4;

/// Cuts `text`, read from `length` bytes of a file, into lines with the number
/// of bytes that each stands for. An unfinished last line waits for its end,
/// unless this is the `last` piece or it fills the whole piece.
pub(super) fn split(text: &str, length: u64, last: bool) -> (Vec<(u64, String)>, u64) {
    let mut lines: Vec<(u64, String)> = Vec::new();
    let mut rest = length;
    for line in text.split_inclusive('\n') {
        let whole =
            line.ends_with('\n') || last || lines.is_empty() && length >= WHOLE_LINE_BYTES_MAX;
        if !whole {
            break;
        }
        // Replaced bytes make the text longer than the file; the last line
        // then stands for what is left.
        let bytes = u64::try_from(line.len()).unwrap_or(rest).min(rest);
        rest -= bytes;
        lines.push((bytes, line.to_owned()));
    }
    let all = lines.iter().map(|(_, line)| line.len()).sum::<usize>() == text.len();
    if let Some((bytes, _)) = lines.last_mut()
        && all
    {
        *bytes += rest;
        rest = 0;
    }
    (lines, length - rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = |cursor, skip, limit| Ok(Query { cursor, skip, limit });
        assert_eq!(parse("", None), query(Cursor::Beginning, 0, None));
        assert_eq!(parse("cursor=END&skip=-10", None), query(Cursor::End, -10, None));
        assert_eq!(
            parse("cursor=12&skip=3&limit=5&filter=a:b", None),
            query(Cursor::Byte(12), 3, Some(5))
        );
        assert_eq!(parse("cursor=END&skip=-10", Some("77")), query(Cursor::Byte(77), 0, None));
        assert_eq!(
            parse("skip=x", None).unwrap_err().to_string(),
            "skip='x' must be a whole number"
        );
        assert!(parse("cursor=middle", None).is_err());
        assert!(parse("limit=-1", None).is_err());
    }

    #[track_caller]
    fn check(text: &str, length: u64, last: bool, expected: &[(u64, &str)]) {
        let (lines, read) = split(text, length, last);
        let lines: Vec<(u64, &str)> =
            lines.iter().map(|(bytes, line)| (*bytes, line.as_str())).collect();
        assert_eq!(lines, expected);
        assert_eq!(read, expected.iter().map(|(bytes, _)| bytes).sum::<u64>());
    }

    #[test]
    fn lines_wait_for_their_end() {
        check("a\nbc\n", 5, false, &[(2, "a\n"), (3, "bc\n")]);
        check("a\nbc", 4, false, &[(2, "a\n")]);
        check("a\nbc", 4, true, &[(2, "a\n"), (2, "bc")]);
        check("abc", 3, false, &[]);
        check("", 0, true, &[]);
    }

    #[test]
    fn bytes_that_are_not_text_are_counted_as_in_the_file() {
        // One byte of the file became three of the text.
        check("\u{fffd}\n", 2, false, &[(2, "\u{fffd}\n")]);
        check("\u{fffd}\nab\n", 5, false, &[(4, "\u{fffd}\n"), (1, "ab\n")]);
    }
}
