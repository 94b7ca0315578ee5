//! The documents of one trace as one tree, whatever their order and however little they keep to the schema.
//!
//! SDKs send segments whole, or their subsegments one by one before or after them, and in-progress copies before the
//! complete ones. Fields may be missing or of the wrong type: a bad field is left out, the rest is kept.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Map, Value};
use xray_document::clock::{self, Unit};
use xray_document::fields::{array, number, object, text};

pub use self::resource::Resource;

/// The most exceptions of one entity that are kept; SDKs send a handful.
const MAX_EXCEPTIONS: usize = 16;

/// The value of an annotation.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// Any number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
}

/// What went wrong, by the three flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// 5xx, or an exception.
    pub fault: bool,
    /// 4xx.
    pub error: bool,
    /// 429.
    pub throttle: bool,
}

impl Marks {
    /// Neither fault, error nor throttle.
    #[must_use]
    pub const fn ok(self) -> bool {
        !(self.fault || self.error || self.throttle)
    }

    /// What either has.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            fault: self.fault || other.fault,
            error: self.error || other.error,
            throttle: self.throttle || other.throttle,
        }
    }

    /// The worst one as a word: `fault`, `throttle`, `error` or `ok`.
    #[must_use]
    pub const fn worst(self) -> &'static str {
        if self.fault {
            "fault"
        } else if self.throttle {
            "throttle"
        } else if self.error {
            "error"
        } else {
            "ok"
        }
    }
}

/// `http` of a segment or subsegment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Http {
    /// `GET`.
    pub method: Option<String>,
    /// As sent.
    pub url: Option<String>,
    /// As sent.
    pub user_agent: Option<String>,
    /// As sent.
    pub client_ip: Option<String>,
    /// The response's status.
    pub status: Option<i64>,
}

/// One entry of `cause.exceptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The class.
    pub kind: Option<String>,
    /// The text.
    pub message: Option<String>,
}

/// Segment or subsegment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work of a service.
    Segment,
    /// A part of it, nested or sent on its own.
    Subsegment,
}

/// One segment or subsegment.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// 16 hex digits, or empty where there was none.
    pub id: String,
    /// Which of the two.
    pub kind: Kind,
    /// As sent; `(no name)` where there was none.
    pub name: String,
    /// The parent, by its place in [`Tree::entities`].
    pub parent: Option<usize>,
    /// The children, in the order of their start.
    pub children: Vec<usize>,
    /// It names a parent that has not arrived.
    pub orphan: bool,
    /// Seconds since 1970; the parent's where there was none.
    pub start: f64,
    /// Seconds since 1970, at least `start`; of what is in progress: the trace's end.
    pub end: f64,
    /// There is no end yet.
    pub in_progress: bool,
    /// fault, error, throttle.
    pub marks: Marks,
    /// `aws`, `remote`, or something else.
    pub namespace: Option<String>,
    /// `origin` of a segment.
    pub origin: Option<String>,
    /// `http`.
    pub http: Http,
    /// Strings, numbers and booleans only, as X-Ray indexes them.
    pub annotations: Vec<(String, Scalar)>,
    /// `user`.
    pub user: Option<String>,
    /// `resource_arn`.
    pub resource_arn: Option<String>,
    /// `aws.ec2.instance_id`.
    pub instance_id: Option<String>,
    /// The availability zone of EC2 or ECS.
    pub availability_zone: Option<String>,
    /// `sql.database_type`; `Some` with `SQL` where there is `sql` and no type in it.
    pub database: Option<String>,
    /// The few words that tell one call from another of the same name: the SQL, the AWS operation, the request.
    pub detail: String,
    /// `cause.exceptions`.
    pub exceptions: Vec<Exception>,
    /// A call that passed the trace on: `traced`, of itself or of its request.
    pub traced: bool,
    /// `inferred`: a segment that X-Ray made of its caller's subsegment, in a trace that was read from it.
    pub inferred: bool,
    /// What `aws` says was used.
    pub resource: Option<Resource>,
    /// As sent, or the entity it is nested in.
    pub(crate) parent_id: Option<String>,
    known_start: Option<f64>,
    known_end: Option<f64>,
    /// The unit of `start_time`, where it is not seconds.
    unit: Option<Unit>,
}

