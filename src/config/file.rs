//! The settings of a cfg.yaml, version 1 or 2: which keys there are, of which kind, and what became of old ones.
//!
//! Keys and kinds are those of the official daemon's file, and some of our own. Everything wrong with a file is said at once, each with
//! its line.

use std::path::PathBuf;

use super::otlp::headers::{FileHeader, Secret};
use super::yaml::{Node, Value};
use super::{Report, Sourced, Warning, scalar, yaml};
use crate::config::text::{bare, nearest, quoted};

/// What a file sets; `None`: nothing, or an empty value, which leaves the default as in the official daemon.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    pub(super) buffer_memory_mb: Option<Sourced<i64>>,
    pub(super) concurrency: Option<Sourced<i64>>,
    pub(super) region: Option<Sourced<String>>,
    pub(super) endpoint: Option<Sourced<String>>,
    pub(super) udp_address: Option<Sourced<String>>,
    pub(super) tcp_address: Option<Sourced<String>>,
    pub(super) log_rotation: Option<Sourced<bool>>,
    pub(super) log_level: Option<Sourced<String>>,
    pub(super) log_path: Option<Sourced<String>>,
    pub(super) local_mode: Option<Sourced<bool>>,
    pub(super) resource_arn: Option<Sourced<String>>,
    pub(super) role_arn: Option<Sourced<String>>,
    pub(super) no_verify_ssl: Option<Sourced<bool>>,
    pub(super) proxy_address: Option<Sourced<String>>,
    pub(super) spool_path: Option<Sourced<String>>,
    pub(super) spool_size_mb: Option<Sourced<i64>>,
    pub(super) connect_timeout_s: Option<Sourced<i64>>,
    pub(super) call_timeout_s: Option<Sourced<i64>>,
    pub(super) no_tcp: Option<Sourced<bool>>,
    pub(super) no_telemetry: Option<Sourced<bool>>,
    pub(super) proxy_allow: Vec<Sourced<String>>,
    pub(super) allow_host: Vec<Sourced<String>>,
    pub(super) otlp_listen: Vec<Sourced<String>>,
    pub(super) otlp_allow_origin: Vec<Sourced<String>>,
    pub(super) otlp_endpoint: Option<Sourced<String>>,
    pub(super) otlp_headers: Vec<FileHeader>,
    pub(super) otlp_compression: Option<Sourced<String>>,
    pub(super) otlp_service_name: Option<Sourced<String>>,
    pub(super) segments_to: Vec<Sourced<String>>,
    pub(super) spans_to: Vec<Sourced<String>>,
    pub(super) otlp_xray: Option<Sourced<String>>,
    version: Option<Sourced<i64>>,
}

/// Where the value of a key goes.
enum Slot {
    Int(fn(&mut FileSettings) -> &mut Option<Sourced<i64>>),
    Bool(fn(&mut FileSettings) -> &mut Option<Sourced<bool>>),
    Text(fn(&mut FileSettings) -> &mut Option<Sourced<String>>),
    Texts(fn(&mut FileSettings) -> &mut Vec<Sourced<String>>),
    /// Names with their values, which are not shown.
    Headers(fn(&mut FileSettings) -> &mut Vec<FileHeader>),
    /// Accepted, and without effect in the official daemon too.
    Nowhere,
}

/// The key below which secrets stand.
const HEADERS: &str = "OTLP.Headers";

