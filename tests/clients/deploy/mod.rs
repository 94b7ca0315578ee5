//! The files of `deploy/`: each passes the checker of whoever reads it, and what they start is a daemon that is well. So do the
//! compose files, the forms for issues, and every shell script of the tree.

mod prometheus;
mod scripts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode, Yaml};
use tempfile::TempDir;
use xray_double::harness::daemon::Setup;
use xray_double::harness::install::{missing, python_packages, repository};

use crate::TMP;

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A checker that Python brings, or `None` where there is no Python.
fn checker(name: &str) -> Option<Command> {
    let python = python_packages(TMP, "deploy", &["tests/clients/deploy/requirements.txt"])?;
    let mut command = Command::new(python.with_file_name(name));
    command.current_dir(repository());
    Some(command)
}

fn passes(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{said}");
    said.into_owned()
}

#[test]
fn kubernetes_takes_the_manifests() {
    for (file, kinds) in [
        (
            "deploy/kubernetes/daemonset.yaml",
            &["namespace", "serviceaccount", "configmap", "daemonset", "service"][..],
        ),
        ("deploy/kubernetes/sidecar.yaml", &["deployment"]),
    ] {
        let Some(mut validate) = checker("kubernetes-validate") else {
            return;
        };
        let said = passes(validate.arg("--strict").arg(file));
        for kind in kinds {
            assert!(
                said.contains(&format!("passed for resource {kind}/")),
                "{kind}: {said}"
            );
        }
    }
}

#[test]
fn cloudformation_takes_the_task() {
    let Some(mut lint) = checker("cfn-lint") else {
        return;
    };
    assert_eq!(passes(lint.arg("deploy/ecs/task.yaml")), "");
}

#[test]
fn all_of_it_is_clean_yaml() {
    let rules = "{extends: default, rules: {document-start: disable, line-length: {max: 125}}}";
    let Some(mut lint) = checker("yamllint") else {
        return;
    };
    passes(lint.args(["--strict", "-d", rules, "deploy"]));
}

#[test]
fn compose_and_github_take_their_files() {
    let Some(mut validate) = checker("check-jsonschema") else {
        return;
    };
    let compose = ["example", "dev", "otel"].map(|name| format!("docker-compose.{name}.yml"));
    passes(
        validate
            .args(["--builtin-schema", "vendor.compose-spec"])
            .args(compose),
    );
    for (schema, files) in [
        ("forms", &["bug.yml", "feature.yml"][..]),
        ("config", &["config.yml"]),
    ] {
        let Some(mut validate) = checker("check-jsonschema") else {
            return;
        };
        let files = files.iter().map(|file| format!(".github/ISSUE_TEMPLATE/{file}"));
        passes(
            validate
                .args(["--builtin-schema", &format!("vendor.github-issue-{schema}")])
                .args(files),
        );
    }
}

/// The first document of that kind in a manifest.
fn manifest<'a>(documents: &'a [Yaml<'a>], kind: &str) -> &'a Yaml<'a> {
    let found = documents
        .iter()
        .find(|document| document["kind"].as_str() == Some(kind));
    found.unwrap_or_else(|| panic!("a {kind}"))
}

#[test]
fn the_pod_monitor_finds_the_port_and_the_pods_of_the_daemon_set() {
    let (daemons, monitor) = (
        read("deploy/kubernetes/daemonset.yaml"),
        read("deploy/kubernetes/podmonitor.yaml"),
    );
    let (daemons, monitor) = (
        Yaml::load_from_str(&daemons).expect("YAML"),
        Yaml::load_from_str(&monitor).expect("YAML"),
    );
    let (daemons, monitor) = (manifest(&daemons, "DaemonSet"), manifest(&monitor, "PodMonitor"));
    assert_eq!(daemons["metadata"]["namespace"], monitor["metadata"]["namespace"]);
    let pods = &daemons["spec"]["template"];
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"],
        pods["metadata"]["labels"]
    );
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let ports = pods["spec"]["containers"][0]["ports"].as_vec().expect("ports");
    assert!(
        ports
            .iter()
            .any(|port| port["name"] == endpoint["port"] && port["protocol"].as_str() == Some("TCP"))
    );
    assert_eq!(endpoint["path"].as_str(), Some("/metrics"));
}

