//! cfg.yaml as a tree in which every value knows its line.
//!
//! Only what a cfg.yaml can need: the first document, anchors and aliases, flow and block style. Bounds on size and
//! depth make a file of any content safe to read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::config::text::bare;

/// Parser events in a file; the official example has about 50. Bounds time and memory, aliases included.
const MAX_EVENTS: usize = 10_000;

/// Collections inside one another; a cfg.yaml has two.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Counted from 1; for an alias the line of the alias.
    pub(super) line: usize,
    /// Shared, since aliases may name it again.
    pub(super) value: Rc<Value>,
    depth: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text; `plain` when it is not quoted and thus may be a number or a truth value.
    Scalar { text: String, plain: bool },
    /// Keys and values in order; duplicates are kept.
    Mapping(Vec<(Node, Node)>),
    /// A list.
    Sequence(Vec<Node>),
}

/// Why a text is no YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    /// Counted from 1.
    pub(super) line: usize,
    /// What is wrong, and what to do.
    pub(super) reason: String,
}

impl YamlError {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { line, reason }
    }
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark, which some editors on Windows write.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Ok(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Ok(utf16(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        YamlError::new(line, "the text is not UTF-8; save the file as UTF-8")
    })
}

/// A collection that is still open.
struct Open {
    line: usize,
    anchor: usize,
    depth: usize,
    items: Items,
}

/// What is in it so far.
enum Items {
    Mapping {
        entries: Vec<(Node, Node)>,
        /// Read, and its value not yet.
        key: Option<Node>,
    },
    Sequence(Vec<Node>),
}

impl Open {
    fn new(line: usize, anchor: usize, items: Items) -> Self {
        Self {
            line,
            anchor,
            depth: 0,
            items,
        }
    }

    fn add(&mut self, node: Node) {
        self.depth = self.depth.max(node.depth);
        match &mut self.items {
            Items::Sequence(items) => items.push(node),
            Items::Mapping { entries, key } => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
    }

    fn close(self) -> Value {
        match self.items {
            Items::Sequence(items) => Value::Sequence(items),
            Items::Mapping { entries, .. } => Value::Mapping(entries),
        }
    }
}

/// The first document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// `None` when there is nothing in it.
    pub(super) root: Option<Node>,
    /// The line where a second document begins, which nobody reads.
    pub(super) ignored_from_line: Option<usize>,
}

/// Reads the first document of `text`.
pub(super) fn parse(text: &str) -> Result<Document, YamlError> {
    let mut anchors: BTreeMap<usize, Node> = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for (count, event) in Parser::new_from_str(text).enumerate() {
        let (event, span) = event.map_err(|error| syntax_error(text, error.marker().line(), error.info()))?;
        let line = span.start.line();
        if count >= MAX_EVENTS {
            return Err(YamlError::new(line, "the file is too big to be a cfg.yaml"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(line, &text, style, tag.as_deref()), anchor),
            Event::Alias(anchor) => {
                let Some(named) = anchors.get(&anchor) else {
                    return Err(YamlError::new(line, "the alias stands inside what it names"));
                };
                let value = Rc::clone(&named.value);
                let depth = named.depth;
                (Node { line, value, depth }, 0)
            }
            Event::MappingStart(anchor, _) => {
                let (entries, key) = (Vec::new(), None);
                open.push(Open::new(line, anchor, Items::Mapping { entries, key }));
                continue;
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open::new(line, anchor, Items::Sequence(Vec::new())));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                // The parser pairs ends with starts.
                let Some(closed) = open.pop() else { continue };
                let (line, anchor, depth) = (closed.line, closed.anchor, closed.depth + 1);
                let value = Rc::new(closed.close());
                (Node { line, value, depth }, anchor)
            }
            // A second document: as in the official daemon it is not read, not even for its syntax.
            Event::DocumentStart(_) if root.is_some() => {
                let ignored_from_line = Some(line);
                return Ok(Document {
                    root,
                    ignored_from_line,
                });
            }
            Event::DocumentEnd | Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::StreamEnd => break,
        };
        if open.len() + node.depth > MAX_DEPTH {
            return Err(YamlError::new(
                line,
                "the values are nested too deep for a cfg.yaml",
            ));
        }
        if anchor != 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.add(node),
            None => root = Some(node),
        }
    }
    Ok(Document {
        root,
        ignored_from_line: None,
    })
}

fn syntax_error(text: &str, line: usize, info: &str) -> YamlError {
    // The parser counts the end of the file as a line of its own.
    let line = line.clamp(1, text.lines().count().max(1));
    let indented_by_tab = text
        .lines()
        .nth(line - 1)
        .is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
    let remedy = if indented_by_tab {
        "indent with spaces, not with tabs"
    } else {
        "a line is written \"Name: value\", and indented with spaces inside a section"
    };
    YamlError::new(line, format!("{}; {remedy}", bare(info)))
}

fn scalar(line: usize, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Node {
    let plain = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix != "str",
        // `!` alone says: a text.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => false,
        _ => style == ScalarStyle::Plain,
    };
    let value = if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar {
            text: text.to_owned(),
            plain,
        }
    };
    Node {
        line,
        value: Rc::new(value),
        depth: 0,
    }
}