/// Every key that a file may have; a dot parts a section from its key.
const KEYS: [(&str, Slot); 35] = [
    ("TotalBufferSizeMB", Slot::Int(|s| &mut s.buffer_memory_mb)),
    ("Concurrency", Slot::Int(|s| &mut s.concurrency)),
    ("Region", Slot::Text(|s| &mut s.region)),
    ("Endpoint", Slot::Text(|s| &mut s.endpoint)),
    ("Socket.UDPAddress", Slot::Text(|s| &mut s.udp_address)),
    ("Socket.TCPAddress", Slot::Text(|s| &mut s.tcp_address)),
    ("Logging.LogRotation", Slot::Bool(|s| &mut s.log_rotation)),
    ("Logging.LogLevel", Slot::Text(|s| &mut s.log_level)),
    ("Logging.LogPath", Slot::Text(|s| &mut s.log_path)),
    ("LocalMode", Slot::Bool(|s| &mut s.local_mode)),
    ("ResourceARN", Slot::Text(|s| &mut s.resource_arn)),
    ("RoleARN", Slot::Text(|s| &mut s.role_arn)),
    ("NoVerifySSL", Slot::Bool(|s| &mut s.no_verify_ssl)),
    ("ProxyAddress", Slot::Text(|s| &mut s.proxy_address)),
    ("Spool.Path", Slot::Text(|s| &mut s.spool_path)),
    ("Spool.SizeMB", Slot::Int(|s| &mut s.spool_size_mb)),
    ("ConnectTimeoutSeconds", Slot::Int(|s| &mut s.connect_timeout_s)),
    ("CallTimeoutSeconds", Slot::Int(|s| &mut s.call_timeout_s)),
    ("Version", Slot::Int(|s| &mut s.version)),
    ("NoTCP", Slot::Bool(|s| &mut s.no_tcp)),
    ("NoTelemetry", Slot::Bool(|s| &mut s.no_telemetry)),
    ("ProxyAllow", Slot::Texts(|s| &mut s.proxy_allow)),
    ("AllowHost", Slot::Texts(|s| &mut s.allow_host)),
    ("OTLP.Listen", Slot::Texts(|s| &mut s.otlp_listen)),
    ("OTLP.AllowOrigin", Slot::Texts(|s| &mut s.otlp_allow_origin)),
    ("OTLP.Endpoint", Slot::Text(|s| &mut s.otlp_endpoint)),
    (HEADERS, Slot::Headers(|s| &mut s.otlp_headers)),
    ("OTLP.Compression", Slot::Text(|s| &mut s.otlp_compression)),
    ("OTLP.ServiceName", Slot::Text(|s| &mut s.otlp_service_name)),
    ("OTLP.SegmentsTo", Slot::Texts(|s| &mut s.segments_to)),
    ("OTLP.SpansTo", Slot::Texts(|s| &mut s.spans_to)),
    ("OTLP.XRay", Slot::Text(|s| &mut s.otlp_xray)),
    // The official daemon takes these names, in lower case only, and then uses its own numbers.
    ("proxyserver.idleconntimeout", Slot::Nowhere),
    ("proxyserver.maxidleconnsperhost", Slot::Nowhere),
    ("proxyserver.maxidleconns", Slot::Nowhere),
];

/// What a key of older or of no versions is answered with: its name, the official daemon's words, what to do.
const OLD_KEYS: [(&str, &str, &str); 14] = [
    (
        "LogRotation",
        MIGRATE,
        "Write it as LogRotation in the section Logging",
    ),
    ("Processor.Region", MIGRATE, "Write it as Region, in no section"),
    (
        "Processor.Endpoint",
        MIGRATE,
        "Write it as Endpoint, in no section",
    ),
    (
        "Processor.Routine",
        MIGRATE,
        "Write it as Concurrency, in no section",
    ),
    ("MemoryLimit", MIGRATE, "Write it as TotalBufferSizeMB"),
    (
        "Processor.BatchProcessorQueueSize",
        GONE,
        "Remove it: the queue holds what TotalBufferSizeMB allows",
    ),
    (
        "Socket.BufferSizeKB",
        GONE,
        "Remove it: datagrams of every size are received whole",
    ),
    (
        "Logging.LogFormat",
        GONE,
        "Remove it, or run with --log-format json",
    ),
    ("Profile.CPU", GONE, "Remove it: there is no profile to switch on"),
    (
        "Profile.Memory",
        GONE,
        "Remove it: there is no profile to switch on",
    ),
    (
        "Profile",
        UNKNOWN,
        "Set the environment variable AWS_PROFILE to use a credentials profile",
    ),
    ("ProxyServer.IdleConnTimeout", UNKNOWN, NO_EFFECT),
    ("ProxyServer.MaxIdleConnsPerHost", UNKNOWN, NO_EFFECT),
    ("ProxyServer.MaxIdleConns", UNKNOWN, NO_EFFECT),
];

