use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::Digest;
use crate::model::Tree;
use crate::work::{Ended, MAX_STEPS, Work};

fn digest() -> Digest {
    let documents = [
        json!({
            "trace_id": "t", "id": "0000000000000001", "name": "shop", "start_time": 10.0, "end_time": 11.5,
            "user": "ada", "origin": "AWS::ECS::Container",
            "http": {"request": {"method": "GET", "url": "http://shop/carts?id=1", "user_agent": "curl"},
                     "response": {"status": 500}},
            "fault": true, "annotations": {"tenant": "blue", "size": 3, "beta": true, "a.b": "dot"},
            "aws": {"ec2": {"instance_id": "i-1", "availability_zone": "eu-west-1a"}},
            "subsegments": [{
                "id": "0000000000000002", "name": "pay", "namespace": "remote", "start_time": 10.5, "end_time": 11.0,
                "throttle": true, "error": true
            }]
        }),
        json!({"trace_id": "t", "id": "0000000000000003", "name": "late", "parent_id": "0000000000000001",
               "start_time": 11.0, "end_time": 13.0}),
    ]
    .map(|document| document.to_string());
    Digest::of("t", &Tree::build(documents.iter().map(String::as_str)))
}

fn matches(expression: &str) -> bool {
    Filter::parse(expression)
        .unwrap_or_else(|error| panic!("{expression}: {error}"))
        .matches(&digest())
}

#[test]
fn expressions_match_what_they_say() {
    for expression in [
        "",
        "  ",
        "fault",
        "fault = true",
        "ok != true",
        "FAULT AND error and Throttle",
        "!ok",
        "NOT ok",
        "responsetime = 1.5",
        "responsetime > 1 AND responsetime <= 1.5",
        "duration >= 3",
        "http.status = 500",
        "http.status != 200",
        "http.url CONTAINS \"carts\"",
        "http.url beginswith 'http://shop'",
        "http.url ENDSWITH \"id=1\"",
        "http.method = \"GET\"",
        "http.useragent = \"curl\"",
        "user = \"ada\"",
        "name = \"shop\"",
        "type = \"AWS::ECS::Container\"",
        "instance.id = \"i-1\"",
        "availabilityzone BEGINSWITH \"eu\"",
        "annotation.tenant = \"blue\"",
        "annotation[tenant] = \"blue\"",
        "annotation[\"a.b\"] = \"dot\"",
        "annotation.a.b = \"dot\"",
        "annotation.size > 2",
        "annotation.size = 3.0",
        "annotation.beta = true",
        "annotation.beta",
        "annotation.size != \"3\"",
        "service(\"shop\")",
        "service(\"shop\") { fault }",
        "service(id(name: \"shop\", type: \"AWS::ECS::Container\")) { responsetime > 1 }",
        "service(id(type: \"remote\")) { throttle AND inferred }",
        "service() { duration = 2 }",
        "edge(\"shop\", \"pay\")",
        "edge(\"shop\", \"pay\") { throttle AND responsetime = 0.5 }",
        "edge(\"Clients\", \"shop\") { fault }",
        "service(\"x\") OR (user = \"ada\" AND !partial)",
        "service(\"shop\") { root AND annotation.tenant = \"blue\" }",
        "user = \"a\\da\"",
    ] {
        assert!(matches(expression), "{expression}");
    }
    for expression in [
        "ok",
        "fault = false",
        "partial",
        "responsetime < 1.5",
        "http.status = 200",
        "http.url CONTAINS \"CARTS\"",
        "user = \"bob\"",
        "annotation.gone",
        "annotation.gone != \"x\"",
        "annotation.size > 3",
        "annotation.beta = false",
        "annotation.size = \"3\"",
        "service(\"SHOP\")",
        "service(\"late\") { fault }",
        "service(\"pay\") { fault }",
        "edge(\"pay\", \"shop\")",
        "edge(\"shop\", \"pay\") { fault }",
        "fault AND ok OR ok",
        "NOT (fault OR ok)",
        "http.clientip = \"::1\"",
        "http.clientip != \"::1\"",
    ] {
        assert!(!matches(expression), "{expression}");
    }
}

