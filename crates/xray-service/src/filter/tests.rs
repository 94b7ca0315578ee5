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
            "fault": true, "annotations": {"tenant": "blue", "size": 3, "beta": true, "a.b": "dot", "off": false,
                            "aws:api_id": "a1", "aws:api_stage": "dev", "AWS:other": "y"},
            "resource_arn": "arn:aws:ecs:x",
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
        "FAULT AND not error and !Throttle",
        "service() { error AND Throttle }",
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
        "error",
        "throttle",
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

/// Every example of AWS's guide that is no root cause, as it is written there.
#[test]
fn the_examples_of_the_guide_are_read() {
    for expression in [
        "responsetime > 5",
        "duration >= 5 AND duration <= 8",
        "ok",
        "!ok",
        "ok = false",
        "service(\"data-plane\") {root = true and fault = true}",
        "http.status != 200",
        "ok !partial duration <3",
        "http.url CONTAINS \"/api/game/\"",
        "user CONTAINS \"\"",
        "service(\"api.example.com\") { fault }",
        "service() { fault }",
        "edge(\"api.example.com\", \"backend.example.com\") { error }",
        "http.url BEGINSWITH \"http://api.example.com/\" AND http.url CONTAINS \"/v2/\" AND !service(\"api.example.com\")",
        "http.url AND responseTime > 2",
        "annotation.gameid = \"817DL6VO\"",
        "annotation.age",
        "!annotation.age",
        "annotation.age > 29",
        "service(\"function-name\") { error }",
        "service(id(name: \"random-name\", type: \"AWS::Lambda::Function\")) { error }",
        "service(id(name: \"service-name\", type:\"service::type\")) { ok }",
        "edge(id(name: \"service-one\", type:\"service::type\"), id(name: \"service-two\", type:\"service::type\")) { ok }",
        "service(id(type: \"AWS::Lambda::Function\")) { error }",
        "service(\"api.example.com\") { fault = true OR responsetime > 2.5 } AND annotation.account = \"12345\"",
        "service(\"example.com\") {fault OR error}",
        "annotation[aws:api_id] = \"a1b2c3d4e5\"",
        "annotation.aws:api_stage = \"dev\"",
    ] {
        assert!(
            Filter::parse(expression).is_ok(),
            "{:?}",
            Filter::parse(expression)
        );
    }
}

/// Every other example and keyword of the guide: known, and said not to be there.
#[test]
fn what_of_the_guide_is_not_there_is_said_to_be_that() {
    for (expression, word, position) in [
        (
            "rootcause.fault.entity { last and name = \"deserialize\" }",
            "rootcause.fault.entity",
            0,
        ),
        (
            "rootcause.responsetime.entity { remote and coverage > 0.7 and name = \"traces\" }",
            "rootcause.responsetime.entity",
            0,
        ),
        (
            "rootcause.fault.service { inferred and name = traces and type = \"AWS::DynamoDB\" }",
            "rootcause.fault.service",
            0,
        ),
        (
            "rootcause.fault.service { index > 5 }",
            "rootcause.fault.service",
            0,
        ),
        (
            "rootcause.fault.exception { last and message = \"Access Denied for account_id: 1234567890\" ",
            "rootcause.fault.exception",
            0,
        ),
        (
            "rootcause.json = #[{ \"Services\": [ { \"Name\": \"GetWeatherData\" } ] }]",
            "rootcause.json",
            0,
        ),
        ("service(id(account.id: \"account-id\"))", "account.id", 11),
        ("ok AND message = \"x\"", "message", 7),
        ("first", "first", 0),
        ("last", "last", 0),
        ("remote", "remote", 0),
        ("index > 5", "index", 0),
        ("coverage > 0.8", "coverage", 0),
        ("json", "json", 0),
        ("group.arn = \"x\"", "group.arn", 0),
        ("groupname = \"x\"", "groupname", 0),
    ] {
        let error = Filter::parse(expression).unwrap_err();
        assert_eq!(
            (error.message, error.position),
            (format!("{word} is not supported here"), position),
            "{expression}"
        );
    }
}