/// The longest word that names what a call did.
const MAX_OPERATION_BYTES: usize = 64;

impl Entity {
    /// What was asked of a database or of a service of AWS: the first word of the SQL in capitals, the operation; `None` where
    /// nothing of the kind is said.
    #[must_use]
    pub fn operation(&self) -> Option<Box<str>> {
        let word = self.detail.split_whitespace().next()?;
        let is_name =
            word.len() <= MAX_OPERATION_BYTES && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_method = self.http.method.as_deref() == Some(word);
        match (&self.database, self.namespace.as_deref()) {
            _ if !is_name => None,
            (Some(_), _) => Some(word.to_ascii_uppercase().into()),
            (None, Some("aws")) if !is_method => Some(word.into()),
            _ => None,
        }
    }

    /// Its times came in another unit than seconds.
    #[must_use]
    pub const fn has_wrong_unit(&self) -> bool {
        self.unit.is_some()
    }
}

/// A trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// In the order they were found.
    pub entities: Vec<Entity>,
    /// Those without a parent, in the order of their start.
    pub roots: Vec<usize>,
    /// Where the request came in: the first root segment.
    pub entry: Option<usize>,
    /// The earliest start, in seconds since 1970.
    pub start: f64,
    /// The latest end.
    pub end: f64,
    /// The unit of the times of some entity that are no seconds.
    pub unit: Option<Unit>,
}

impl Tree {
    /// The tree of these documents; those that are no JSON objects are left out.
    #[must_use]
    pub fn build<'a>(documents: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Vec::new();
        for document in documents {
            if let Ok(Value::Object(data)) = serde_json::from_str(document) {
                collect(&data, None, &mut found);
            }
        }
        let mut tree = Self {
            entities: choose(found),
            ..Self::default()
        };
        tree.unit = tree.entities.iter().filter_map(|entity| entity.unit).max();
        tree.attach();
        tree.name_local_calls();
        tree.settle_times();
        tree.sort();
        tree.entry = tree
            .roots
            .iter()
            .copied()
            .find(|&root| tree.entities[root].kind == Kind::Segment && !tree.entities[root].orphan)
            .or_else(|| {
                let mut roots = tree.roots.iter().copied();
                roots.find(|&root| tree.entities[root].kind == Kind::Segment)
            })
            .or_else(|| tree.roots.first().copied());
        tree
    }

    /// Every entity with its depth, parents before children.
    #[must_use]
    pub fn preorder(&self) -> Vec<(usize, usize)> {
        let mut order = Vec::with_capacity(self.entities.len());
        let mut stack: Vec<(usize, usize)> = self.roots.iter().rev().map(|&root| (root, 0)).collect();
        while let Some((at, depth)) = stack.pop() {
            order.push((at, depth));
            let children = self.entities[at].children.iter().rev();
            stack.extend(children.map(|&child| (child, depth + 1)));
        }
        order
    }

    /// How many entities are of this kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.entities.iter().filter(|entity| entity.kind == kind).count()
    }

    /// Whether every named parent is there and nothing is in progress.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self
            .entities
            .iter()
            .any(|entity| entity.orphan || entity.in_progress)
    }

    fn attach(&mut self) {
        let by_id: HashMap<String, usize> = self
            .entities
            .iter()
            .enumerate()
            .filter(|(_, entity)| !entity.id.is_empty())
            .map(|(at, entity)| (entity.id.clone(), at))
            .collect();
        let mut parents: Vec<Option<usize>> = vec![None; self.entities.len()];
        for (parent, entity) in parents.iter_mut().zip(&mut self.entities) {
            if let Some(parent_id) = &entity.parent_id {
                *parent = by_id.get(parent_id).copied();
                entity.orphan = parent.is_none();
            }
        }
        open_circles(&mut parents);
        for (at, parent) in parents.into_iter().enumerate() {
            self.entities[at].parent = parent;
            match parent {
                Some(parent) => self.entities[parent].children.push(at),
                None => self.roots.push(at),
            }
        }
    }

    /// A call to a host that says nothing but that it stayed on this machine is called by the service that answered.
    fn name_local_calls(&mut self) {
        for at in 0..self.entities.len() {
            let entity = &self.entities[at];
            if entity.kind != Kind::Subsegment || !is_local(&entity.name) {
                continue;
            }
            let mut children = entity.children.iter().map(|&child| &self.entities[child]);
            if let Some(answered) = children.find(|child| child.kind == Kind::Segment) {
                self.entities[at].name = answered.name.clone();
            }
        }
    }

    fn settle_times(&mut self) {
        let starts = self.entities.iter().filter_map(|entity| entity.known_start);
        let first = starts.reduce(f64::min).unwrap_or_default();
        for (at, _) in self.preorder() {
            let parent_start = self.entities[at].parent.map(|parent| self.entities[parent].start);
            let entity = &mut self.entities[at];
            entity.start = entity.known_start.or(parent_start).unwrap_or(first);
            entity.end = entity.known_end.unwrap_or(entity.start).max(entity.start);
        }
        self.start = first;
        self.end = self
            .entities
            .iter()
            .map(|entity| entity.end)
            .fold(first, f64::max);
        for entity in &mut self.entities {
            if entity.in_progress {
                entity.end = self.end.max(entity.start);
            }
        }
    }

    fn sort(&mut self) {
        let times: Vec<(f64, f64)> = self
            .entities
            .iter()
            .map(|entity| (entity.start, -entity.end))
            .collect();
        let order = |&a: &usize, &b: &usize| {
            let (a, b) = (times[a], times[b]);
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        for entity in &mut self.entities {
            entity.children.sort_by(order);
        }
        self.roots.sort_by(order);
    }
}

