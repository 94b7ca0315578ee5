//! What filters, summaries and the service map need of a trace, so that its documents are read once and not with every
//! question.
//!
//! Subsegments whose segment has not come, as an SDK for Lambda sends them where there is no Lambda, are parts of a
//! service all the same: one for each segment that is named and not there. It has the name of the first of them that
//! is no call.

use std::collections::{HashMap, HashSet};

use xray_document::clock::Unit;

use super::failure::{Failure, Said};
use super::model::{Entity, Http, Kind, Marks, Scalar, Tree};

/// The node that stands for whoever sent the first request.
const CLIENTS: &str = "Clients";

/// The name of a segment that has not come, where all that is known of it are calls.
const UNSEEN: &str = "(segment not received)";

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
    /// Known only from its caller's subsegment; or a segment that X-Ray has made of one.
    pub inferred: bool,
    /// Of the segment.
    pub http: Http,
    /// What was asked of it where no request over HTTP tells: the AWS operation, the first word of the SQL.
    pub operation: Option<Box<str>>,
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
    /// Segments: the work of services.
    pub segments: usize,
    /// Parts of segments, nested or sent on their own.
    pub subsegments: usize,
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
    /// Where it failed, if it did.
    pub failure: Option<Box<Failure>>,
    /// What its exceptions say, the first of them.
    pub said: Vec<Said>,
    /// It names a first parent that has not come.
    pub headless: bool,
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
            segments: tree.count(Kind::Segment),
            subsegments: tree.count(Kind::Subsegment),
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
            failure: Failure::of(tree).map(Box::new),
            said: Said::of(tree),
            headless: tree.entry.is_some_and(|entry| tree.entities[entry].orphan),
            size: 0,
        };
        let mut named = HashSet::new();
        let mut part_of = vec![usize::MAX; tree.entities.len()];
        // The part of each segment that has not come, by its id.
        let mut missing: HashMap<Option<&str>, usize> = HashMap::new();
        for (at, _) in tree.preorder() {
            let entity = &tree.entities[at];
            if entity.kind == Kind::Segment {
                if named.insert(entity.name.as_str()) {
                    digest.services.push(entity.name.clone());
                }
                part_of[at] = digest.add_segment(entity, tree.entry == Some(at));
            } else {
                // What a subsegment is annotated with belongs to its segment.
                let segment = match entity.parent {
                    Some(parent) => part_of[parent],
                    None => digest.add_to_missing(&mut missing, entity, tree.entry == Some(at)),
                };
                if let Some(part) = digest.parts.get_mut(segment) {
                    part.annotations.extend(entity.annotations.iter().cloned());
                }
                part_of[at] = segment;
            }
        }
        let mut stand_ins: Vec<usize> = missing.into_values().collect();
        stand_ins.sort_unstable();
        let mut named_so = HashSet::new();
        for part in stand_ins {
            let name = digest.parts[part].service.name.clone();
            if !named.contains(name.as_str()) && named_so.insert(name.clone()) {
                digest.services.push(name);
            }
            digest.add_call_from_client(part);
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

    /// How the request went, as its first segment says: what `HasFault` and its kin, and the keywords `fault`, `error`,
    /// `throttle` and `ok`, are about.
    #[must_use]
    pub fn root_marks(&self) -> Marks {
        self.entry_part().map_or(self.marks, |entry| entry.marks)
    }

    /// Segments and subsegments.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.segments + self.subsegments
    }

    /// Gives back what was reserved and not used: it is kept for long. And measures it.
    fn settle(&mut self) {
        let mut size = 1 + self.parts.len() + self.calls.len() + self.said.len();
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
        let service = match &entity.resource {
            // X-Ray gives such a segment the name of the service, and its node that of the resource.
            Some(resource) if entity.inferred => ServiceKey {
                name: resource.name.clone(),
                kind: entity.origin.clone().unwrap_or_else(|| resource.kind.to_owned()),
            },
            _ => ServiceKey {
                name: entity.name.clone(),
                kind: match &entity.origin {
                    Some(origin) => origin.clone(),
                    None if entity.inferred => "remote".to_owned(),
                    None => String::new(),
                },
            },
        };
        self.parts.push(Part {
            root,
            annotations: entity.annotations.clone(),
            user: entity.user.clone(),
            instance_id: entity.instance_id.clone(),
            availability_zone: entity.availability_zone.clone(),
            resource_arn: entity.resource_arn.clone(),
            http: entity.http.clone(),
            ..part(entity, service, entity.inferred)
        });
        self.parts.len() - 1
    }

    /// The part that stands for a segment that has not come, whose subsegment `entity` is; how it went and how long it
    /// took, as far as its subsegments tell.
    fn add_to_missing<'t>(
        &mut self,
        missing: &mut HashMap<Option<&'t str>, usize>,
        entity: &'t Entity,
        root: bool,
    ) -> usize {
        let is_call = matches!(entity.namespace.as_deref(), Some("aws" | "remote"));
        let at = *missing.entry(entity.parent_id.as_deref()).or_insert_with(|| {
            let service = ServiceKey {
                name: UNSEEN.to_owned(),
                kind: String::new(),
            };
            self.parts.push(part(entity, service, false));
            self.parts.len() - 1
        });
        let part = &mut self.parts[at];
        if !is_call && part.service.name == UNSEEN {
            part.service.name.clone_from(&entity.name);
        }
        part.start = part.start.min(entity.start);
        part.end = part.end.max(entity.end);
        part.in_progress |= entity.in_progress;
        part.marks = part.marks.or(entity.marks);
        part.root |= root;
        if root {
            self.entry = Some(at);
        }
        at
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
            None => return self.add_call_from_client(part_of[at]),
        };
        self.add_call(from, part_of[at], seen);
    }

    /// The call that came in at a part.
    fn add_call_from_client(&mut self, to: usize) {
        let Some(called) = self.parts.get(to) else { return };
        let client = Part {
            service: ServiceKey {
                name: CLIENTS.to_owned(),
                kind: "client".to_owned(),
            },
            start: called.start,
            end: called.end,
            in_progress: called.in_progress,
            marks: called.marks,
            root: false,
            inferred: true,
            http: Http::default(),
            operation: None,
            annotations: Vec::new(),
            user: None,
            instance_id: None,
            availability_zone: None,
            resource_arn: None,
        };
        self.calls.push(Call {
            from: self.parts.len(),
            to,
            marks: client.marks,
            start: client.start,
            end: client.end,
            in_progress: client.in_progress,
        });
        self.parts.push(client);
    }

    /// A called service that sent no segment of its own.
    fn add_inferred(&mut self, tree: &Tree, at: usize, part_of: &[usize]) {
        let entity = &tree.entities[at];
        let is_answered = |&child: &usize| tree.entities[child].kind == Kind::Segment;
        if entity.children.iter().any(is_answered) {
            return;
        }
        let own_name = |kind: String| ServiceKey {
            name: entity.name.clone(),
            kind,
        };
        let service = match (&entity.database, entity.namespace.as_deref(), &entity.resource) {
            (Some(database), Some("remote" | "aws"), _) => own_name(format!("Database::{database}")),
            (_, Some("aws"), Some(resource)) => ServiceKey {
                name: resource.name.clone(),
                kind: resource.kind.to_owned(),
            },
            (_, Some("aws"), None) => own_name(format!("AWS::{}", entity.name)),
            (_, Some("remote"), _) => own_name("remote".to_owned()),
            _ => return,
        };
        if self.parts.get(part_of[at]).is_none() {
            return;
        }
        self.parts.push(Part {
            http: entity.http.clone(),
            operation: entity.operation(),
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
        operation: None,
        annotations: Vec::new(),
        user: None,
        instance_id: None,
        availability_zone: None,
        resource_arn: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest(documents: &[Value]) -> Digest {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        Digest::of("t", &Tree::build(texts.iter().map(String::as_str)))
    }

    /// Name and kind of every node.
    fn services(digest: &Digest) -> Vec<(&str, &str)> {
        let parts = digest.parts.iter();
        parts
            .map(|part| (part.service.name.as_str(), part.service.kind.as_str()))
            .collect()
    }

    /// As names, caller and called.
    fn calls(digest: &Digest) -> Vec<(&str, &str)> {
        let name = |at: usize| digest.parts[at].service.name.as_str();
        digest
            .calls
            .iter()
            .map(|call| (name(call.from), name(call.to)))
            .collect()
    }

    fn subsegment(id: &str, parent: &str, more: Value) -> Value {
        let mut data =
            json!({"id": id, "parent_id": parent, "type": "subsegment", "start_time": 10, "end_time": 11});
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        data
    }

    #[test]
    fn subsegments_without_their_segment_have_a_service_annotations_and_calls() {
        let digest = digest(&[
            subsegment(
                "2",
                "1",
                json!({"name": "## handler", "annotations": {"ColdStart": true}, "end_time": 12, "fault": true,
                       "subsegments": [{"id": "3", "name": "db", "namespace": "remote", "start_time": 10.5,
                                        "end_time": 11}]}),
            ),
            subsegment(
                "4",
                "1",
                json!({"name": "DynamoDB", "namespace": "aws", "aws": {"table_name": "carts"}}),
            ),
        ]);
        assert_eq!(
            services(&digest),
            [
                ("## handler", ""),
                ("Clients", "client"),
                ("db", "remote"),
                ("carts", "AWS::DynamoDB::Table")
            ]
        );
        assert_eq!(
            calls(&digest),
            [
                ("Clients", "## handler"),
                ("## handler", "db"),
                ("## handler", "carts")
            ]
        );
        assert_eq!(
            digest.parts[0].annotations,
            [("ColdStart".to_owned(), Scalar::Bool(true))]
        );
        assert_eq!((digest.entry, digest.response_time()), (Some(0), Some(2.0)));
        assert!(digest.root_marks().fault && digest.parts[0].root);
        assert_eq!(digest.services, ["## handler"]);
    }

    #[test]
    fn calls_alone_are_made_by_a_segment_that_has_not_come() {
        let digest = digest(&[subsegment("2", "1", json!({"name": "S3", "namespace": "aws"}))]);
        assert_eq!(
            services(&digest),
            [(UNSEEN, ""), ("Clients", "client"), ("S3", "AWS::S3")]
        );
        assert_eq!(calls(&digest), [("Clients", UNSEEN), (UNSEEN, "S3")]);
    }

    #[test]
    fn each_table_is_a_node_and_each_other_resource_too() {
        let call = |id: &str, name: &str, aws: Value| json!({"id": id, "name": name, "namespace": "aws", "start_time": 1, "end_time": 2, "aws": aws});
        let digest = digest(&[
            json!({"id": "1", "name": "shop", "start_time": 1, "end_time": 2, "subsegments": [
                call("2", "DynamoDB", json!({"table_name": "carts"})),
                call("3", "DynamoDB", json!({"table_name": "users"})),
                call("4", "SQS", json!({"queue_url": "http://localhost:4566/000000000000/jobs"})),
                call("5", "SNS", json!({"topic_arn": "arn:aws:sns:us-west-2:123456789012:news"})),
                call("6", "Lambda", json!({"function_name": "resize"})),
                call("7", "S3", json!({"bucket_name": "images"})),
                call("8", "STS", json!({"operation": "GetCallerIdentity"})),
            ]}),
        ]);
        assert_eq!(
            services(&digest)[2..],
            [
                ("carts", "AWS::DynamoDB::Table"),
                ("users", "AWS::DynamoDB::Table"),
                ("jobs", "AWS::SQS::Queue"),
                ("news", "AWS::SNS::Topic"),
                ("resize", "AWS::Lambda::Function"),
                ("images", "AWS::S3::Bucket"),
                ("STS", "AWS::STS")
            ]
        );
    }

    /// The inferred segments of the guide's example of BatchGetTraces.
    #[test]
    fn inferred_segments_of_a_trace_that_was_read_from_x_ray_are_nodes_of_their_resource() {
        let digest = digest(&[
            json!({"id": "194fcc8747581230", "name": "Scorekeep", "start_time": 1.0, "end_time": 4.0,
                   "origin": "AWS::ElasticBeanstalk::Environment", "subsegments": [
                       {"id": "4cd3f10b76c624b4", "name": "DynamoDB", "namespace": "aws", "start_time": 1.5,
                        "end_time": 2.0, "aws": {"table_name": "scorekeep-user"}},
                       {"id": "004f72be19cddc2a", "name": "names.example.com", "namespace": "remote",
                        "start_time": 2.0, "end_time": 2.5}]}),
            json!({"id": "17ba309b32c7fbaf", "name": "DynamoDB", "parent_id": "4cd3f10b76c624b4", "inferred": true,
                   "start_time": 1.5, "end_time": 2.0, "aws": {"table_name": "scorekeep-user"},
                   "origin": "AWS::DynamoDB::Table"}),
            json!({"id": "168416dc2ea97781", "name": "names.example.com", "parent_id": "004f72be19cddc2a",
                   "inferred": true, "start_time": 2.0, "end_time": 2.5}),
        ]);
        assert_eq!(
            services(&digest),
            [
                ("Scorekeep", "AWS::ElasticBeanstalk::Environment"),
                ("scorekeep-user", "AWS::DynamoDB::Table"),
                ("names.example.com", "remote"),
                ("Clients", "client")
            ]
        );
        let inferred: Vec<bool> = digest.parts.iter().map(|part| part.inferred).collect();
        assert_eq!(inferred, [false, true, true, true]);
        assert_eq!(
            calls(&digest),
            [
                ("Clients", "Scorekeep"),
                ("Scorekeep", "scorekeep-user"),
                ("Scorekeep", "names.example.com")
            ]
        );
    }

    #[test]
    fn the_root_segment_says_how_the_request_went() {
        let digest = digest(&[
            json!({"id": "1", "name": "shop", "start_time": 1, "end_time": 2, "error": true, "subsegments": [
                {"id": "2", "name": "pay", "namespace": "remote", "start_time": 1, "end_time": 2, "fault": true}]}),
        ]);
        assert!(digest.marks.fault && !digest.root_marks().fault && digest.root_marks().error);
    }
}
