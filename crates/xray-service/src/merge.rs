//! The documents of a trace put together, as the API gives them.
//!
//! Every value stays as it was sent, to the byte: only where subsegments go is read. The work grows with the length of the
//! documents and with nothing else, whatever their order and however deep they nest: nothing here recurses but the
//! reading of one document, which the JSON parser bounds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::open_circles;

/// The most subsegments inside each other in one document of an answer: with more, JSON readers of 128 levels fail.
pub const MAX_DEPTH: usize = 63;

/// The segments of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Pairs of id and document, in the order of their start.
    pub segments: Vec<(String, String)>,
    /// Subsegments that were sent apart would have been more than [`MAX_DEPTH`] deep in their segment: they stand among
    /// `segments`, with the `parent_id` they were sent with.
    pub too_deep: bool,
}

/// The segments of a trace as the API gives them: each with the subsegments that were sent apart put into it, under
/// their parents. What has no parent here stands alone, and what is in a circle of parents.
#[must_use]
pub fn merged(documents: &[&str]) -> Merged {
    let mut forest = Forest::default();
    for (document, text) in documents.iter().enumerate() {
        forest.read(document, text);
    }
    forest.give_way();
    forest.attach();
    let too_deep = forest.cut();
    let mut roots: Vec<usize> = (0..forest.trees.len())
        .filter(|&tree| forest.trees[tree].parent.is_none())
        .collect();
    roots.sort_by(|&a, &b| forest.start(a).total_cmp(&forest.start(b)));
    let segments = roots
        .into_iter()
        .map(|tree| {
            let root = &forest.trees[tree];
            let id = forest.entities[root.entities.start].id.clone();
            // What nothing was put into stays as it was sent.
            let text = if root.changed {
                forest.write(tree)
            } else {
                documents[root.document].to_owned()
            };
            (id, text)
        })
        .collect();
    Merged { segments, too_deep }
}

/// A segment or subsegment of a document.
#[derive(Debug, Default)]
struct Entity<'a> {
    id: String,
    /// All fields but `subsegments`.
    fields: Vec<(String, &'a RawValue)>,
    /// Its own and those of the entities in it: they stand behind each other.
    within: Range<usize>,
    /// Subsegments inside each other from the document's root to here.
    depth: usize,
    is_subsegment: bool,
    parent_id: String,
    has_ended: bool,
    start: f64,
    /// A copy of it was sent apart, which takes its place.
    gone: bool,
    /// Documents that were put under it, by their places in [`Forest::trees`].
    apart: Vec<usize>,
}

/// A document.
#[derive(Debug)]
struct Tree {
    /// Which of the documents.
    document: usize,
    entities: Range<usize>,
    /// Subsegments inside each other.
    height: usize,
    /// Where it was put: an entity of another one.
    parent: Option<usize>,
    /// Something was put into it, or taken out.
    changed: bool,
}

#[derive(Debug, Default)]
struct Forest<'a> {
    entities: Vec<Entity<'a>>,
    /// The tree of each entity.
    tree_of: Vec<usize>,
    trees: Vec<Tree>,
}

impl<'a> Forest<'a> {
    /// Takes a document, if it is one.
    fn read(&mut self, document: usize, text: &'a str) {
        let start = self.entities.len();
        let mut json = serde_json::Deserializer::from_str(text);
        let seed = EntitySeed {
            found: &mut self.entities,
            depth: 0,
            expected: Expected::Entity,
        };
        if seed.deserialize(&mut json).is_err() || json.end().is_err() || self.entities.len() == start {
            self.entities.truncate(start);
            return;
        }
        let entities = start..self.entities.len();
        self.tree_of.resize(entities.end, self.trees.len());
        let depths = self.entities[entities.clone()].iter().map(|entity| entity.depth);
        self.trees.push(Tree {
            document,
            height: depths.max().unwrap_or_default(),
            entities,
            parent: None,
            changed: false,
        });
    }

