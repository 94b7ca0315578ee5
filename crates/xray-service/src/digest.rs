//! What filters, summaries and the service map need of a trace, so that its documents are read once and not with every
//! question.

use std::collections::HashSet;

use xray_document::clock::Unit;

use super::model::{Entity, Http, Kind, Marks, Scalar, Tree};

/// The node that stands for whoever sent the first request.
const CLIENTS: &str = "Clients";

/// Text that is compared as fast as anything else.
const TEXT_BYTES_A_STEP: usize = 64;

/// A node of the service map: what tells services apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServiceKey {
    /// The segment's name, or the called service's.
    pub name: String,
    /// The segment's origin, `client`, `remote`, `AWS::DynamoDB`, `Database::PostgreSQL`; empty when nothing tells.
    pub kind: String,
}

impl ServiceKey {
    /// Stands for so many that are not shown one by one.
    #[must_use]
    pub fn more(count: usize) -> Self {
        Self {
            name: format!("{count} more"),
            kind: String::new(),
        }
    }

    /// One text for both, as the page's ids.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}~{}", self.name, self.kind)
    }
}

/// The work of one service in one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which service.
    pub service: ServiceKey,
    /// Seconds since 1970.
    pub start: f64,
    /// Seconds since 1970.
    pub end: f64,
    /// There is no end yet.
    pub in_progress: bool,
    /// Of the segment itself, not of what it called.
    pub marks: Marks,
    /// The request came in here.
    pub root: bool,
    /// Known only from its caller's subsegment.
    pub inferred: bool,
    /// Of the segment.
    pub http: Http,
    /// Of the segment and its subsegments.
    pub annotations: Vec<(String, Scalar)>,
    /// Of the segment.
    pub user: Option<String>,
    /// Of the segment.
    pub instance_id: Option<String>,
    /// Of the segment.
    pub availability_zone: Option<String>,
    /// Of the segment.
    pub resource_arn: Option<String>,
}

impl Part {
    /// Seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.end - self.start
    }
}

/// One call from one service to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The caller, by its place in [`Digest::parts`].
    pub from: usize,
    /// The called.
    pub to: usize,
    /// As the caller saw it, where it says so.
    pub marks: Marks,
    /// Seconds since 1970.
    pub start: f64,
    /// Seconds since 1970.
    pub end: f64,
    /// There is no end yet.
    pub in_progress: bool,
}

/// What is known about one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// The trace id.
    pub id: String,
    /// The earliest start, in seconds since 1970.
    pub start: f64,
    /// The latest end.
    pub end: f64,
    /// Something in it has no end yet.
    pub in_progress: bool,
    /// Every named parent is there, and nothing is in progress.
    pub whole: bool,
    /// Segments and subsegments.
    pub segments: usize,
    /// Any of them.
    pub marks: Marks,
    /// Every service's work; those with a segment first.
    pub parts: Vec<Part>,
    /// The calls between them.
    pub calls: Vec<Call>,
    /// Where the request came in, by its place in `parts`.
    pub entry: Option<usize>,
    /// The entry's name, even where it is a subsegment on its own.
    pub name: String,
    /// The names of services that sent segments, each once.
    pub services: Vec<String>,
    /// The unit in which some of its times came, where they are no seconds.
    pub unit: Option<Unit>,
    size: u64,
}

impl Digest {
    /// Of the tree of the trace `id`.
    #[must_use]
    pub fn of(id: &str, tree: &Tree) -> Self {
        let mut digest = Self {
            id: id.to_owned(),
            start: tree.start,
            end: tree.end,
            in_progress: tree.entities.iter().any(|entity| entity.in_progress),
            whole: tree.is_whole(),
            segments: tree.entities.len(),
            marks: tree
                .entities
                .iter()
                .fold(Marks::default(), |marks, entity| marks.or(entity.marks)),
            parts: Vec::new(),
            calls: Vec::new(),
            entry: None,
            name: tree
                .entry
                .map_or_else(String::new, |entry| tree.entities[entry].name.clone()),
            services: Vec::new(),
            unit: tree.unit,
            size: 0,
        };
        let mut named = HashSet::new();
        let mut part_of = vec![usize::MAX; tree.entities.len()];
        for (at, _) in tree.preorder() {
            let entity = &tree.entities[at];
            if entity.kind == Kind::Segment {
                if named.insert(entity.name.as_str()) {
                    digest.services.push(entity.name.clone());
                }
                part_of[at] = digest.add_segment(entity, tree.entry == Some(at));
            } else {
                // What a subsegment is annotated with belongs to its segment.
                let segment = entity.parent.map_or(usize::MAX, |parent| part_of[parent]);
                if let Some(part) = digest.parts.get_mut(segment) {
                    part.annotations.extend(entity.annotations.iter().cloned());
                }
                part_of[at] = segment;
            }
        }
        for (at, entity) in tree.entities.iter().enumerate() {
            match entity.kind {
                Kind::Segment => digest.add_call_to(tree, at, &part_of),
                Kind::Subsegment => digest.add_inferred(tree, at, &part_of),
            }
        }
        digest.settle();
        digest
    }