#[test]
fn and_binds_closer_than_or() {
    assert!(matches("fault OR ok AND ok"));
    assert!(!matches("(fault OR ok) AND ok"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (expression, message, position) in [
        ("fault AND", "a keyword expected, found the end", 9),
        ("fault fault", "AND, OR or the end expected, found fault", 6),
        ("colour = 1", "unknown keyword colour", 0),
        ("ok AND group.name = \"x\"", "group.name is not supported here", 7),
        (
            "rootcause.fault.service",
            "rootcause.fault.service is not supported here",
            0,
        ),
        ("responsetime", "an operator expected, found the end", 12),
        ("responsetime > \"x\"", "a number expected, found \"x\"", 15),
        ("user = 5", "a string in quotes expected, found 5", 7),
        ("http.url CONTAINS 5", "a string in quotes expected, found 5", 18),
        ("service(shop)", "a string in quotes expected, found shop", 8),
        ("service(\"a\"", ") expected, found the end", 11),
        ("service(\"a\") { fault", "} expected, found the end", 20),
        ("edge(\"a\")", ", expected, found )", 8),
        ("user = \"a", "the string has no closing \"", 7),
        ("é = 1", "unknown keyword é", 0),
        ("ok §", "unexpected character '§'", 3),
        ("duration > 1.2.3", "1.2.3 is no number", 11),
        ("annotation[5] = 1", "the annotation's key expected, found 5", 11),
        ("fault = 1", "true or false expected, found 1", 8),
        ("annotation.", "unknown keyword annotation.", 0),
        (
            "service() { ok OR service() }",
            "service() cannot stand in the braces of service() or edge()",
            18,
        ),
        (
            "edge(\"a\", \"b\") { !edge(\"a\", \"b\") }",
            "edge() cannot stand in the braces of service() or edge()",
            18,
        ),
    ] {
        let error = Filter::parse(expression).unwrap_err();
        assert_eq!(
            (error.message.as_str(), error.position),
            (message, position),
            "{expression}"
        );
    }
    let error = Filter::parse("colour = 1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid filter expression: unknown keyword colour (at character 1)"
    );
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{}ok{}", "(".repeat(60), ")".repeat(60));
    assert!(Filter::parse(&deep).unwrap_err().message.contains("50 levels"));
    let wide = vec!["ok"; 500].join(" OR ");
    assert!(Filter::parse(&wide).is_ok(), "length is not depth");
    assert!(Filter::parse(&"x".repeat(4_001)).is_err());
}

/// A trace of ten parts and an expression twelve deep were ten to the twelfth comparisons.
#[test]
fn the_work_is_the_product_of_expression_and_trace_and_inside_a_budget() {
    let nested = |depth: usize| format!("{}ok{}", "service(){".repeat(depth), "}".repeat(depth));
    assert!(Filter::parse(&nested(1)).is_ok());
    assert!(Filter::parse(&nested(2)).is_err() && Filter::parse(&nested(12)).is_err());
    assert!(Filter::parse("service() { ok } AND service() { fault }").is_ok());

    let wide = Filter::parse(&vec!["service(){ok}"; 200].join(" OR ")).unwrap();
    assert_eq!(wide.weight(), 1 + 200 * 2);
    // Itself, three services that are told of and one that called, and three calls; four annotations.
    assert_eq!(digest().size(), 1 + 4 + 3 + 4);
    let work = Work::new();
    let judged = (0..).take_while(|_| wide.judge(&digest(), &work).is_ok()).count() as u64;
    assert_eq!(judged, MAX_STEPS / (wide.weight() * digest().size()));
    assert_eq!(wide.judge(&digest(), &work), Err(Ended::TooMuch));
    let (work, asker) = Work::asked();
    drop(asker);
    assert_eq!(wide.judge(&digest(), &work), Err(Ended::Gone));
}

/// Expressions that are well-formed, as text.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("fault".to_owned()),
        Just("ok = false".to_owned()),
        "[a-z]{1,5}".prop_map(|user| format!("user = \"{user}\"")),
        (0_u32..100).prop_map(|n| format!("responsetime >= {n}.5")),
        "[a-z]{1,5}".prop_map(|key| format!("annotation.{key} != 3")),
        "[a-z]{1,5}".prop_map(|name| format!("service(\"{name}\") {{ error }}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} OR ({b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn well_formed_expressions_are_read_and_negation_negates(expression in expressions()) {
        let plain = Filter::parse(&expression).unwrap();
        let negated = Filter::parse(&format!("!({expression})")).unwrap();
        prop_assert_ne!(plain.matches(&digest()), negated.matches(&digest()));
    }

    #[test]
    fn no_text_makes_the_reader_panic_and_errors_lie_in_the_text(text in "[a-z(){}\\[\\]\"'!=<>,.: \\\\0-9é-]{0,40}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.position <= text.chars().count());
        }
    }
}
