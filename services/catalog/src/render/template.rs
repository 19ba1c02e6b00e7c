//! The template as a tree. Pure.
#![deny(clippy::disallowed_methods)]

use super::{DEPTH_MAX, Error};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    Variable(Path),
    Section {
        path: Path,
        inverted: bool,
        nodes: Vec<Node>,
        /// What stands between its tags, for `asJson`.
        source: String,
    },
}

/// `a.b.c`, or nothing for `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

impl Path {
    fn new(text: &str) -> Self {
        if text == "." {
            Self(Vec::new())
        } else {
            Self(text.split('.').map(|part| part.trim().to_owned()).collect())
        }
    }

    pub(super) fn parts(&self) -> Option<(&str, &[String])> {
        self.0.split_first().map(|(first, rest)| (first.as_str(), rest))
    }

    pub(super) fn is_as_json(&self) -> bool {
        self.0 == ["asJson"]
    }
}

/// A section that is not closed yet.
struct Open<'a> {
    name: &'a str,
    inverted: bool,
    nodes: Vec<Node>,
    line: usize,
    start: usize,
}

pub(super) fn parse(template: &str) -> Result<Vec<Node>, Error> {
    let mut root = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut tags = Tags { template, position: 0, line: 1 };
    while let Some((text, tag)) = tags.next()? {
        let depth = open.len();
        let nodes = open.last_mut().map_or(&mut root, |section| &mut section.nodes);
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        let Some(Tag { content, line, start, end }) = tag else { break };
        let (sigil, name) = sigil(content);
        match sigil {
            Some('!') => {}
            Some('#' | '^') if depth == DEPTH_MAX => return Err(Error::TooDeep { line }),
            Some(sigil @ ('#' | '^')) => {
                open.push(Open {
                    name,
                    inverted: sigil == '^',
                    nodes: Vec::new(),
                    line,
                    start: end,
                });
            }
            Some('/') => {
                let section = open.pop().filter(|section| section.name == name);
                let section =
                    section.ok_or_else(|| Error::NotOpened { name: name.to_owned(), line })?;
                let source = template.get(section.start..start).unwrap_or_default().to_owned();
                let node = Node::Section {
                    path: Path::new(name),
                    inverted: section.inverted,
                    nodes: section.nodes,
                    source,
                };
                open.last_mut().map_or(&mut root, |section| &mut section.nodes).push(node);
            }
            Some('>' | '=' | '<' | '$') => {
                return Err(Error::Unsupported { tag: content.to_owned(), line });
            }
            _ => nodes.push(Node::Variable(Path::new(name))),
        }
    }
    match open.pop() {
        Some(section) => {
            Err(Error::OpenSection { name: section.name.to_owned(), line: section.line })
        }
        None => Ok(root),
    }
}

/// What kind of tag it is, and its name.
fn sigil(content: &str) -> (Option<char>, &str) {
    let content = content.trim();
    match content.chars().next() {
        Some(sigil @ ('!' | '#' | '^' | '/' | '>' | '=' | '<' | '$' | '&' | '{')) => {
            (Some(sigil), content.trim_start_matches(sigil).trim_end_matches('}').trim())
        }
        _ => (None, content),
    }
}

/// Splits a template into text and tags.
struct Tags<'a> {
    template: &'a str,
    position: usize,
    /// The line at the position.
    line: usize,
}

#[derive(Clone, Copy)]
struct Tag<'a> {
    content: &'a str,
    line: usize,
    /// Where its braces begin and end.
    start: usize,
    end: usize,
}

impl<'a> Tags<'a> {
    /// The next text with the tag after it; no tag at the end of the template.
    fn next(&mut self) -> Result<Option<(&'a str, Option<Tag<'a>>)>, Error> {
        let Some(rest) = self.template.get(self.position..).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        let Some((text, after)) = rest.split_once("{{") else {
            self.position = self.template.len();
            return Ok(Some((rest, None)));
        };
        let start = self.position + text.len();
        let line = self.line + lines(text);
        let close = if after.starts_with('{') { "}}}" } else { "}}" };
        let (content, _) = after.split_once(close).ok_or(Error::OpenTag { line })?;
        let end = start + "{{".len() + content.len() + close.len();
        (self.position, self.line) = (end, line + lines(content));
        Ok(Some((text, Some(Tag { content, line, start, end }))))
    }
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