    /// Gives back what was reserved and not used: it is kept for long. And measures it.
    fn settle(&mut self) {
        let mut size = 1 + self.parts.len() + self.calls.len();
        for part in &mut self.parts {
            part.annotations = exact(&mut part.annotations);
            size += part.annotations.len();
            let texts = [
                &part.http.url,
                &part.http.user_agent,
                &part.user,
                &part.resource_arn,
            ];
            let of_text = |text: &String| text.len() / TEXT_BYTES_A_STEP;
            size += texts.into_iter().flatten().map(of_text).sum::<usize>();
            let of_scalar = |(_, value): &(String, Scalar)| match value {
                Scalar::Text(text) => of_text(text),
                Scalar::Number(_) | Scalar::Bool(_) => 0,
            };
            size += part.annotations.iter().map(of_scalar).sum::<usize>();
        }
        self.parts = exact(&mut self.parts);
        self.calls = exact(&mut self.calls);
        self.services = exact(&mut self.services);
        self.size = size as u64;
    }

    /// What is odd about its times, for people.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        self.unit
            .map(|unit| format!("start_time looks like {}", unit.name()))
    }

    /// How many comparisons it takes to look at all of it once, for a budget of work.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// From the start to the latest end, in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.end - self.start
    }

    /// How long the first service took; `None` while it works.
    #[must_use]
    pub fn response_time(&self) -> Option<f64> {
        let entry = self.entry_part()?;
        (!entry.in_progress).then(|| entry.duration())
    }

    /// The work of the service where the request came in.
    #[must_use]
    pub fn entry_part(&self) -> Option<&Part> {
        self.parts.get(self.entry?)
    }

    /// Every annotation of the trace.
    pub fn annotations(&self) -> impl Iterator<Item = &(String, Scalar)> {
        self.parts.iter().flat_map(|part| &part.annotations)
    }

    fn add_segment(&mut self, entity: &Entity, root: bool) -> usize {
        if root {
            self.entry = Some(self.parts.len());
        }
        self.parts.push(Part {
            root,
            annotations: entity.annotations.clone(),
            user: entity.user.clone(),
            instance_id: entity.instance_id.clone(),
            availability_zone: entity.availability_zone.clone(),
            resource_arn: entity.resource_arn.clone(),
            http: entity.http.clone(),
            ..part(
                entity,
                ServiceKey {
                    name: entity.name.clone(),
                    kind: entity.origin.clone().unwrap_or_default(),
                },
                false,
            )
        });
        self.parts.len() - 1
    }

    /// The call that made a segment: from the segment above it, or from a client.
    fn add_call_to(&mut self, tree: &Tree, at: usize, part_of: &[usize]) {
        let entity = &tree.entities[at];
        let (from, seen) = match entity.parent {
            Some(parent) => {
                let above = &tree.entities[parent];
                let seen = if above.kind == Kind::Subsegment {
                    above
                } else {
                    entity
                };
                (part_of[parent], seen)
            }
            None => {
                let clients = ServiceKey {
                    name: CLIENTS.to_owned(),
                    kind: "client".to_owned(),
                };
                self.parts.push(part(entity, clients, true));
                (self.parts.len() - 1, entity)
            }
        };
        self.add_call(from, part_of[at], seen);
    }

    /// A called service that sent no segment of its own.
    fn add_inferred(&mut self, tree: &Tree, at: usize, part_of: &[usize]) {
        let entity = &tree.entities[at];
        let is_answered = |&child: &usize| tree.entities[child].kind == Kind::Segment;
        if entity.children.iter().any(is_answered) {
            return;
        }
        let kind = match (&entity.database, entity.namespace.as_deref()) {
            (Some(database), Some("remote" | "aws")) => format!("Database::{database}"),
            (_, Some("aws")) => format!("AWS::{}", entity.name),
            (_, Some("remote")) => "remote".to_owned(),
            _ => return,
        };
        if self.parts.get(part_of[at]).is_none() {
            // Its segment has not come: there is no caller to draw it from.
            return;
        }
        let service = ServiceKey {
            name: entity.name.clone(),
            kind,
        };
        self.parts.push(Part {
            http: entity.http.clone(),
            ..part(entity, service, true)
        });
        self.add_call(part_of[at], self.parts.len() - 1, entity);
    }

    fn add_call(&mut self, from: usize, to: usize, seen: &Entity) {
        if from >= self.parts.len() || to >= self.parts.len() {
            return;
        }
        self.calls.push(Call {
            from,
            to,
            marks: seen.marks,
            start: seen.start,
            end: seen.end,
            in_progress: seen.in_progress,
        });
    }
}

/// The same in a place of its own size. `shrink_to_fit` leaves the allocator the choice to keep twice as much.
fn exact<T>(all: &mut Vec<T>) -> Vec<T> {
    let mut exact = Vec::with_capacity(all.len());
    exact.append(all);
    exact
}

fn part(entity: &Entity, service: ServiceKey, inferred: bool) -> Part {
    Part {
        service,
        start: entity.start,
        end: entity.end,
        in_progress: entity.in_progress,
        marks: entity.marks,
        root: false,
        inferred,
        http: Http::default(),
        annotations: Vec::new(),
        user: None,
        instance_id: None,
        availability_zone: None,
        resource_arn: None,
    }
}
