use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::Digest;
use crate::merge::merged;

fn names(tree: &Tree) -> Vec<(String, usize)> {
    tree.preorder()
        .into_iter()
        .map(|(at, depth)| (tree.entities[at].name.clone(), depth))
        .collect()
}

/// A shop that calls DynamoDB and a second service, with a subsegment that was sent apart.
fn shop() -> Vec<String> {
    [
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000001", "name": "shop",
            "start_time": 10.0, "end_time": 11.0, "http": {"request": {"method": "GET", "url": "http://shop/"},
            "response": {"status": 502}}, "fault": true, "user": "ada", "annotations": {"tenant": "a", "n": 2, "x": []},
            "subsegments": [
                {"id": "0000000000000002", "name": "DynamoDB", "namespace": "aws", "start_time": 10.1, "end_time": 10.2,
                 "aws": {"operation": "GetItem", "table_name": "carts"}},
                {"id": "0000000000000003", "name": "pay", "namespace": "remote", "start_time": 10.3, "end_time": 10.9,
                 "fault": true}
            ]
        }),
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000004", "name": "pay",
            "parent_id": "0000000000000003", "start_time": 10.4, "end_time": 10.8, "origin": "AWS::ECS::Container"
        }),
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000005", "name": "render",
            "type": "subsegment", "parent_id": "0000000000000002", "start_time": 10.15, "end_time": 10.18,
            "annotations": {"deep": true}
        }),
    ]
    .iter()
    .map(ToString::to_string)
    .collect()
}

fn tree(documents: &[String]) -> Tree {
    Tree::build(documents.iter().map(String::as_str))
}

#[test]
fn streamed_subsegments_and_called_services_join_their_parents_in_whatever_order() {
    let mut documents = shop();
    let expected = [
        ("shop", 0),
        ("DynamoDB", 1),
        ("render", 2),
        ("pay", 1),
        ("pay", 2),
    ];
    for _ in 0..3 {
        documents.rotate_left(1);
        let tree = tree(&documents);
        assert_eq!(
            names(&tree),
            expected.map(|(name, depth)| (name.to_owned(), depth))
        );
        assert_eq!((tree.start, tree.end), (10.0, 11.0));
        assert!(tree.is_whole());
    }
}

#[test]
fn a_complete_document_replaces_the_one_in_progress_and_not_the_reverse() {
    let open =
        json!({"id": "0000000000000001", "name": "open", "start_time": 1, "in_progress": true}).to_string();
    let done = json!({"id": "0000000000000001", "name": "done", "start_time": 1, "end_time": 3}).to_string();
    for documents in [[open.clone(), done.clone()], [done.clone(), open.clone()]] {
        let tree = tree(&documents);
        assert_eq!(names(&tree), [("done".to_owned(), 0)]);
        assert!(!tree.entities[0].in_progress);
    }
    assert!(!tree(&[open]).is_whole());
}

#[test]
fn parents_in_a_circle_and_parents_that_never_came_do_not_hide_anything() {
    let one = |id: &str, parent: &str| {
        json!({"id": id, "parent_id": parent, "name": id, "start_time": 1, "end_time": 2}).to_string()
    };
    let circle = tree(&[one("a", "b"), one("b", "a"), one("c", "c"), one("d", "gone")]);
    assert_eq!(circle.preorder().len(), 4);
    assert!(circle.entities[3].orphan);
}

#[test]
fn the_digest_names_services_calls_and_marks() {
    let digest = Digest::of("t", &tree(&shop()));
    assert_eq!((digest.name.as_str(), digest.entities()), ("shop", 5));
    assert_eq!(digest.services, ["shop", "pay"]);
    assert!(digest.marks.fault && !digest.marks.error);
    assert_eq!(digest.response_time(), Some(1.0));
    let calls: Vec<(String, String, bool)> = digest
        .calls
        .iter()
        .map(|call| {
            let id = |at: usize| digest.parts[at].service.id();
            (id(call.from), id(call.to), call.marks.fault)
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("Clients~client".to_owned(), "shop~".to_owned(), true),
            ("shop~".to_owned(), "carts~AWS::DynamoDB::Table".to_owned(), false),
            ("shop~".to_owned(), "pay~AWS::ECS::Container".to_owned(), true),
        ]
    );
    let annotations: Vec<&str> = digest.annotations().map(|(key, _)| key.as_str()).collect();
    assert_eq!(annotations, ["n", "tenant", "deep"]);
}

#[test]
fn merged_segments_hold_what_was_sent_apart_and_the_rest_is_verbatim() {
    let documents = shop();
    let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
    let merged = merged(&texts).segments;
    let ids: Vec<&str> = merged.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["0000000000000001", "0000000000000004"]);
    let shop: Value = serde_json::from_str(&merged[0].1).unwrap();
    assert_eq!(shop["subsegments"][0]["subsegments"][0]["name"], json!("render"));
    assert_eq!(merged[1].1, documents[1], "nothing was put into it");
}