    fn root(&self, tree: usize) -> &Entity<'a> {
        &self.entities[self.trees[tree].entities.start]
    }

    fn start(&self, tree: usize) -> f64 {
        self.root(tree).start
    }

    /// A subsegment that was sent on its own, and says of whom.
    fn is_apart(&self, tree: usize) -> bool {
        let root = self.root(tree);
        root.is_subsegment && !root.parent_id.is_empty()
    }

    /// An older copy in its parent gives way to what was sent apart, with all that is in it.
    fn give_way(&mut self) {
        let apart: HashSet<(String, String)> = (0..self.trees.len())
            .filter(|&tree| self.is_apart(tree) && !self.root(tree).id.is_empty())
            .map(|tree| (self.root(tree).parent_id.clone(), self.root(tree).id.clone()))
            .collect();
        if apart.is_empty() {
            return;
        }
        for tree in &mut self.trees {
            // The ids of the entities above, the nearest last.
            let mut above: Vec<usize> = Vec::new();
            let mut at = tree.entities.start;
            while at < tree.entities.end {
                above.truncate(self.entities[at].depth);
                let parent = above.last().map(|&parent| self.entities[parent].id.clone());
                let pair = (parent.unwrap_or_default(), self.entities[at].id.clone());
                if !above.is_empty() && apart.contains(&pair) {
                    tree.changed = true;
                    let within = self.entities[at].within.clone();
                    at = within.end;
                    for entity in &mut self.entities[within] {
                        entity.gone = true;
                    }
                } else {
                    above.push(at);
                    at += 1;
                }
            }
        }
    }

    /// Finds the parents of what was sent apart.
    fn attach(&mut self) {
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        for (at, entity) in self.entities.iter().enumerate() {
            if entity.gone || entity.id.is_empty() {
                continue;
            }
            let place = by_id.entry(&entity.id).or_insert(at);
            // A complete copy before one in progress, a later one before an earlier one.
            if entity.has_ended || !self.entities[*place].has_ended {
                *place = at;
            }
        }
        let parents: Vec<Option<usize>> = (0..self.trees.len())
            .map(|tree| {
                let parent = by_id.get(self.root(tree).parent_id.as_str())?;
                self.is_apart(tree).then_some(*parent)
            })
            .collect();
        let mut above: Vec<Option<usize>> = parents
            .iter()
            .map(|parent| parent.map(|parent| self.tree_of[parent]))
            .collect();
        open_circles(&mut above);
        for (tree, parent) in parents.into_iter().enumerate() {
            self.trees[tree].parent = parent.filter(|_| above[tree].is_some());
        }
    }

    /// Puts every document where it belongs, from the roots down, but those that would be too deep there: they become
    /// roots. Whether there was any.
    fn cut(&mut self) -> bool {
        let mut under: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for (tree, Tree { parent, .. }) in self.trees.iter().enumerate() {
            match parent {
                Some(parent) => under.entry(self.tree_of[*parent]).or_default().push(tree),
                None => waiting.push((tree, 0)),
            }
        }
        let mut too_deep = false;
        while let Some((tree, base)) = waiting.pop() {
            for child in under.remove(&tree).unwrap_or_default() {
                let Some(parent) = self.trees[child].parent else {
                    continue;
                };
                let depth = base + self.entities[parent].depth + 1;
                if depth + self.trees[child].height > MAX_DEPTH {
                    too_deep = true;
                    self.trees[child].parent = None;
                    waiting.push((child, 0));
                } else {
                    self.entities[parent].apart.push(child);
                    self.trees[tree].changed = true;
                    waiting.push((child, depth));
                }
            }
        }
        too_deep
    }

    /// The text of a document with all that was put into it.
    fn write(&self, tree: usize) -> String {
        enum Step {
            /// Those of this range that stand beside each other; whether nothing stands before them.
            Entities(Range<usize>, bool),
            /// The documents under this entity, from this one on; whether nothing stands before them.
            Documents(usize, usize, bool),
            Text(&'static str),
        }
        let mut out = String::new();
        let mut steps = vec![Step::Entities(self.trees[tree].entities.clone(), true)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Text(text) => out.push_str(text),
                Step::Entities(range, is_first) => {
                    let Some(entity) = self.entities[range.clone()].first() else {
                        continue;
                    };
                    steps.push(Step::Entities(
                        entity.within.end..range.end,
                        is_first && entity.gone,
                    ));
                    if entity.gone {
                        continue;
                    }
                    if !is_first {
                        out.push(',');
                    }
                    let inner = range.start + 1..entity.within.end;
                    let keeps = self.entities[inner.clone()].iter().any(|inner| !inner.gone);
                    self.write_fields(entity, &mut out);
                    if keeps || !entity.apart.is_empty() {
                        out.push_str(if entity.fields.is_empty() {
                            "\"subsegments\":["
                        } else {
                            ",\"subsegments\":["
                        });
                        steps.push(Step::Text("]}"));
                        steps.push(Step::Documents(range.start, 0, !keeps));
                        steps.push(Step::Entities(inner, true));
                    } else {
                        out.push('}');
                    }
                }
                Step::Documents(entity, at, is_first) => {
                    let Some(&tree) = self.entities[entity].apart.get(at) else {
                        continue;
                    };
                    steps.push(Step::Documents(entity, at + 1, false));
                    steps.push(Step::Entities(self.trees[tree].entities.clone(), is_first));
                }
            }
        }
        out
    }

    fn write_fields(&self, entity: &Entity<'a>, out: &mut String) {
        out.push('{');
        for (at, (name, value)) in entity.fields.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&serde_json::Value::from(name.as_str()).to_string());
            out.push(':');
            out.push_str(value.get());
        }
    }
}