/// Whether a name is a host of this machine, with or without a port.
fn is_local(name: &str) -> bool {
    let host = match name.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    let host = host.trim_matches(['[', ']']);
    let is_loopback = host
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    is_loopback
        || name
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
        || ["localhost", "host.docker.internal"]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
}

/// Makes a forest of what names its parents: whoever comes last in a circle has no parent. Takes time with their number,
/// however long the ways up are.
pub(crate) fn open_circles(parents: &mut [Option<usize>]) {
    // On which way up somebody was met first; 0: not yet.
    let mut met = vec![0_usize; parents.len()];
    for start in 0..parents.len() {
        let way = start + 1;
        let mut at = start;
        while met[at] == 0 {
            met[at] = way;
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if met[at] == way && parents[at].is_some() {
            // This way has come back to itself: `at` is in a circle, which is gone around once.
            let (mut last, mut next) = (at, parents[at]);
            while let Some(one) = next.filter(|one| *one != at) {
                last = last.max(one);
                next = parents[one];
            }
            parents[last] = None;
        }
    }
}

/// Every entity of a document. The JSON parser's bound of 128 levels bounds the recursion.
fn collect(data: &Map<String, Value>, parent: Option<&str>, found: &mut Vec<Entity>) {
    let entity = entity(data, parent);
    // A child of an entity without an id belongs to the next one above that has one.
    let own = if entity.id.is_empty() {
        parent.map(str::to_owned)
    } else {
        Some(entity.id.clone())
    };
    found.push(entity);
    for child in array(data.get("subsegments")).iter().filter_map(Value::as_object) {
        match &own {
            Some(own) => collect(child, Some(own), found),
            None => collect(child, None, found),
        }
    }
}

/// One entity for each id: a complete copy before one in progress, a later one before an earlier one.
fn choose(mut found: Vec<Entity>) -> Vec<Entity> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept = 0;
    for at in 0..found.len() {
        let place = match places.get(&found[at].id) {
            Some(&place) if !found[at].id.is_empty() => {
                if found[at].in_progress && !found[place].in_progress {
                    continue;
                }
                place
            }
            _ => {
                places.insert(found[at].id.clone(), kept);
                kept += 1;
                kept - 1
            }
        };
        found.swap(place, at);
    }
    found.truncate(kept);
    found
}

