//! The workflows, which cannot run here: each step is a script of the tree, whoever else is called is pinned, and nobody may
//! do more than the job needs. And the scripts of a release, which can.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode, Yaml};
use tempfile::TempDir;

use super::{entries, name_of, read, repository};

const FOLDER: &str = ".github/workflows";

/// Each workflow: its file name, and its text.
fn workflows() -> Vec<(String, String)> {
    let files = entries(FOLDER);
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a workflow");
        (name_of(path), text)
    };
    files.iter().map(read).collect()
}

/// The values of `key` in any step or job, as they stand.
fn values(text: &str, key: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(&format!("{key}: ")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn there_is_one_for_each_change_each_night_and_each_release() {
    let names: Vec<_> = workflows().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ci", "nightly", "release"]);
}

#[test]
fn each_step_is_a_script_that_can_be_run_by_hand() {
    let mut steps = BTreeSet::new();
    for (name, text) in workflows() {
        for command in values(&text, "run") {
            let script = command.split(' ').next().expect("a word");
            let path = repository().join(script);
            assert!(
                script.starts_with(".ci/") || script.starts_with("packaging/"),
                "{name}: {command}"
            );
            assert!(is_executable(&path), "{name}: {script}");
            assert!(
                !command.contains("${{"),
                "{name}: {command}: what GitHub puts in could be a command; pass a variable"
            );
            if script == ".ci/run" {
                steps.extend(command.split(' ').skip(1).map(str::to_owned));
            }
        }
    }
    let there = super::steps();
    assert!(steps.is_subset(&there), "{steps:?}");
    assert!(steps.contains("soak") && steps.contains("fuzz") && steps.contains("e2e"));
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[test]
fn each_action_is_pinned_by_its_commit_with_the_version_beside_it() {
    let mut pins = BTreeSet::new();
    for (name, text) in workflows() {
        for action in values(&text, "uses") {
            if action.starts_with("./") {
                continue;
            }
            let (pin, version) = action
                .split_once(" # v")
                .unwrap_or_else(|| panic!("{name}: {action}"));
            let (_, commit) = pin.split_once('@').expect("a commit");
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {action}"
            );
            assert_eq!(version.split('.').count(), 3, "{name}: {action}");
            pins.insert(action.clone());
        }
    }
    let actions: BTreeSet<_> = pins.iter().filter_map(|pin| pin.split('@').next()).collect();
    assert_eq!(actions.len(), pins.len(), "one action, two commits: {pins:#?}");
}

#[test]
fn nobody_may_write_but_the_two_jobs_that_publish() {
    for (name, text) in workflows() {
        let documents = Yaml::load_from_str(&text).expect("YAML");
        let workflow = &documents[0];
        let read_only = |permissions: &Yaml<'_>| {
            permissions
                .as_mapping()
                .is_some_and(|granted| granted.len() == 1 && permissions["contents"].as_str() == Some("read"))
        };
        assert!(read_only(&workflow["permissions"]), "{name}");
        for (job, what) in workflow["jobs"].as_mapping().expect("jobs") {
            let job = job.as_str().expect("a name");
            let may_more = what
                .as_mapping_get("permissions")
                .is_some_and(|permissions| !read_only(permissions));
            let publishes = name == "release" && ["image", "publish"].contains(&job);
            assert_eq!(may_more, publishes, "{name}: {job}");
        }
        // Whoever checks out leaves no token behind for the scripts.
        let checkouts = text.matches("uses: actions/checkout@").count();
        assert_eq!(
            text.matches("persist-credentials: false").count(),
            checkouts,
            "{name}"
        );
    }
}

#[test]
fn the_workflows_are_run_with_the_rust_of_the_manifest() {
    let manifest = read("Cargo.toml");
    let (_, version) = manifest.split_once("\nrust-version = \"").expect("a version");
    let (version, _) = version.split_once('"').expect("its end");
    for (name, text) in workflows() {
        for image in values(&text, "container") {
            assert_eq!(image, format!("rust:{version}-bookworm"), "{name}");
        }
    }
}

#[test]
fn actionlint_finds_nothing() {
    let go = env::home_dir().map(|home| home.join("go/bin/actionlint"));
    let own = go.filter(|path| path.exists());
    let program = own.unwrap_or_else(|| "actionlint".into());
    let Ok(Output { status, stdout, .. }) = Command::new(&program).current_dir(repository()).output() else {
        // Not a failure where CI is set: the job `workflows` has it, the container of the others does not.
        let line = "SKIPPED actionlint_finds_nothing: there is no actionlint (.ci/run workflows installs it with Go)";
        // Past the test harness, which keeps what a test that passes prints.
        drop(writeln!(std::io::stderr(), "{line}"));
        return;
    };
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
}

/// The files of the list in `packaging/release`.
fn versioned() -> BTreeSet<String> {
    let text = read("packaging/release");
    let (_, list) = text.split_once("\nversioned=(\n").expect("a list");
    let (list, _) = list.split_once("\n)").expect("its end");
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_release_writes_its_version_wherever_it_stands() {
    let version = env!("CARGO_PKG_VERSION");
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(repository().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            let name = path.to_str().expect("UTF-8");
            if entry.file_type().expect("a type").is_dir() {
                // The pages about a release and those of the tests take versions for an example.
                let is_left_out = [
                    "target",
                    ".git",
                    "node_modules",
                    "tests",
                    "src",
                    "crates",
                    "packaging",
                    "fuzz",
                ]
                .contains(&name);
                if !is_left_out {
                    folders.push(path);
                }
            } else if !["Cargo.toml", "Cargo.lock", "CHANGELOG.md", "RELEASING.md"].contains(&name)
                && fs::read_to_string(repository().join(&path)).is_ok_and(|text| text.contains(version))
            {
                found.insert(name.to_owned());
            }
        }
    }
    assert_eq!(found, versioned());
}

/// Runs a command in `folder`, and gives what it wrote.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    // A script of the folder, whatever the directory of this process is.
    let path = if program.contains('/') {
        folder.join(program)
    } else {
        program.into()
    };
    let output = Command::new(path)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "A tester")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "tester@example.com")))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(said.into_owned())
    } else {
        Err(said.into_owned())
    }
}

