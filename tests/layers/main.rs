//! The walls of the house, kept by reading the imports: who may import whom, that every file is compiled, and that no
//! two files need each other.
//!
//! An import is a path in a `use`, in code or in what a macro is given; a link in a comment is none. It is taken for
//! what it leads to, through re-exports, globs and other names. `rules` says what is allowed.
//!
//! `events` looks at what is logged: the values of a line are in its fields too. `systems` looks at what is there on some systems
//! only, and says why.

mod events;
mod planted;
mod rules;
mod systems;
mod tree;

use std::path::Path;
use std::sync::LazyLock;

use tree::{Texts, Tree};

static TEXTS: LazyLock<Texts> =
    LazyLock::new(|| tree::texts(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the project's files"));

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::of(&TEXTS));

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn imports_go_down_only() {
    none("not in the order", &rules::unknown_rooms(&TEXTS));
    none("imports that do not go down", &rules::upward(&TREE));
}

#[test]
fn every_file_is_reached_by_a_mod() {
    none("files that nobody compiles", &rules::unreached(&TEXTS, &TREE));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    none("files that need each other", &rules::circles(&TREE));
}

#[test]
fn events_that_show_values_have_them_in_fields_too() {
    none("events without fields", &events::without_fields(&TEXTS));
}

#[test]
fn what_depends_on_the_system_says_why() {
    none("conditions without a reason", &systems::without_reason(&TEXTS));
}

#[test]
fn the_ways_of_the_data_are_seen() {
    let seen = rules::arrows(&TREE);
    for arrow in [
        ("main", "daemon"),
        ("main", "cli"),
        ("daemon", "receivers"),
        ("daemon", "exporters"),
        ("api", "receivers"),
        ("api", "ledger"),
        ("exporters", "aws"),
        ("exporters", "pipeline"),
        ("receivers", "pipeline"),
        ("aws", "net"),
        ("pipeline", "logs"),
        ("net", "config"),
        ("cli", "config"),
    ] {
        assert!(seen.contains(&arrow), "{arrow:?} in {seen:?}");
    }
}
