//! Shell scripts: all are clean, and what an instance runs at its first boot installs the package of a release.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xray_double::harness::install::repository;

use super::{checker, passes, read};

/// The scripts of the tree: files that begin so.
fn scripts() -> Vec<String> {
    let mut found = Vec::new();
    for folder in [".ci", "packaging", "packaging/deb", "deploy/ec2", "fuzz"] {
        for entry in fs::read_dir(repository().join(folder)).expect(folder) {
            let path = entry.expect("an entry").path();
            let is_script = fs::read(&path).is_ok_and(|text| {
                text.starts_with(b"#!/bin/sh")
                    || text.starts_with(b"#!/usr/bin/env bash")
                    || text.starts_with(b"#!/bin/bash")
            });
            if is_script {
                let name = path.strip_prefix(repository()).expect("a path below it");
                found.push(name.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn shellcheck_finds_nothing_in_any_script() {
    let scripts = scripts();
    for script in [
        ".ci/run",
        "packaging/image-test",
        "packaging/try",
        "deploy/ec2/user-data.sh",
    ] {
        assert!(
            scripts.iter().any(|found| found == script),
            "{script}: {scripts:?}"
        );
    }
    let Some(mut check) = checker("shellcheck") else {
        return;
    };
    passes(check.arg("--severity=warning").args(scripts));
}

#[test]
fn the_image_is_left_out_with_a_reason_where_no_engine_answers_but_not_in_the_ci() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let run = |ci: &str| {
        let output = Command::new(repository().join("packaging/image-test"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("CI", ci)
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run("");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("SKIPPED: the image was not tried: "), "{said}");
    let (code, said) = run("true");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("CI is set, so the image must be tried: "),
        "{said}"
    );
}

#[test]
fn the_tests_of_the_image_can_be_read_and_the_page_about_testing_names_each_file() {
    let folder = "packaging/image_tests";
    let page = read("docs/testing.md");
    let files = fs::read_dir(repository().join(folder)).expect(folder);
    let modules: Vec<_> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_str()
                .expect("UTF-8")
                .to_owned()
        })
        .collect();
    assert!(modules.len() >= 6, "{modules:?}");
    for module in modules.iter().filter(|module| *module != "support") {
        assert!(page.contains(&format!("`{folder}/{module}.py`")), "{module}");
    }
    let Some(mut python) = checker("python") else {
        return;
    };
    let load = format!(
        "import sys; sys.path.insert(0, '{folder}'); import {}",
        modules.join(", ")
    );
    passes(python.args(["-B", "-c", &load]));
}

/// Runs the user data where each program only writes down how it was called; the lines of those calls. `package_manager` is
/// the one that is there.
fn first_boot(package_manager: &str) -> Vec<String> {
    let root = TempDir::new().expect("a directory");
    let (programs, log) = (root.path().join("bin"), root.path().join("log"));
    fs::create_dir(&programs).expect("a directory");
    let script = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >>{}\n", log.display());
    let write = |name: &str, text: &str| {
        let path = programs.join(name);
        fs::write(&path, text).expect("a file");
        passes(Command::new("chmod").arg("+x").arg(&path));
    };
    for program in ["aws", "sysctl", "xray", package_manager] {
        write(program, &script);
    }
    write("uname", "#!/bin/sh\necho x86_64\n");
    write("dpkg", "#!/bin/sh\necho amd64\n");
    // The only other programs that it may use.
    let mktemp = which("mktemp");
    write("mktemp", &format!("#!/bin/sh\nexec {mktemp} \"$@\"\n"));
    fs::create_dir_all(root.path().join("etc/sysctl.d")).expect("a directory");
    let text = read("deploy/ec2/user-data.sh").replace("/etc/", &format!("{}/etc/", root.path().display()));
    passes(
        Command::new("/bin/bash")
            .args(["-c", &text])
            .env("PATH", &programs)
            .env("TMPDIR", root.path()),
    );
    let sysctl = fs::read_to_string(root.path().join("etc/sysctl.d/90-xray.conf")).expect("a file");
    assert_eq!(sysctl, "net.core.rmem_max = 8388608\n");
    let calls = fs::read_to_string(&log).expect("a log");
    calls.lines().map(str::to_owned).collect()
}

fn which(program: &str) -> String {
    let path = std::env::var("PATH").expect("a search path");
    let found = path
        .split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists());
    found.expect(program).to_str().expect("UTF-8").to_owned()
}

#[test]
fn user_data_installs_the_package_of_a_release_by_either_package_manager() {
    let version = env!("CARGO_PKG_VERSION");
    let rpm = format!("xray-daemon-{version}-1.x86_64.rpm");
    let calls = first_boot("dnf");
    assert!(calls[0].starts_with("sysctl --load "), "{calls:?}");
    assert_eq!(
        calls[1..],
        [
            format!("aws s3 cp s3://example-bucket/xray/{rpm} {rpm}"),
            format!("dnf install --assumeyes ./{rpm}"),
            "xray doctor".to_owned(),
        ]
    );
    let deb = format!("xray-daemon_{version}-1_amd64.deb");
    let calls = first_boot("apt-get");
    assert_eq!(
        calls[1..],
        [
            "apt-get update".to_owned(),
            format!("aws s3 cp s3://example-bucket/xray/{deb} {deb}"),
            format!("apt-get install --yes -o Dpkg::Options::=--force-confold ./{deb}"),
            "xray doctor".to_owned(),
        ]
    );
}