#[test]
fn the_last_of_a_circle_is_where_it_is_opened() {
    let mut parents = [Some(1), Some(2), Some(0), Some(1), None, Some(5), Some(3)];
    open_circles(&mut parents);
    assert_eq!(parents, [Some(1), Some(2), None, Some(1), None, None, Some(3)]);
}

/// Walking up from each of them took time with the square of their number.
#[test]
fn a_chain_of_any_length_is_a_tree() {
    let one = |id: usize| {
        json!({"id": format!("{id:016x}"), "parent_id": format!("{:016x}", id + 1), "name": "n", "type": "subsegment",
            "start_time": 1, "end_time": 2, "namespace": "remote"})
        .to_string()
    };
    let documents: Vec<String> = (0..20_000).map(one).collect();
    let tree = tree(&documents);
    let order = tree.preorder();
    assert_eq!(order.last().map(|(at, depth)| (*at, *depth)), Some((0, 19_999)));
    assert_eq!(Digest::of("t", &tree).entities(), 20_000);
}

#[test]
fn times_in_other_units_are_read_as_what_they_are() {
    let document = json!({"id": "1", "name": "n", "start_time": 1_795_227_595_500_u64, "end_time": 1_795_227_596_500_u64});
    let digest = Digest::of("t", &tree(&[document.to_string()]));
    assert_eq!((digest.start, digest.duration()), (1_795_227_595.5, 1.0));
    assert_eq!(digest.unit, Some(Unit::Milliseconds));
    assert_eq!(Digest::of("t", &tree(&shop())).unit, None);
}

#[test]
fn fields_of_the_wrong_type_are_left_out() {
    let odd = json!({
        "id": 5, "name": ["x"], "start_time": "1.5", "end_time": null, "http": [], "aws": 3, "annotations": "no",
        "cause": "70de5b6f19ff9a0a", "subsegments": [1, {"name": "inner", "start_time": {}}], "sql": true
    })
    .to_string();
    let tree = tree(&[odd, "[]".to_owned(), "x".to_owned()]);
    assert_eq!(tree.entities.len(), 2);
    assert_eq!(
        (tree.entities[0].name.as_str(), tree.entities[0].start),
        ("(no name)", 1.5)
    );
}

proptest! {
    #[test]
    fn no_documents_make_the_tree_lose_an_entity_or_panic(
        parents in proptest::collection::vec(0_usize..12, 1..12),
        rotate in 0_usize..12,
    ) {
        let mut documents: Vec<String> = parents
            .iter()
            .enumerate()
            .map(|(id, parent)| json!({
                "id": format!("{id:016x}"), "parent_id": format!("{parent:016x}"), "name": "n",
                "start_time": id, "end_time": id + parent, "type": if parent % 2 == 0 { "subsegment" } else { "" }
            }).to_string())
            .collect();
        let count = documents.len();
        documents.rotate_left(rotate % count);
        let tree = tree(&documents);
        prop_assert_eq!(tree.preorder().len(), count);
        let digest = Digest::of("t", &tree);
        prop_assert!(digest.duration() >= 0.0);
        let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
        let _merged = merged(&texts);
    }

    #[test]
    fn no_json_makes_the_tree_panic(text in "\\PC{0,80}") {
        let tree = Tree::build([text.as_str()]);
        let _digest = Digest::of("t", &tree);
    }
}

#[test]
fn a_call_on_this_machine_is_called_by_the_service_that_answered() {
    for host in [
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:80",
        "[::1]:3",
        "::1",
        "0.0.0.0:5",
        "host.docker.internal:9",
    ] {
        let call = json!({"id": "2", "name": host, "namespace": "remote", "start_time": 1, "end_time": 2});
        let shop = json!({"id": "1", "name": "shop", "start_time": 1, "end_time": 2, "subsegments": [call]});
        let pay = json!({"id": "3", "parent_id": "2", "name": "pay", "start_time": 1, "end_time": 2});
        let texts = [shop.to_string(), pay.to_string()];
        let name = |texts: &[String]| {
            let tree = Tree::build(texts.iter().map(String::as_str));
            tree.entities
                .iter()
                .find(|entity| entity.id == "2")
                .map(|entity| entity.name.clone())
        };
        assert_eq!(name(&texts).as_deref(), Some("pay"), "{host}");
        assert_eq!(name(&texts[..1]).as_deref(), Some(host), "nobody answered");
    }
    assert!(!is_local("10.0.0.1:80") && !is_local("pay") && !is_local("localhost.example.com"));
}
