//! How deep a document nests, before anything reads it with recursion.

/// The most objects and lists inside each other that a document may have: where the JSON parser stops, whose bound
/// of 128 also counts what is inside the last one. It is 63 subsegments inside each other.
pub const MAX_LEVELS: usize = 127;

/// How many objects and lists are inside each other at the deepest place of a JSON text. Of a text that is no JSON it is
/// some number, and never more than its brackets.
#[must_use]
pub fn levels(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(levels(r#"{"a[{":"\"[[\\","b":[{}],"c":{}}"#), 3);
        assert_eq!((levels(""), levels("]]["), levels("\"[")), (0, 1, 0));
    }

    #[test]
    fn the_bound_is_that_of_the_parser() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert!(read(&nested(MAX_LEVELS)) && !read(&nested(MAX_LEVELS + 1)));
        assert_eq!(levels(&nested(MAX_LEVELS)), MAX_LEVELS);
    }
}