const MIGRATE: &str = "flag is not supported";
const GONE: &str = "flag is not supported any more";
const UNKNOWN: &str = "flag is invalid";
const NO_EFFECT: &str = "Remove it: it never had an effect";

/// A file on its way into settings.
pub(super) struct Reader<'r> {
    path: &'r str,
    /// Given with `-c`: unknown keys are errors, as in the official daemon, and warnings otherwise.
    strict: bool,
    report: &'r mut Report,
    settings: FileSettings,
    /// Keys seen so far and their lines, for the warning about a second time.
    seen: Vec<(String, usize)>,
}

/// Reads the file's `bytes`; `path` names it in messages.
pub(super) fn read(path: &str, bytes: &[u8], strict: bool, report: &mut Report) -> FileSettings {
    let mut reader = Reader {
        path,
        strict,
        report,
        settings: FileSettings::default(),
        seen: Vec::new(),
    };
    match yaml::decode(bytes).and_then(|text| yaml::parse(&text)) {
        Err(error) => reader.refuse(error.line, &error.reason),
        Ok(document) => {
            if let Some(line) = document.ignored_from_line {
                reader.warn(line, None, "a second document begins here, which is not read");
            }
            reader.root(document.root.as_ref());
        }
    }
    reader.settings
}

impl Reader<'_> {
    /// An error that the official daemon words as a YAML error.
    fn refuse(&mut self, line: usize, reason: &str) {
        let path = self.path;
        self.report.problem(format!(
            "Error occur when using config flag: {path} line {line}: {reason}."
        ));
    }

    fn warn(&mut self, line: usize, name: Option<&str>, what: &str) {
        let at_line = format!("{} line {line}", self.path);
        let source = name.map(|name| format!("{at_line} ({})", bare(name)));
        let text = format!("{at_line}: {what}.");
        self.report
            .warning(Warning::at(source.as_deref().unwrap_or(&at_line), text));
    }

    fn root(&mut self, root: Option<&Node>) {
        let problems_before = self.report.problems.len();
        match root.map(|node| (node, &*node.value)) {
            None | Some((_, Value::Null)) => {}
            Some((_, Value::Mapping(entries))) => self.top(entries, 0),
            Some((node, Value::Scalar { .. } | Value::Sequence(_))) => {
                self.refuse(node.line, "the file must be lines of \"Name: value\"");
            }
        }
        // A file that failed already may have its version where it could not be read.
        if self.report.problems.len() == problems_before {
            self.version();
        }
    }

    /// Version 1 and 2 differ in TCPAddress only, which version 1 may have too; so none at all is no reason to stop.
    fn version(&mut self) {
        match &self.settings.version {
            None => {
                let path = self.path;
                let text =
                    format!("{path} has no Version and is read as version 2. Add the line \"Version: 2\".");
                self.report
                    .warning(Warning::at(&format!("{path} (Version)"), text).used(2));
            }
            Some(version) if version.value == 1 || version.value == 2 => {}
            Some(version) => {
                let Sourced { value, source } = version;
                self.report.problem(format!(
                    "Config Version Setting is not correct: {source} is {value}. Write \"Version: 2\"; 1 and 2 are known."
                ));
            }
        }
    }

    fn top(&mut self, entries: &[(Node, Node)], merges: usize) {
        for (key, node) in entries {
            if self.merge(key, node, merges, Self::top) {
                continue;
            }
            let Some(name) = self.key(key) else { continue };
            if is_section(&name) {
                self.section(&name, node);
            } else if let (false, Value::Mapping(inner)) = (is_key(&name), &*node.value) {
                for (inner_key, _) in inner {
                    if let Some(inner_name) = self.key(inner_key) {
                        self.unknown(inner_key.line, &format!("{name}.{inner_name}"));
                    }
                }
            } else if name.contains('.') && is_key(&name) {
                self.dotted(key.line, &name, node);
            } else {
                self.set(key.line, &name, node);
            }
        }
    }

    fn section(&mut self, section: &str, node: &Node) {
        match &*node.value {
            // A section whose lines are all commented out.
            Value::Null => {}
            Value::Mapping(entries) => self.section_entries(section, entries, 0),
            Value::Scalar { .. } | Value::Sequence(_) => {
                let names = names_in(section);
                self.refuse(
                    node.line,
                    &format!("{section} is a section, with these on lines of their own below it: {names}"),
                );
            }
        }
    }

    fn section_entries(&mut self, section: &str, entries: &[(Node, Node)], merges: usize) {
        for (key, node) in entries {
            if self.merge(key, node, merges, |this, entries, merges| {
                this.section_entries(section, entries, merges);
            }) {
                continue;
            }
            if let Some(name) = self.key(key) {
                self.set(key.line, &format!("{section}.{name}"), node);
            }
        }
    }

    /// `<<: *anchor`: the named mapping's entries stand here. True when `key` is that.
    fn merge(
        &mut self,
        key: &Node,
        node: &Node,
        merges: usize,
        go_on: impl Fn(&mut Self, &[(Node, Node)], usize),
    ) -> bool {
        let is_merge = matches!(&*key.value, Value::Scalar { text, plain: true } if text == "<<");
        if !is_merge {
            return false;
        }
        match &*node.value {
            // Merges inside merges multiply; no file needs more than one step.
            Value::Mapping(entries) if merges == 0 => go_on(self, entries, merges + 1),
            _ => self.refuse(
                key.line,
                "\"<<\" takes the alias of one section, such as <<: *name",
            ),
        }
        true
    }

    fn key(&mut self, key: &Node) -> Option<String> {
        match &*key.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            Value::Null => Some("null".to_owned()),
            Value::Mapping(_) | Value::Sequence(_) => {
                self.refuse(key.line, "a name must be plain text");
                None
            }
        }
    }

    fn set(&mut self, line: usize, name: &str, node: &Node) {
        let Some((_, slot)) = KEYS.iter().find(|(key, _)| *key == name) else {
            self.unknown(line, name);
            return;
        };
        if let Some((_, first)) = self.seen.iter().find(|(key, _)| key == name) {
            let first = *first;
            self.warn(
                line,
                Some(name),
                &format!("{name} is set again, over line {first}"),
            );
        }
        self.seen.push((name.to_owned(), line));
        let path = self.path;
        let source = move || format!("{path} line {line} ({name})");
        let outcome = match slot {
            Slot::Int(slot) => scalar::int(&node.value).map(|read| {
                if let Some((int, Some(fraction))) = &read {
                    self.warn(
                        line,
                        Some(name),
                        &format!("{name} is {}, taken as {int}", bare(fraction)),
                    );
                }
                *slot(&mut self.settings) = read.map(|(value, _)| Sourced {
                    value,
                    source: source(),
                });
            }),
            Slot::Bool(slot) => scalar::bool(&node.value).map(|value| {
                *slot(&mut self.settings) = value.map(|value| Sourced {
                    value,
                    source: source(),
                });
            }),
            Slot::Text(slot) => scalar::text(&node.value).map(|value| {
                *slot(&mut self.settings) = value.map(|value| Sourced {
                    value,
                    source: source(),
                });
            }),
            Slot::Texts(slot) => scalar::texts(node).map(|values| {
                let sourced = |(line, value)| Sourced {
                    value,
                    source: format!("{path} line {line} ({name})"),
                };
                *slot(&mut self.settings) = values.into_iter().map(sourced).collect();
            }),
            Slot::Headers(slot) => scalar::named_texts(node).map(|values| {
                let header = |(line, name, value)| FileHeader {
                    name,
                    value: Secret(value),
                    source: format!("{path} line {line} ({HEADERS})"),
                };
                *slot(&mut self.settings) = values.into_iter().map(header).collect();
            }),
            Slot::Nowhere => scalar::int(&node.value).map(|_| {
                self.warn(
                    line,
                    Some(name),
                    &format!("{name} has no effect and can be removed"),
                );
            }),
        };
        if let Err(reason) = outcome {
            self.refuse(line, &format!("{name} {reason}"));
        }
    }

    /// `Socket.TCPAddress: x`: no key of that name in no section, as messages write it.
    fn dotted(&mut self, line: usize, name: &str, node: &Node) {
        let (section, key) = name.split_once('.').unwrap_or((name, ""));
        let value = match &*node.value {
            Value::Scalar { text, .. } if name != HEADERS => text,
            _ => "…",
        };
        let remedy = format!(
            "Write {} on a line of its own, and below it, indented by two spaces, {}.",
            quoted(&format!("{section}:")),
            quoted(&format!("{key}: {value}"))
        );
        self.invalid(line, name, UNKNOWN, &remedy);
    }

    /// A key that there is not.
    fn unknown(&mut self, line: usize, name: &str) {
        let old = OLD_KEYS.iter().find(|(key, ..)| key.eq_ignore_ascii_case(name));
        let (words, remedy) = match old {
            Some((_, words, remedy)) => (*words, format!("{remedy}.")),
            None => (UNKNOWN, suggestion(name)),
        };
        self.invalid(line, name, words, &remedy);
    }

    /// In the words of the official daemon, and what to do: an error with `-c`, as there, else a warning.
    fn invalid(&mut self, line: usize, name: &str, words: &str, remedy: &str) {
        let path = self.path;
        let shown = bare(name);
        if self.strict {
            self.report
                .problem(format!("{shown} {words}: {path} line {line}. {remedy}"));
        } else {
            let source = format!("{path} line {line} ({shown})");
            let text = format!("{shown} {words} and is ignored: {path} line {line}. {remedy}");
            self.report.warning(Warning::at(&source, text));
        }
    }
}