/// A repository of its own with what a release touches.
fn copy() -> TempDir {
    let copy = TempDir::new().expect("a directory");
    let mut files = vec!["Cargo.toml", "Cargo.lock", "CHANGELOG.md"];
    for script in ["packaging/release", "packaging/version", "packaging/notes"] {
        files.push(script);
    }
    let versioned = versioned();
    files.extend(versioned.iter().map(String::as_str));
    for file in files {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(repository().join(file), to).expect(file);
    }
    // In place of a cargo that would want the whole workspace.
    let lock = "#!/bin/sh\nexit 0\n";
    fs::create_dir(copy.path().join("bin")).expect("a folder");
    fs::write(copy.path().join("bin/cargo"), lock).expect("a file");
    run(copy.path(), "chmod", &["+x", "bin/cargo"]).expect("chmod");
    run(copy.path(), "git", &["init", "--quiet"]).expect("git");
    commit(copy.path());
    copy
}

fn commit(folder: &Path) {
    run(folder, "git", &["add", "--all"]).expect("git");
    run(folder, "git", &["commit", "--quiet", "--message", "All"]).expect("git");
}

fn release(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let path = format!("{}/bin:{}", folder.display(), env::var("PATH").expect("PATH"));
    let mut words = vec![format!("PATH={path}"), "packaging/release".to_owned()];
    words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    run(folder, "env", &words)
}

