//! The pages beside the tree and the program: what they list is there, what is there is listed, and their commands work.

mod commands;
mod tables;
mod workflows;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of `Cargo.toml`.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The files and folders in `folder`, sorted.
fn entries(folder: &str) -> Vec<PathBuf> {
    let listing = fs::read_dir(repository().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut entries: Vec<_> = listing.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    entries
}

fn name_of(path: &Path) -> String {
    let name = path.file_stem().expect("a name");
    name.to_str().expect("UTF-8").to_owned()
}

/// The targets that Cargo finds under `tests/`.
fn test_targets() -> BTreeSet<String> {
    let targets = entries("tests").into_iter().filter(|path| {
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
    });
    targets.map(|path| name_of(&path)).collect()
}

/// The cells of the rows of the table that stands under `heading` of a page; the head is left out.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, section) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("{page} has no {heading:?}"));
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let row = row.trim_matches('|');
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.skip(2).map(cells).collect()
}

/// The text of a cell that is one code span.
fn code(cell: &str) -> String {
    let text = cell
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .filter(|text| !text.contains('`'));
    text.unwrap_or_else(|| panic!("{cell:?} is not one code span"))
        .to_owned()
}

/// The steps of `.ci/run`.
fn steps() -> BTreeSet<String> {
    let text = read(".ci/run");
    let steps = text.lines().filter_map(|line| line.strip_prefix("step_"));
    steps
        .map(|rest| rest.split_once("()").expect("a function").0.to_owned())
        .collect()
}

/// The targets that `.ci/run` leaves out of the fast tests.
fn slow_targets() -> BTreeSet<String> {
    let text = read(".ci/run");
    let (_, list) = text.split_once("\ne2e_targets=(").expect("a list");
    let (list, _) = list.split_once(')').expect("its end");
    list.split_whitespace().map(str::to_owned).collect()
}

/// The recipes of the justfile, each with its commands.
fn recipes() -> Vec<(String, Vec<String>)> {
    let text = read("justfile");
    let mut recipes: Vec<(String, Vec<String>)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("set "))
    {
        if let Some(command) = line.strip_prefix("    ") {
            let (_, commands) = recipes.last_mut().expect("a recipe above");
            commands.push(command.to_owned());
        } else {
            let (head, _) = line.split_once(':').expect("the head of a recipe");
            let name = head.split(' ').next().expect("a name").to_owned();
            recipes.push((name, Vec::new()));
        }
    }
    recipes
}

/// The pages that people read, from the repository's root.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> = ["README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"]
        .map(str::to_owned)
        .into();
    for folder in ["docs", "docs/adr"] {
        let files = entries(folder)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        pages.extend(files.map(|path| format!("{folder}/{}.md", name_of(&path))));
    }
    pages
}

#[test]
fn the_page_about_testing_lists_every_target_and_none_that_is_not_there() {
    let rows = table("docs/testing.md", "The targets");
    let listed: BTreeSet<_> = rows.iter().map(|row| code(&row[0])).collect();
    assert_eq!(listed.len(), rows.len(), "a target is listed twice");
    assert_eq!(listed, test_targets());
}

#[test]
fn the_page_about_testing_lists_the_crates_and_their_targets() {
    let page = read("docs/testing.md");
    let (_, rows) = page
        .split_once("\n| crate | what its tests prove | targets of its own |\n|---|---|---|\n")
        .expect("a table");
    let mut listed = BTreeSet::new();
    for row in rows.lines().take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let targets: Vec<_> = cells[3]
            .split(", ")
            .filter(|cell| !cell.is_empty())
            .map(code)
            .collect();
        listed.insert((code(cells[1]), targets));
    }
    let crates = entries("crates").into_iter().map(|path| {
        let tests = fs::read_dir(path.join("tests")).into_iter().flatten();
        let mut targets: Vec<_> = tests
            .map(|entry| name_of(&entry.expect("an entry").path()))
            .collect();
        targets.sort();
        (name_of(&path), targets)
    });
    assert_eq!(listed, crates.collect());
}

#[test]
fn a_target_is_fast_on_the_page_exactly_if_the_fast_step_runs_it() {
    let rows = table("docs/testing.md", "The targets");
    let slow: BTreeSet<_> = rows
        .iter()
        .filter(|row| row[3] != "fast")
        .map(|row| code(&row[0]))
        .collect();
    assert_eq!(slow, slow_targets());
}