#[test]
fn keywords_alone_ask_whether_they_are_set() {
    for expression in [
        "user",
        "http.url",
        "http.status",
        "user http.url responseTime > 1",
        "fault !error",
        "fault !ok (throttle OR fault)",
        "annotation[\"a.b\"] annotation.beta",
        "resource.arn = \"arn:aws:ecs:x\"",
        "annotation[aws:api_id] = \"a1\"",
        "annotation.aws:api_stage = 'dev' AND annotation.AWS:other != 'x' OR annotation[aws:api_stage]",
    ] {
        assert!(matches(expression), "{expression}");
    }
    for expression in [
        "http.clientip",
        "!user",
        "fault ok",
        "annotation.off",
        "annotation.off = true",
    ] {
        assert!(!matches(expression), "{expression}");
    }
    assert!(matches("!annotation.off AND annotation.off = false"));
}

#[test]
fn a_group_stands_for_its_filter() {
    let groups = |group: GroupRef<'_>| match group {
        GroupRef::Name("Default") => Some(Filter::everything()),
        GroupRef::Name("slow") | GroupRef::Arn("arn:slow") => {
            Some(Filter::parse("responsetime > 1").unwrap())
        }
        GroupRef::Name("via pay") => Some(Filter::parse("service(\"pay\")").unwrap()),
        GroupRef::Name("fast") => Some(Filter::parse("responsetime < 1").unwrap()),
        GroupRef::Name("wide") => Some(Filter::parse(&vec!["ok"; 500].join(" OR ")).unwrap()),
        _ => None,
    };
    let matches = |expression: &str| {
        Filter::parse_with(expression, &groups)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .matches(&digest())
    };
    for expression in [
        "groupname = \"Default\"",
        "group.name = \"slow\" AND user = \"ada\"",
        "group.arn = \"arn:slow\"",
        "service(\"shop\") { groupname = \"slow\" }",
        "groupname = \"via pay\"",
        "GroupName != \"fast\"",
        "!group.name = \"fast\"",
    ] {
        assert!(matches(expression), "{expression}");
    }
    for expression in [
        "group.name = \"fast\"",
        "group.name != \"Default\"",
        "user = \"bob\" OR groupname = \"fast\"",
    ] {
        assert!(!matches(expression), "{expression}");
    }
    for (expression, message, position) in [
        ("groupname = \"gone\"", "there is no group \"gone\"", 12),
        ("groupname", "= or != expected, found the end", 9),
        (
            "service() { groupname = \"via pay\" }",
            "this group's filter has service() or edge(), which cannot stand in the braces of either",
            24,
        ),
        ("groupname = 5", "a string in quotes expected, found 5", 12),
    ] {
        let error = Filter::parse_with(expression, &groups).unwrap_err();
        assert_eq!((error.message.as_str(), error.position), (message, position));
    }
    let wide = ["groupname = \"wide\""; 5].join(" OR ");
    let error = Filter::parse_with(&wide, &groups).unwrap_err();
    assert_eq!(
        error.message,
        "more than 2000 conditions, those of groups included"
    );
}

#[test]
fn an_entity_is_selected_by_service_edge_or_id() {
    let select = EntitySelector::parse;
    let named = |name: &str| Selector {
        name: Some(name.to_owned()),
        kind: None,
    };
    assert_eq!(
        select("service(\"shop\")"),
        Ok(EntitySelector::Service(named("shop")))
    );
    assert_eq!(
        select("id(name: \"shop\")"),
        Ok(EntitySelector::Service(named("shop")))
    );
    assert_eq!(
        select("edge(\"shop\", \"pay\")"),
        Ok(EntitySelector::Edge(named("shop"), named("pay")))
    );
    for wrong in [
        "",
        "fault",
        "service(\"shop\") { fault }",
        "id(name: \"shop\") x",
        "service(",
    ] {
        assert!(select(wrong).is_err(), "{wrong}");
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
        ("fault )", "AND, OR or the end expected, found )", 6),
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
    // Itself, three services that are told of and one that called, and three calls; eight annotations.
    assert_eq!(digest().size(), 1 + 4 + 3 + 8);
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
