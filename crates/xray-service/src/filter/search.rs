//! What people type who do not write expressions: words, and trace ids in the forms in which they find them.

use crate::digest::{Digest, Part};
use crate::model::Scalar;

/// The trace id in a text that is one, whatever its form: `1-<8 hex>-<24 hex>`, 32 hex digits, a tracing header
/// (`Root=1-…;Parent=…`), a `traceparent`, or an address of the page.
#[must_use]
pub fn trace_id(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.split_once("#/trace/") {
        Some((_, id)) => id.split(['?', '&']).next().unwrap_or_default(),
        None => text,
    };
    let parts = text.split([';', ',', ' ']).map(str::trim);
    let roots = parts.clone().filter_map(|part| {
        let (name, value) = part.rsplit_once(['=', ':'])?;
        name.trim_end()
            .to_ascii_lowercase()
            .ends_with("root")
            .then_some(value)
    });
    let mut all = roots.chain(std::iter::once(text));
    all.find_map(|id| of_xray(id).or_else(|| of_hex(id)).or_else(|| of_traceparent(id)))
}

fn of_xray(text: &str) -> Option<String> {
    let mut parts = text.trim().split('-');
    let (Some("1"), Some(time), Some(rest), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    (is_hex(time, 8) && is_hex(rest, 24)).then(|| text.trim().to_ascii_lowercase())
}

fn of_hex(text: &str) -> Option<String> {
    let text = text.trim();
    is_hex(text, 32).then(|| format!("1-{}-{}", &text[..8], &text[8..]).to_ascii_lowercase())
}

fn of_traceparent(text: &str) -> Option<String> {
    let mut parts = text.trim().rsplit(' ').next()?.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_one = is_hex(version, 2) && is_hex(span, 16) && is_hex(flags, 2);
    is_one.then(|| of_hex(id)).flatten()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text has nothing in it that only expressions have: a mistake in one of those is told, and not looked for.
pub(super) fn is_plain(text: &str) -> bool {
    let signs = ['"', '\'', '=', '<', '>', '!', '(', ')', '{', '}', '[', ']'];
    let of_expressions = ["and", "or", "not", "contains", "beginswith", "endswith"];
    let joins = |word: &str| {
        let lower = word.to_ascii_lowercase();
        of_expressions.contains(&lower.as_str()) || lower.starts_with("rootcause.")
    };
    !text.contains(signs) && !text.split_whitespace().any(joins) && !text.trim().is_empty()
}

/// Whether a trace mentions a text, which is in lower case: in its id, its name, or what it says of `parts`.
pub(super) fn mentions(digest: &Digest, parts: &[Part], text: &str) -> bool {
    let has = |own: &str| own.to_lowercase().contains(text);
    let of_value = |value: &Scalar| match value {
        Scalar::Text(own) => has(own),
        Scalar::Number(own) => has(&own.to_string()),
        Scalar::Bool(own) => has(if *own { "true" } else { "false" }),
    };
    let of_part = |part: &Part| {
        let is_client = part.service.kind == "client";
        (!is_client && has(&part.service.name))
            || part.http.url.as_deref().is_some_and(has)
            || part.user.as_deref().is_some_and(has)
            || part.annotations.iter().any(|(_, value)| of_value(value))
    };
    has(&digest.id)
        || has(&digest.name)
        || digest.services.iter().any(|name| has(name))
        || parts.iter().any(of_part)
        || digest.said.iter().any(|said| has(&said.text()))
        || digest
            .failure
            .as_deref()
            .is_some_and(|failure| has(&failure.text()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::filter::Filter;
    use crate::model::Tree;

    const ID: &str = "1-581cf771-a006649127e371903a2de979";

    fn matches(question: &str) -> bool {
        let document: Value = json!({"id": "1", "name": "Shop", "start_time": 1, "end_time": 2, "fault": true,
            "user": "ada", "annotations": {"tier": "Gold", "items": 12, "beta": true},
            "http": {"request": {"method": "GET", "url": "http://h/Carts?id=7"}},
            "cause": {"exceptions": [{"type": "PayError", "message": "card declined"}]},
            "subsegments": [{"id": "2", "name": "pay.example.com", "namespace": "remote", "start_time": 1,
                             "end_time": 2}]});
        let digest = Digest::of(ID, &Tree::build([document.to_string().as_str()]));
        let filter =
            Filter::parse_question(question, &|_| None).unwrap_or_else(|error| panic!("{question}: {error}"));
        filter.matches(&digest)
    }

    #[test]
    fn a_word_is_looked_for_in_url_name_service_user_annotations_and_exceptions() {
        for found in [
            "shop",
            "carts",
            "/carts?id",
            "PAY.example",
            "gold",
            "12",
            "ada",
            "declined",
            "payerror",
            "card declined",
            "\"card declined\"",
            "fault declined",
            "fault AND shop",
            "shop OR nothing",
            "NOT nothing",
            ID,
            "a0066491",
            "!nothing carts",
            "service(\"pay.example.com\") gold",
        ] {
            assert!(matches(found), "{found}");
        }
        for missing in [
            "nothing",
            "shop nothing",
            "\"declined card\"",
            "clients",
            "tier",
            "ok declined",
        ] {
            assert!(!matches(missing), "{missing}");
        }
    }

    #[test]
    fn a_mistake_in_an_expression_is_told_and_not_looked_for() {
        for wrong in [
            "falt = true",
            "annotaton.tier = \"gold\"",
            "ok AND",
            "(shop",
            "shop CONTAINS",
            "rootcause.fault",
        ] {
            assert!(Filter::parse_question(wrong, &|_| None).is_err(), "{wrong}");
        }
        assert!(Filter::parse("shop").is_err(), "the API has no such words");
        assert!(Filter::parse_question(&"x ".repeat(4000), &|_| None).is_err());
        assert_eq!(Filter::parse_question("  ", &|_| None), Ok(Filter::everything()));
    }

    #[test]
    fn a_trace_id_is_known_in_each_of_its_forms() {
        for text in [
            ID,
            " 1-581CF771-A006649127E371903A2DE979 ",
            "581cf771a006649127e371903a2de979",
            "Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1",
            "X-Amzn-Trace-Id: Self=1-00000000-000000000000000000000000;Root=1-581cf771-a006649127e371903a2de979",
            "X-Amzn-Trace-Id: Root=1-581cf771-a006649127e371903a2de979;Sampled=1",
            "00-581cf771a006649127e371903a2de979-53995c3f42cd8ad8-01",
            "traceparent: 00-581cf771a006649127e371903a2de979-53995c3f42cd8ad8-01",
            "http://127.0.0.1:2000/#/trace/1-581cf771-a006649127e371903a2de979?segment=0000000000000001",
        ] {
            assert_eq!(trace_id(text).as_deref(), Some(ID), "{text}");
            assert!(matches(text), "{text}");
        }
        for text in [
            "",
            "1-581cf771",
            "1-581cf771-a006649127e371903a2de97g",
            "shop",
            "581cf771",
            "Root=",
            "#/trace/",
        ] {
            assert_eq!(trace_id(text), None, "{text}");
        }
    }
}