fn is_key(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| *key == name)
}

/// The keys of a section, for messages.
fn names_in(section: &str) -> String {
    let names: Vec<&str> = KEYS
        .iter()
        .filter_map(|(key, _)| key.strip_prefix(section)?.strip_prefix('.'))
        .collect();
    names.join(", ")
}

fn is_section(name: &str) -> bool {
    KEYS.iter()
        .any(|(key, _)| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The keys that people use; the ones without effect are no suggestion.
fn suggested() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(|(_, slot)| !matches!(slot, Slot::Nowhere))
        .map(|(key, _)| *key)
}

fn suggestion(name: &str) -> String {
    // As written first; then by the last part alone, for a key that stands in the wrong section or in none.
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let found = nearest(name, suggested()).or_else(|| {
        let part = name.rsplit('.').next().unwrap_or(name);
        let near = nearest(part, suggested().map(last))?;
        suggested().find(|key| last(key) == near)
    });
    match found.map(|key| (key, key.split_once('.'))) {
        Some((_, Some((section, key)))) => format!("Did you mean {} in the section {section}?", quoted(key)),
        Some((key, None)) => format!("Did you mean {}?", quoted(key)),
        None => match name.split_once('.').filter(|(section, _)| is_section(section)) {
            Some((section, _)) => {
                let names = names_in(section);
                format!("Remove it; the names in the section {section} are {names}.")
            }
            None => {
                let names: Vec<&str> = suggested().collect();
                format!("Remove it; the names are {}.", names.join(", "))
            }
        },
    }
}

/// Where the official daemon looks for a file that no flag names; the first that exists is read, and only it.
pub(super) fn default_locations() -> [PathBuf; 3] {
    [
        PathBuf::from("/etc/amazon/xray/cfg.yaml"),
        PathBuf::from("cfg.yaml"),
        PathBuf::from("github.com/aws/aws-xray-daemon/pkg/cfg.yaml"),
    ]
}
