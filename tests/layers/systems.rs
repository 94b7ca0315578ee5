//! What is there on some systems only says why: the line before a condition on the system is a comment.

use crate::tree::Texts;

/// What a condition on the system has in it.
const WORDS: [&str; 5] = ["unix", "windows", "target_os", "target_endian", "target_family"];

/// The conditions on the system in `src` and in the crates without a comment before them, as `file:line`. Other attributes may
/// stand between.
pub(crate) fn without_reason(texts: &Texts) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in texts {
        if !file.starts_with("src/") && !file.contains("/src/") {
            continue;
        }
        let mut before = "";
        for (at, line) in text.lines().map(str::trim_start).enumerate() {
            if is_condition(line) && !before.starts_with("//") {
                found.push(format!("{file}:{}", at + 1));
            }
            if !line.starts_with("#[") {
                before = line;
            }
        }
    }
    found
}

fn is_condition(line: &str) -> bool {
    line.starts_with("#[cfg(") && WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_without_a_comment_before_it_is_found() {
        let text = "/// Why.\n#[cfg(unix)]\nfn a() {}\n\n#[cfg(not(unix))]\nfn b() {}\n\n// Why.\n#[must_use]\n    #[cfg(windows)]\n\
                    fn c() {}\n#[cfg(test)]\nmod tests {}\n\n#[cfg(all(test, target_os = \"linux\"))]\nmod more {}\n";
        let file = |name: &str| (name.to_owned(), text.to_owned());
        let texts = Texts::from([file("src/a.rs"), file("crates/x/src/b.rs"), file("tests/c.rs")]);
        assert_eq!(
            without_reason(&texts),
            [
                "crates/x/src/b.rs:5",
                "crates/x/src/b.rs:15",
                "src/a.rs:5",
                "src/a.rs:15"
            ]
        );
    }
}