#[test]
fn beanstalk_gets_sections_that_it_knows_and_installs_what_a_release_has() {
    let text = read("deploy/beanstalk/xray.config");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let sections: Vec<_> = documents[0]
        .as_mapping()
        .expect("sections")
        .keys()
        .map(|key| key.as_str().expect("a name"))
        .collect();
    assert_eq!(sections, ["option_settings", "commands"]);
    let own = &documents[0]["option_settings"]["aws:elasticbeanstalk:xray"]["XRayEnabled"];
    assert_eq!(own.as_bool(), Some(false));
    let commands = documents[0]["commands"].as_mapping().expect("commands");
    let lines: Vec<_> = commands
        .values()
        .map(|command| command["command"].as_str().expect("a line"))
        .collect();
    let package = format!("/xray-daemon-{}-1.x86_64.rpm ", env!("CARGO_PKG_VERSION"));
    assert!(
        lines[0].starts_with("aws s3 cp s3://") && lines[0].contains(&package),
        "{lines:?}"
    );
    let (_, file) = lines[0].rsplit_once(' ').expect("a file");
    assert!(
        lines[1].starts_with("dnf install ") && lines[1].ends_with(file),
        "{lines:?}"
    );
}

/// The unit, with this build in place of the installed program.
fn unit(directory: &Path) -> PathBuf {
    let text = read("deploy/systemd/xray.service");
    assert!(
        text.contains("ExecStart=/usr/bin/xray "),
        "the place that packages put it"
    );
    let path = directory.join("xray.service");
    fs::write(&path, text.replace("/usr/bin/xray", XRAY)).expect("a file in the temporary directory");
    path
}

#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        missing("systemd-analyze (Debian: apt-get install systemd)");
        return;
    }
    let directory = TempDir::new().unwrap();
    let unit = unit(directory.path());
    let analyze = || Command::new("systemd-analyze");
    assert_eq!(passes(analyze().arg("verify").arg(&unit)), "");
    // 0 is what can do nothing; what needs the network and AWS's names can't be below 1.
    passes(
        analyze()
            .args(["security", "--offline=true", "--threshold=15"])
            .arg(&unit),
    );
}

#[test]
fn what_the_unit_starts_is_a_daemon() {
    let text = read("deploy/systemd/xray.service");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/xray "));
    let state = TempDir::new().unwrap();
    let state = state.path().to_str().unwrap();
    let arguments: Vec<_> = line
        .expect("a command")
        .split(' ')
        // Not set in /etc/default/xray: no argument at all.
        .filter(|argument| *argument != "$XRAY_OPTIONS")
        .map(|argument| argument.replace("${STATE_DIRECTORY}", state))
        .collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    starts(&arguments);
    assert!(Path::new(state).join("spool").is_dir());
}

#[test]
fn what_the_daemon_set_starts_is_a_daemon() {
    let text = read("deploy/kubernetes/daemonset.yaml");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let of_kind = |kind: &str| manifest(&documents, kind);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("config.yaml");
    let config = of_kind("ConfigMap")["data"]["config.yaml"]
        .as_str()
        .expect("a file");
    // Any free port in place of the one that a test may not have.
    fs::write(&file, config.replace(":2000", ":0")).unwrap();
    let containers = of_kind("DaemonSet")["spec"]["template"]["spec"]["containers"].clone();
    let container = &containers.as_vec().expect("a list")[0];
    assert_eq!(
        container["command"].as_vec().expect("a list")[0].as_str(),
        Some("/xray")
    );
    let arguments: Vec<_> = container["args"]
        .as_vec()
        .expect("a list")
        .iter()
        .map(|argument| match argument.as_str().expect("a text") {
            "/aws/xray/config.yaml" => file.to_str().expect("UTF-8"),
            argument => argument,
        })
        .collect();
    starts(&arguments);
}

/// Starts a daemon with these arguments, on free ports where they name none, and stops it.
fn starts(arguments: &[&str]) {
    let daemon = Setup::bare(XRAY)
        .env("AWS_REGION", "eu-central-1")
        .args(&["--shutdown-timeout", "0s"])
        .args(arguments)
        .start();
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{lines:?}");
}
