//! What of the workspace is in the program.

use std::collections::BTreeSet;
use std::process::Command;

use xray_double::harness::install::repository;

/// The packages that a build of `what` links or runs, as `name version features`.
fn packages(what: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p} {f}"])
        .args(what)
        .current_dir(repository())
        .output()
        .expect("cargo, which runs this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

fn names(packages: &BTreeSet<String>) -> BTreeSet<&str> {
    packages
        .iter()
        .filter_map(|package| package.split(' ').next())
        .collect()
}

#[test]
fn nothing_of_the_double_is_in_the_program() {
    let program = packages(&["--package", "xray"]);
    let names = names(&program);
    assert!(names.contains("xray-service") && names.contains("xray-document"));
    for tests_only in ["xray-double", "tempfile", "proptest", "rcgen"] {
        assert!(!names.contains(tests_only), "{tests_only}");
    }
}

#[test]
fn the_program_is_the_same_whether_it_is_built_alone_or_with_the_whole_workspace() {
    let program = packages(&["--package", "xray"]);
    let whole = packages(&["--workspace"]);
    assert!(names(&whole).contains("xray-double"));
    let other: Vec<_> = program
        .difference(&whole)
        // For tempfile it has functions for files as well, which change none of the others.
        .filter(|package| !package.starts_with("rustix "))
        .collect();
    assert!(other.is_empty(), "built with other features: {other:?}");
}