/// What is expected at a place; anything else there is stepped over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Entity,
    /// A list of them.
    Subsegments,
}

/// Reads an entity and those in it, one behind the other.
struct EntitySeed<'f, 'a> {
    found: &'f mut Vec<Entity<'a>>,
    depth: usize,
    expected: Expected,
}

impl<'a> DeserializeSeed<'a> for EntitySeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for EntitySeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        if self.expected != Expected::Entity {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let at = self.found.len();
        self.found.push(Entity {
            depth: self.depth,
            ..Entity::default()
        });
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "subsegments" {
                map.next_value_seed(EntitySeed {
                    found: &mut *self.found,
                    depth: self.depth + 1,
                    expected: Expected::Subsegments,
                })?;
                continue;
            }
            let value: &RawValue = map.next_value()?;
            let entity = &mut self.found[at];
            let text = || serde_json::from_str::<String>(value.get()).unwrap_or_default();
            match name.as_str() {
                "id" => entity.id = text(),
                "parent_id" => entity.parent_id = text(),
                "type" => entity.is_subsegment = text() == "subsegment",
                "end_time" => entity.has_ended = time(value).is_some(),
                "start_time" => entity.start = time(value).unwrap_or_default(),
                _ => {}
            }
            fields.push((name, value));
        }
        let end = self.found.len();
        let entity = &mut self.found[at];
        entity.fields = fields;
        entity.within = at..end;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        if self.expected != Expected::Subsegments {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        loop {
            let seed = EntitySeed {
                found: &mut *self.found,
                depth: self.depth,
                expected: Expected::Entity,
            };
            if list.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A time, also one written as a string.
fn time(value: &RawValue) -> Option<f64> {
    let value = serde_json::from_str(value.get()).ok()?;
    xray_document::fields::number(Some(&value)).map(xray_document::clock::seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subsegment(id: u32, parent: u32) -> String {
        json!({
            "id": format!("{id:016x}"), "parent_id": format!("{parent:016x}"), "type": "subsegment", "name": "f",
            "start_time": id, "end_time": id + 1
        })
        .to_string()
    }

    fn segment(id: u32) -> String {
        json!({"id": format!("{id:016x}"), "name": "shop", "start_time": 1, "end_time": 2}).to_string()
    }

    fn merged_of(documents: &[String]) -> Merged {
        let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
        merged(&texts)
    }

    /// Subsegments inside each other, at most.
    fn depth(text: &str) -> usize {
        xray_document::nesting::levels(text) / 2
    }

    #[test]
    fn values_come_back_as_they_were_sent() {
        let number = "12345678901234567890123";
        let documents = [
            format!(
                r#"{{"id":"0000000000000001","name":"\u0061","n":{number},"subsegments":[{{ "id" : "0000000000000002", "x": 1.50e0}}]}}"#
            ),
            subsegment(3, 2),
        ];
        let merged = merged_of(&documents);
        assert_eq!(
            merged.segments[0].1,
            format!(
                r#"{{"id":"0000000000000001","name":"\u0061","n":{number},"subsegments":[{{"id":"0000000000000002","x":1.50e0,"subsegments":[{}]}}]}}"#,
                documents[1]
            )
        );
    }

    #[test]
    fn what_was_sent_apart_takes_the_place_of_an_older_copy() {
        let documents = [
            json!({
                "id": "0000000000000001", "name": "shop", "start_time": 1, "end_time": 2, "subsegments": [
                    {"id": "0000000000000002", "name": "old", "subsegments": [{"id": "0000000000000009", "name": "x"}]},
                    {"id": "0000000000000003", "name": "other"}
                ]
            })
            .to_string(),
            subsegment(2, 1),
            subsegment(4, 2),
        ];
        let merged = merged_of(&documents);
        assert_eq!(merged.segments.len(), 1);
        let shop: Value = serde_json::from_str(&merged.segments[0].1).unwrap();
        let names: Vec<&Value> = shop["subsegments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["other", "f"]);
        assert_eq!(shop["subsegments"][1]["subsegments"][0]["id"], "0000000000000004");
    }

    #[test]
    fn a_chain_is_cut_where_readers_of_json_end_whichever_end_came_first() {
        let mut documents = vec![segment(0)];
        documents.extend((1..=200).map(|id| subsegment(id, id - 1)));
        for _ in 0..2 {
            let merged = merged_of(&documents);
            assert!(merged.too_deep);
            // 64 entities are in the first, and in each of those that begin anew.
            assert_eq!(merged.segments.len(), 4);
            assert!(merged.segments.iter().all(|(_, text)| depth(text) <= MAX_DEPTH));
            let entities = merged
                .segments
                .iter()
                .map(|(_, text)| text.matches("\"id\"").count());
            assert_eq!(entities.sum::<usize>(), 201);
            documents.reverse();
        }
        assert!(!merged_of(&documents[138..]).too_deep);
    }

    #[test]
    fn a_trace_of_subsegments_alone_is_nested_and_circles_are_opened() {
        let merged = merged_of(&[subsegment(2, 1), subsegment(1, 9)]);
        assert_eq!((merged.segments.len(), depth(&merged.segments[0].1)), (1, 1));
        let circle = merged_of(&[
            subsegment(1, 3),
            subsegment(2, 1),
            subsegment(3, 2),
            subsegment(4, 4),
        ]);
        let ids: Vec<&str> = circle.segments.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["0000000000000003", "0000000000000004"]);
        assert_eq!(depth(&circle.segments[0].1), 2);
    }

    /// 701 documents, each 60 deep and each in the innermost of the one before, ended the process by stack overflow; a
    /// chain sent child first took time with the third power of its length.
    #[test]
    fn long_chains_of_deep_documents_are_linear_work() {
        let deep = |document: u32| {
            let id = |depth: u32| format!("{:016x}", document * 100 + depth);
            let mut text = String::new();
            for depth in 0..60 {
                let opens = if depth == 0 { "" } else { ",\"subsegments\":[" };
                text += &format!(
                    "{opens}{{\"id\":\"{}\",\"name\":\"f\",\"start_time\":1,\"end_time\":2",
                    id(depth)
                );
                if depth == 0 && document > 0 {
                    text += &format!(
                        ",\"type\":\"subsegment\",\"parent_id\":\"{:016x}\"",
                        (document - 1) * 100 + 59
                    );
                }
            }
            text + "}" + &"]}".repeat(59)
        };
        let documents: Vec<String> = (0..701).map(deep).collect();
        let merged = merged_of(&documents);
        assert_eq!((merged.segments.len(), merged.too_deep), (701, true));

        let mut chain: Vec<String> = (1..=10_000).map(|id| subsegment(id, id - 1)).collect();
        chain.insert(0, segment(0));
        chain.reverse();
        assert_eq!(merged_of(&chain).segments.len(), 10_001_usize.div_ceil(64));
    }

    #[test]
    fn what_is_no_entity_is_left_out() {
        let merged = merged(&[
            "[]",
            "x",
            "5",
            r#"{"id":"a","subsegments":{"id":"b"}}"#,
            r#"{"id":"c","subsegments":[1,[{"id":"d"}],{"id":"e"}]}"#,
            r#"{"id":"f"} x"#,
        ]);
        let ids: Vec<&str> = merged.segments.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
    }
}
