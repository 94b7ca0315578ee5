//! What must hold of the files of the project, and what stands against it.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Texts, Tree};

/// The rooms under `src/`, highest first. A room may import from those of lower rows, and from itself; rooms of one
/// row know nothing of each other.
pub(crate) const ORDER: [&[&str]; 10] = [
    &["main", "lib"],
    &["dev"],
    &["daemon"],
    &["api"],
    &["exporters"],
    &["receivers", "aws"],
    &["pipeline", "net"],
    &["cli", "logs"],
    &["ledger", "config"],
    // What they import of each other is in their manifests, and cargo takes no circle there.
    &["crates"],
];

/// The files that no `mod` reaches.
pub(crate) fn unreached(texts: &Texts, tree: &Tree) -> Vec<String> {
    let reached: BTreeSet<&str> = tree.modules.iter().map(|module| module.file.as_str()).collect();
    let files = texts.keys().filter(|file| !reached.contains(file.as_str()));
    files.map(|file| format!("{file}: no `mod` reaches it")).collect()
}

/// The room of a file; `None` for benches and tests, which may import what they like.
fn room(file: &str) -> Option<&str> {
    let mut parts = file.split('/');
    match parts.next()? {
        "src" => parts.next().map(|name| name.strip_suffix(".rs").unwrap_or(name)),
        "crates" if file.split('/').nth(2) == Some("src") => Some("crates"),
        _ => None,
    }
}

fn row(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

/// The files of rooms that the order does not name.
pub(crate) fn unknown_rooms(texts: &Texts) -> Vec<String> {
    let rooms: BTreeSet<&str> = texts.keys().filter_map(|file| room(file)).collect();
    let unknown = rooms.into_iter().filter(|room| row(room).is_none());
    unknown
        .map(|room| format!("src/{room}: no room of that name is in the order"))
        .collect()
}

/// The imports that do not go down. Those of tests count as well: what a room's test needs of a room above is a test of
/// that one, or of all.
pub(crate) fn upward(tree: &Tree) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (id, module) in tree.modules.iter().enumerate() {
        let Some((from, from_row)) = room(&module.file).and_then(|room| Some((room, row(room)?))) else {
            continue;
        };
        for reference in &module.references {
            let Some(target) = tree.resolve(id, path_of(&reference.segments)) else {
                continue;
            };
            for to in target.through.into_iter().chain([target.module]) {
                let Some(to) = room(&tree.modules[to].file) else {
                    continue;
                };
                // The crate's root has nothing but rooms.
                if to != from && to != "lib" && row(to).is_some_and(|row| row <= from_row) {
                    found.insert((
                        module.file.clone(),
                        reference.line,
                        format!("{from} may not import {to}: `{}`", reference.segments.join("::")),
                    ));
                }
            }
        }
    }
    found
        .into_iter()
        .map(|(file, line, what)| format!("{file}:{line}: {what}"))
        .collect()
}

/// Which room imports which.
pub(crate) fn arrows(tree: &Tree) -> BTreeSet<(&str, &str)> {
    let modules = tree.modules.iter().enumerate();
    let arrows = modules.flat_map(|(id, module)| {
        let targets = module
            .references
            .iter()
            .filter_map(move |reference| tree.resolve(id, path_of(&reference.segments)));
        targets.filter_map(|target| Some((room(&module.file)?, room(&tree.modules[target.module].file)?)))
    });
    arrows.collect()
}

/// A glob leads where the path before it does.
fn path_of(segments: &[String]) -> &[String] {
    match segments.split_last() {
        Some((last, before)) if last == "*" => before,
        _ => segments,
    }
}

/// Which file uses which, the first line of each pair: what tests use is left out, and so is what a file uses of a
/// module that it is a part of. A `mod.rs` and the files below it are one thing to the outside, and what it defines
/// itself (settings, errors, the type that all parts are parts of) is there for them. What it only re-exports is taken
/// for what it is, something of the file that defines it: so two parts that need each other are found even if they
/// say `super::`.
fn uses(tree: &Tree) -> BTreeMap<&str, BTreeMap<&str, usize>> {
    let mut uses: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (id, module) in tree.modules.iter().enumerate() {
        for reference in module.references.iter().filter(|reference| !reference.in_test) {
            let is_glob = reference.segments.last().is_some_and(|last| last == "*");
            let Some(target) = tree.resolve(id, path_of(&reference.segments)) else {
                continue;
            };
            let to = &tree.modules[target.module];
            if to.file == module.file || target.is_module && !is_glob || tree.is_within(id, target.module) {
                continue;
            }
            let line = uses
                .entry(&module.file)
                .or_default()
                .entry(&to.file)
                .or_insert(reference.line);
            *line = reference.line.min(*line);
        }
    }
    uses
}

/// The circles: each group of files of which every one uses, by whatever way, every other.
pub(crate) fn circles(tree: &Tree) -> Vec<String> {
    let uses = uses(tree);
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reachable(&uses, file))).collect();
    let in_circle = |one: &str, other: &str| {
        reach.get(one).is_some_and(|files| files.contains(other))
            && reach.get(other).is_some_and(|files| files.contains(one))
    };
    let mut found = Vec::new();
    for (from, targets) in &uses {
        for (to, line) in targets.iter().filter(|(to, _)| in_circle(from, to)) {
            found.push(format!("{from}:{line}: needs {to}, which needs it in turn"));
        }
    }
    found
}

fn reachable<'t>(uses: &BTreeMap<&'t str, BTreeMap<&'t str, usize>>, from: &str) -> BTreeSet<&'t str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(file) = next.pop() {
        for &to in uses.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}
