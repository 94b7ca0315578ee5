//! What the log says in a sentence a machine finds in fields: an event whose text shows a value has at least one field.
//! That each value is in one, `tests/daemon/fields.rs` holds of lines.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;

use crate::tree::Texts;

/// The macros of an event.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The events in `src` whose text shows values and that have no field, as `file:line`.
pub(crate) fn without_fields(texts: &Texts) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in texts {
        if !file.starts_with("src/") || file.contains("tests") {
            continue;
        }
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        scan(file, parsed.into_token_stream(), &mut found);
    }
    found
}

fn scan(file: &str, tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        scan(file, group.stream(), found);
        let before = &tokens[at.saturating_sub(5)..at];
        if let [
            TokenTree::Ident(library),
            TokenTree::Punct(_),
            TokenTree::Punct(_),
            TokenTree::Ident(level),
            TokenTree::Punct(_),
        ] = before
            && library == "tracing"
            && LEVELS.iter().any(|name| level == name)
            && is_without_fields(group.stream())
        {
            found.push(format!("{file}:{}", level.span().start().line));
        }
    }
}

/// Whether the arguments of an event begin with its text, and that has values in it.
fn is_without_fields(arguments: TokenStream) -> bool {
    let Some(TokenTree::Literal(literal)) = arguments.into_iter().next() else {
        return false;
    };
    let text = literal.to_string();
    text.replace("{{", "").contains('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<String> {
        let text = format!("fn f() {{ {code} }}");
        without_fields(&Texts::from([("src/a.rs".to_owned(), text)]))
    }

    #[test]
    fn an_event_that_shows_a_value_and_has_no_field_is_found_wherever_it_stands() {
        assert_eq!(found("tracing::info!(\"{n} segments\");"), ["src/a.rs:1"]);
        assert_eq!(found("tracing::info!(\"{sentence}\");"), ["src/a.rs:1"]);
        assert_eq!(
            found("match x { _ => g(|| tracing::warn!(\"after {} s\", n)) }"),
            ["src/a.rs:1"]
        );
    }

    #[test]
    fn events_with_fields_and_those_without_values_are_not() {
        for code in [
            "tracing::info!(n, \"{n} segments\");",
            "tracing::info!(error = %error, \"failed with {error}\");",
            "tracing::info!(\"no values {{}}\");",
            "tracing::warn!(warning, \"{warning}\");",
            "other::info!(\"{n} segments\");",
        ] {
            assert!(found(code).is_empty(), "{code}");
        }
    }
}