fn entity(data: &Map<String, Value>, nested_in: Option<&str>) -> Entity {
    let is_subsegment = nested_in.is_some() || data.get("type").and_then(Value::as_str) == Some("subsegment");
    let flag = |name: &str| data.get(name) == Some(&Value::Bool(true));
    let (request, response) = (sub(data, "http", "request"), sub(data, "http", "response"));
    let aws = object(data.get("aws"));
    let ec2 = object(aws.get("ec2"));
    let sql = data.get("sql").and_then(Value::as_object);
    let http = Http {
        method: text(request.get("method")),
        url: text(request.get("url")),
        user_agent: text(request.get("user_agent")),
        client_ip: text(request.get("client_ip")),
        // Some write it as a string; a status is a small whole number.
        status: number(response.get("status")).map(|status| status as i64),
    };
    let cause = object(data.get("cause"));
    let (sent_start, known_end) = (number(data.get("start_time")), number(data.get("end_time")));
    Entity {
        id: text(data.get("id")).unwrap_or_default(),
        kind: if is_subsegment {
            Kind::Subsegment
        } else {
            Kind::Segment
        },
        name: text(data.get("name")).unwrap_or_else(|| "(no name)".to_owned()),
        parent: None,
        children: Vec::new(),
        orphan: false,
        start: 0.0,
        end: 0.0,
        in_progress: known_end.is_none(),
        marks: Marks {
            fault: flag("fault"),
            error: flag("error"),
            throttle: flag("throttle"),
        },
        namespace: text(data.get("namespace")),
        origin: text(data.get("origin")),
        detail: detail(&http, aws, sql),
        http,
        annotations: object(data.get("annotations"))
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), scalar(value)?)))
            .collect(),
        user: text(data.get("user")),
        resource_arn: text(data.get("resource_arn")),
        instance_id: text(ec2.get("instance_id")),
        availability_zone: text(ec2.get("availability_zone"))
            .or_else(|| text(object(aws.get("ecs")).get("availability_zone"))),
        database: sql.map(|sql| text(sql.get("database_type")).unwrap_or_else(|| "SQL".to_owned())),
        exceptions: array(cause.get("exceptions"))
            .iter()
            .filter_map(Value::as_object)
            .take(MAX_EXCEPTIONS)
            .map(|exception| Exception {
                kind: text(exception.get("type")),
                message: text(exception.get("message")),
            })
            .collect(),
        traced: flag("traced") || request.get("traced") == Some(&Value::Bool(true)),
        inferred: flag("inferred"),
        resource: Resource::of(aws),
        parent_id: nested_in
            .map(str::to_owned)
            .or_else(|| text(data.get("parent_id"))),
        known_start: sent_start.map(clock::seconds),
        known_end: known_end.map(clock::seconds),
        unit: sent_start.and_then(Unit::of),
    }
}

fn detail(http: &Http, aws: &Map<String, Value>, sql: Option<&Map<String, Value>>) -> String {
    if let Some(sql) = sql {
        return text(sql.get("sanitized_query")).unwrap_or_default();
    }
    if let Some(operation) = text(aws.get("operation")) {
        let of = [
            "table_name",
            "bucket_name",
            "queue_url",
            "topic_arn",
            "function_name",
        ];
        let target = of.iter().find_map(|name| text(aws.get(*name)));
        return match target {
            Some(target) => format!("{operation} {target}"),
            None => operation,
        };
    }
    let parts: Vec<&str> = [http.method.as_deref(), http.url.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    parts.join(" ")
}

fn sub<'a>(data: &'a Map<String, Value>, outer: &str, inner: &str) -> &'a Map<String, Value> {
    object(object(data.get(outer)).get(inner))
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        _ => None,
    }
}

mod resource;
#[cfg(test)]
mod tests;