#[test]
fn a_release_heads_the_change_log_writes_its_version_and_tags() {
    let copy = copy();
    let folder = copy.path();
    let changes = folder.join("CHANGELOG.md");
    fs::write(&changes, "# Changes\n\n## Unreleased\n\n- Something new.\n").expect("a file");
    commit(folder);

    for wrong in ["7", "v7.8.9", "7.8.9.1", "7.8.9;"] {
        let said = release(folder, &[wrong]).expect_err(wrong);
        assert!(said.contains("is no version"), "{said}");
    }
    release(folder, &["7.8.9", "2027-01-02"]).expect("a release");
    let log = fs::read_to_string(&changes).expect("a file");
    assert_eq!(
        log,
        "# Changes\n\n## Unreleased\n\n## 7.8.9 (2027-01-02)\n\n- Something new.\n"
    );
    assert_eq!(
        run(folder, "packaging/version", &["v7.8.9"]),
        Ok("7.8.9\n".to_owned())
    );
    run(folder, "packaging/version", &["v7.8.8"]).expect_err("another tag");
    assert_eq!(
        run(folder, "packaging/notes", &[]),
        Ok("\n- Something new.\n".to_owned())
    );
    for file in versioned() {
        let text = fs::read_to_string(folder.join(&file)).expect("a file");
        assert!(
            text.contains("7.8.9") && !text.contains(env!("CARGO_PKG_VERSION")),
            "{file}"
        );
    }
    assert_eq!(run(folder, "git", &["tag"]), Ok("v7.8.9\n".to_owned()));
    assert_eq!(run(folder, "git", &["status", "--porcelain"]), Ok(String::new()));

    let again = release(folder, &["7.8.9"]).expect_err("the same again");
    assert!(again.contains("there is a tag v7.8.9 already"), "{again}");
    let empty = release(folder, &["7.9.0"]).expect_err("nothing new");
    assert!(empty.contains("says of nothing that is new"), "{empty}");
    fs::write(&changes, "# Changes\n").expect("a file");
    let dirty = release(folder, &["7.9.0"]).expect_err("changes");
    assert!(dirty.contains("not committed"), "{dirty}");
}

#[test]
fn a_version_that_is_cut_already_is_only_tagged() {
    let copy = copy();
    let folder = copy.path();
    let version = env!("CARGO_PKG_VERSION");
    let log = format!("# Changes\n\n## Unreleased\n\n## {version} (2027-01-02)\n\n- Something new.\n");
    fs::write(folder.join("CHANGELOG.md"), &log).expect("a file");
    commit(folder);
    let before = run(folder, "git", &["rev-parse", "HEAD"]);
    release(folder, &[version]).expect("a tag");
    assert_eq!(run(folder, "git", &["tag"]), Ok(format!("v{version}\n")));
    assert_eq!(run(folder, "git", &["rev-parse", "HEAD"]), before);
    let again = release(folder, &[version]).expect_err("the same again");
    assert!(
        again.contains(&format!("there is a tag v{version} already")),
        "{again}"
    );

    run(folder, "git", &["tag", "--delete", &format!("v{version}")]).expect("git");
    fs::write(
        folder.join("CHANGELOG.md"),
        log.replace("## Unreleased\n", "## Unreleased\n\n- Something newer.\n"),
    )
    .expect("a file");
    commit(folder);
    let said = release(folder, &[version]).expect_err("more than what was cut");
    assert!(
        said.contains(&format!("has a section {version} already")),
        "{said}"
    );
}

#[test]
fn the_archive_is_the_same_each_time_and_has_what_belongs_to_the_system() {
    if Command::new("python3").arg("--version").output().is_err() {
        xray_double::harness::install::missing("python3");
        return;
    }
    let scratch = TempDir::new().expect("a directory");
    let program = scratch.path().join("xray");
    fs::write(&program, "a program").expect("a file");
    let make = |target: &str, folder: &str| {
        let program = program.to_str().expect("UTF-8");
        let out = scratch.path().join(folder);
        run(
            repository(),
            "packaging/archive",
            &[program, target, out.to_str().expect("UTF-8")],
        )
        .expect("an archive");
        let mut made = fs::read_dir(out).expect("a folder");
        made.next().expect("one file").expect("an entry").path()
    };
    let first = make("x86_64-unknown-linux-musl", "first");
    let second = make("x86_64-unknown-linux-musl", "second");
    assert_eq!(
        fs::read(&first).expect("a file"),
        fs::read(second).expect("a file")
    );

    let listed = run(
        repository(),
        "python3",
        &["-m", "tarfile", "--list", first.to_str().expect("UTF-8")],
    )
    .expect("a list");
    let folder = format!("xray-{}-x86_64-unknown-linux-musl", env!("CARGO_PKG_VERSION"));
    for file in [
        "xray",
        "cfg.example.yaml",
        "man/xray.1",
        "completions/_xray",
        "systemd/xray.service",
    ] {
        assert!(listed.contains(&format!("{folder}/{file}")), "{file}: {listed}");
    }
    let windows = make("x86_64-pc-windows-msvc", "windows");
    let listed = run(
        repository(),
        "python3",
        &["-m", "zipfile", "--list", windows.to_str().expect("UTF-8")],
    )
    .expect("a list");
    assert!(
        listed.contains("completions/_xray.ps1") && !listed.contains("systemd"),
        "{listed}"
    );
}