#[test]
fn the_page_about_testing_lists_every_benchmark() {
    let rows = table("docs/testing.md", "Benchmarks");
    let listed: BTreeSet<_> = rows.iter().map(|row| code(&row[0])).collect();
    let manifest = read("Cargo.toml");
    let benches = manifest.split("[[bench]]\nname = \"").skip(1);
    let benches: BTreeSet<_> = benches
        .map(|rest| rest.split_once('"').expect("the end of a name").0.to_owned())
        .collect();
    assert_eq!(listed, benches);
}

#[test]
fn each_step_of_the_ci_is_a_recipe_of_the_same_name() {
    let own = ["default", "ci"];
    let mut found = BTreeSet::new();
    for (name, commands) in recipes() {
        if !own.contains(&name.as_str()) {
            assert_eq!(commands.len(), 1, "{name}: {commands:?}");
            let command = commands[0].split(" -- ").next().expect("a command");
            assert_eq!(command, format!(".ci/run {name}"));
            found.insert(name);
        }
    }
    assert_eq!(found, steps());
}

#[test]
fn what_the_ci_runs_are_steps_and_the_commands_of_the_pages_are_recipes() {
    let text = read(".ci/run");
    let (_, list) = text.split_once("\nci_steps=(").expect("a list");
    let (list, _) = list.split_once(')').expect("its end");
    for step in list.split_whitespace() {
        assert!(steps().contains(step), "the CI runs {step}");
    }
    let recipes: BTreeSet<_> = recipes().into_iter().map(|(name, _)| name).collect();
    let takes_arguments = ["bench", "fuzz", "mutants", "image-test"];
    for page in pages() {
        for span in read(&page).split('`').skip(1).step_by(2) {
            let words: Vec<_> = span
                .split_whitespace()
                .skip_while(|word| word.contains('='))
                .collect();
            let names = match words.split_first() {
                Some((&"just" | &".ci/run", names)) => names,
                _ => continue,
            };
            for name in names {
                if name.starts_with('-') || *name == "STEP" {
                    break;
                }
                assert!(recipes.contains(*name), "{page}: `{span}`");
                if takes_arguments.contains(name) {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_index_of_decisions_has_every_page_by_its_number_with_its_status() {
    let files = entries("docs/adr")
        .into_iter()
        .filter(|path| !path.ends_with("README.md"));
    let mut expected = Vec::new();
    for (index, path) in files.enumerate() {
        let name = format!("{}.md", name_of(&path));
        let text = read(&format!("docs/adr/{name}"));
        let number = format!("{:04}", index + 1);
        assert!(name.starts_with(&format!("{number}-")), "{name} is page {number}");
        let title = text
            .strip_prefix(&format!("# {number}: "))
            .unwrap_or_else(|| panic!("{name} begins with its number"));
        let (title, rest) = title.split_once("\n\n").expect("a title");
        let status = rest
            .strip_prefix("Status: ")
            .and_then(|status| status.split_once(". Date: "))
            .unwrap_or_else(|| panic!("{name} has a status and a date"))
            .0;
        expected.push(format!("| [{number}]({name}) | {title} | {status} |"));
    }
    let index = read("docs/adr/README.md");
    let listed: Vec<_> = index.lines().filter(|line| line.starts_with("| [")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_link_of_a_page_to_a_file_of_the_tree_leads_there() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
        {
            let file = link.split('#').next().expect("a part before the anchor");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !repository().join(folder).join(file).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The pages that `page` has links to.
fn linked_from(page: &str) -> Vec<String> {
    let folder = Path::new(page).parent().expect("a folder");
    let text = read(page);
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    links
        .filter(|link| link.ends_with(".md"))
        .filter_map(|link| repository().join(folder).join(link).canonicalize().ok())
        .filter_map(|path| {
            let root = repository().canonicalize().expect("the repository");
            path.strip_prefix(root).ok()?.to_str().map(str::to_owned)
        })
        .collect()
}

#[test]
fn every_page_is_found_from_the_readme() {
    let mut found = BTreeSet::from(["README.md".to_owned()]);
    let mut to_read: Vec<_> = found.iter().cloned().collect();
    while let Some(page) = to_read.pop() {
        for linked in linked_from(&page) {
            if found.insert(linked.clone()) {
                to_read.push(linked);
            }
        }
    }
    let lost: Vec<_> = pages().into_iter().filter(|page| !found.contains(page)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

#[test]
fn the_manifest_the_image_and_the_guide_name_the_same_rust() {
    let manifest = read("Cargo.toml");
    let (_, version) = manifest
        .split_once("\nrust-version = \"")
        .expect("a rust-version");
    let (version, _) = version.split_once('"').expect("its end");
    let image = read("Dockerfile");
    assert!(image.contains(&format!(" rust:{version}-slim-")), "{version}");
    let guide = read("CONTRIBUTING.md");
    assert!(guide.contains(&format!("\nRust {version} or newer")), "{version}");
}

/// Whether `path` is there, seen from the repository's root or from `src`, where the rooms are.
fn exists(path: &str) -> bool {
    ["", "src"]
        .iter()
        .any(|folder| repository().join(folder).join(path).exists())
}

/// What a page names in code spans that can only be a path in the tree: it begins with a folder that is there.
fn paths(page: &str) -> Vec<String> {
    let text = read(page);
    let mut prose = String::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let spans = prose.split('`').skip(1).step_by(2);
    spans
        .filter(|span| !span.contains(['*', ' ', '<']) && *span == span.to_lowercase())
        .filter(|span| {
            span.split_once('/')
                .is_some_and(|(folder, _)| !folder.is_empty() && folder != "target" && exists(folder))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_path_that_a_page_for_contributors_names_is_there() {
    let mut missing = Vec::new();
    for page in pages().into_iter().filter(|page| page != "README.md") {
        let named = paths(&page).into_iter().filter(|path| !exists(path));
        missing.extend(named.map(|path| format!("{page}: {path}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_table_of_what_is_changed_where_names_paths_only() {
    let rows = table("docs/architecture.md", "Where do I change…");
    assert!(rows.len() >= 20, "{} kinds of change", rows.len());
    for row in rows {
        for place in row[1].split(", ") {
            assert!(repository().join(code(place)).exists(), "{row:?}");
        }
    }
}

/// The rooms as tests/layers has them, highest first: those of a row beside each other.
fn order() -> Vec<Vec<String>> {
    let text = read("tests/layers/rules.rs");
    let (_, order) = text.split_once("const ORDER: ").expect("an order");
    let (order, _) = order.split_once("];\n").expect("its end");
    let rows = order
        .lines()
        .filter(|line| line.trim_start().starts_with("&[\""))
        .map(|row| row.split('"').skip(1).step_by(2).map(str::to_owned).collect());
    rows.collect()
}

#[test]
fn the_rooms_stand_on_the_page_as_in_the_source_folder_and_in_the_order_that_is_kept() {
    let order: Vec<Vec<_>> = order()
        .into_iter()
        .map(|row| row.into_iter().filter(|room| room != "lib").collect())
        .collect();
    let line: Vec<_> = order.iter().map(|row| row.join(", ")).collect();
    let line = line.join(" → ");
    let page = read("docs/architecture.md");
    assert!(page.lines().any(|found| found == line), "no line {line:?}");

    let listed: Vec<_> = table("docs/architecture.md", "The rooms")
        .iter()
        .map(|row| code(&row[0]))
        .collect();
    let rooms: Vec<_> = order
        .concat()
        .into_iter()
        .filter(|room| room != "crates")
        .collect();
    assert_eq!(listed, rooms);
    let there: BTreeSet<_> = entries("src")
        .iter()
        .map(|path| name_of(path))
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), there);
}

#[test]
fn the_table_of_crates_lists_what_lies_in_their_folder() {
    let page = read("docs/architecture.md");
    let (_, rows) = page
        .split_once("\n| crate | its one job |\n|---|---|\n")
        .expect("a table");
    let rows = rows.lines().take_while(|line| line.starts_with('|'));
    let listed: Vec<_> = rows
        .map(|row| code(row.trim_matches('|').split('|').next().expect("a cell").trim()))
        .collect();
    let mut there: Vec<_> = entries("crates").iter().map(|path| name_of(path)).collect();
    there.sort();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, there);
}
