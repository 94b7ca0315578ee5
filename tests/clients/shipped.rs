//! The files that users copy or build from: they parse, agree with one another, and what they start does start.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use xray_double::harness::apps::clean;
use xray_double::harness::install::repository;
use xray_double::harness::process::Process;

use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

/// A Dockerfile's instructions and their arguments, in order; continued lines joined, comments left out.
fn instructions(file: &str) -> Vec<(String, String)> {
    let text = read(file);
    let mut instructions = Vec::new();
    let mut open = String::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(start) = line.strip_suffix('\\') {
            open.push_str(start);
            continue;
        }
        open.push_str(line);
        let (name, arguments) = open
            .split_once(' ')
            .unwrap_or_else(|| panic!("{open:?} in {file}"));
        instructions.push((name.to_owned(), arguments.trim().to_owned()));
        open.clear();
    }
    assert_eq!(open, "", "the last line of {file} is continued");
    instructions
}

/// The arguments of each instruction of that name after the last FROM.
fn of_last_stage(file: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (instruction, arguments) in instructions(file) {
        if instruction == "FROM" {
            found.clear();
        }
        if instruction == name {
            found.push(arguments);
        }
    }
    found
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The arguments that the image gives to the daemon.
pub(crate) fn entry_point_arguments() -> Vec<String> {
    let entry_point = of_last_stage("Dockerfile", "ENTRYPOINT");
    let mut arguments: Vec<String> =
        serde_json::from_str(&entry_point[0]).expect("the JSON form of ENTRYPOINT");
    assert_eq!(arguments.remove(0), "/xray");
    arguments
}

/// The arguments that the example compose file adds.
pub(crate) fn compose_arguments() -> Vec<String> {
    let text = read("docker-compose.example.yml");
    let document = compose(&text);
    let command = &document["services"]["xray-daemon"]["command"];
    let items = command.as_vec().expect("a list").iter();
    items
        .map(|item| item.as_str().expect("a string").to_owned())
        .collect()
}

fn compose(text: &str) -> Yaml<'_> {
    let mut documents = Yaml::load_from_str(text).expect("docker-compose.example.yml is YAML");
    assert_eq!(documents.len(), 1, "documents in docker-compose.example.yml");
    documents.remove(0)
}

fn texts(list: &Yaml) -> Vec<String> {
    let items = list
        .as_vec()
        .unwrap_or_else(|| panic!("{list:?} is no list"))
        .iter();
    items
        .map(|item| {
            item.as_str()
                .unwrap_or_else(|| panic!("{item:?} is no text"))
                .to_owned()
        })
        .collect()
}

fn text_map(mapping: &Yaml) -> BTreeMap<String, String> {
    let pairs = mapping
        .as_mapping()
        .unwrap_or_else(|| panic!("{mapping:?} is no mapping"))
        .iter();
    let text = |node: &Yaml| {
        node.as_str()
            .unwrap_or_else(|| panic!("{node:?} is no text"))
            .to_owned()
    };
    pairs.map(|(key, value)| (text(key), text(value))).collect()
}

#[test]
fn the_image_has_the_entry_point_ports_and_user_of_the_official_one() {
    assert_eq!(
        of_last_stage("Dockerfile", "ENTRYPOINT"),
        [r#"["/xray", "-t", "0.0.0.0:2000", "-b", "0.0.0.0:2000"]"#]
    );
    assert_eq!(of_last_stage("Dockerfile", "EXPOSE"), ["2000/udp", "2000/tcp"]);
    assert_eq!(of_last_stage("Dockerfile", "USER"), ["10001:10001"]);
    assert_eq!(of_last_stage("Dockerfile", "FROM"), ["scratch"]);
}

/// The files of the image, made as the Dockerfile makes them, with this program in place of the one it builds.
fn image() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut commands = instructions("Dockerfile")
        .into_iter()
        .map(|(_, arguments)| arguments);
    let build = commands
        .rfind(|command| command.contains("/image/xray"))
        .expect("the command that fills /image");
    let (_, steps) = build
        .split_once(" && mkdir -p ")
        .expect("a step that makes directories");
    // Owners are the build's business: only root can give files away.
    let steps = format!("mkdir -p {steps}")
        .replace("/etc/ssl/certs/ca-certificates.crt /image", "/dev/null /image")
        .replace("-o 10001 -g 10001 ", "")
        .replace("/image", &root.path().display().to_string())
        .replace("\"target/$target/release/xray\"", env!("CARGO_BIN_EXE_xray"));
    let made = Command::new("sh")
        .args(["-euc", &steps])
        .status()
        .expect("a shell");
    assert!(made.success(), "{steps}");
    root
}

#[test]
fn the_image_has_the_paths_users_and_homes_that_people_start_it_with() {
    let root = image();
    let link = |path: &str| fs::read_link(root.path().join(path)).expect(path);
    // As AWS's own Kubernetes sample starts it.
    assert_eq!(link("usr/bin/xray"), std::path::Path::new("/xray"));
    // As AWS's documentation mounts credentials: -v ~/.aws/:/root/.aws/.
    assert_eq!(link("root"), std::path::Path::new("/home/xray"));
    let users = fs::read_to_string(root.path().join("etc/passwd")).expect("a passwd");
    let homes: Vec<(&str, &str)> = users
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields[2], fields[5])
        })
        .collect();
    assert_eq!(homes, [("0", "/root"), ("10001", "/home/xray")]);
    assert_eq!(of_last_stage("Dockerfile", "ENV"), ["HOME=/home/xray"]);
    assert!(root.path().join("home/xray").is_dir());
    let spool = root.path().join("var/spool/xray");
    assert!(spool.is_dir());
    let (_, build) = instructions("Dockerfile")
        .into_iter()
        .find(|(_, arguments)| arguments.contains("/image/var/spool/xray"))
        .expect("a step that makes the spool's directory");
    assert!(build.contains("install -d -o 10001 -g 10001 /image/home/xray /image/var/spool/xray"));
}

#[test]
fn the_image_builds_dependencies_before_it_sees_a_line_of_our_source() {
    let steps = instructions("Dockerfile");
    let builds = |(name, arguments): &(String, String)| name == "RUN" && arguments.ends_with("&& build-xray");
    let dependencies = steps.iter().position(builds).expect("a build without our source");
    let source = steps
        .iter()
        .position(|(_, arguments)| arguments == ". .")
        .expect("COPY . .");
    assert!(dependencies < source, "{dependencies}, {source}");

    // What is copied before is enough for Cargo, with the files that the step makes.
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (_, arguments) in steps[..dependencies].iter().filter(|(name, _)| name == "COPY") {
        let (files, to) = arguments.rsplit_once(' ').expect("a destination");
        for file in files.split(' ') {
            assert!(
                file.ends_with("Cargo.toml") || file == "Cargo.lock",
                "{file} is source of ours"
            );
            let folder = directory.path().join(to);
            fs::create_dir_all(&folder).expect("a folder");
            let name = std::path::Path::new(file).file_name().expect("a name");
            fs::copy(repository().join(file), folder.join(name)).expect("a copy");
        }
    }
    let prepare = steps[dependencies].1.replace("&& build-xray", "");
    let made = Command::new("sh")
        .args(["-euc", &prepare])
        .current_dir(&directory)
        .status()
        .expect("a shell");
    assert!(made.success(), "{prepare}");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version=1",
        ])
        .current_dir(&directory)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let crates = fs::read_dir(repository().join("crates"))
        .expect("a folder")
        .count();
    assert_eq!(packages.len(), 1 + crates);
    for target in packages
        .iter()
        .flat_map(|package| package["targets"].as_array().expect("targets"))
        .filter(|target| target["kind"] != serde_json::json!(["test"]))
    {
        let path = target["src_path"].as_str().expect("a path");
        assert!(fs::exists(path).expect("a folder"), "{path} is not made");
    }
}

#[test]
fn the_image_says_what_it_is() {
    let labels = of_last_stage("Dockerfile", "LABEL").join(" ");
    let manifest = read("Cargo.toml");
    for (label, key) in [("version", "version"), ("licenses", "license")] {
        let (_, value) = manifest
            .split_once(&format!("\n{key} = \""))
            .unwrap_or_else(|| panic!("Cargo.toml has no {key}"));
        let (value, _) = value.split_once('"').expect("the end of a value");
        let expected = format!("org.opencontainers.image.{label}=\"{value}\"");
        assert!(labels.contains(&expected), "{expected}: {labels}");
    }
}

#[test]
fn the_health_check_of_the_image_finds_a_running_daemon_healthy_and_a_missing_one_not() {
    let check = of_last_stage("Dockerfile", "HEALTHCHECK");
    let (_, command) = check[0].split_once("CMD ").expect("a command");
    let command: Vec<String> = serde_json::from_str(command).expect("the JSON form of CMD");
    assert_eq!(command[0], "/xray");
    let run = |address: &str| {
        let output = clean(&mut Command::new(env!("CARGO_BIN_EXE_xray")))
            .args(&command[1..])
            .args(["-t", address])
            .output()
            .expect("a program that runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let endpoint = Endpoint::start();
    let daemon = Daemon::start_line(&endpoint.url(), &entry_point_arguments(), &[]);
    let address = format!("0.0.0.0:{}", daemon.tcp.port());
    assert_eq!(
        run(&address),
        (Some(0), format!("healthy: {address} answers GET /healthz\n"))
    );
    daemon.stop_after(0);
    let (code, line) = run(&address);
    assert_eq!((code, line.lines().count()), (Some(1), 1), "{line}");
}

/// A directory with a cfg.yaml that names `tcp` for the TCP port.
fn with_cfg(tcp: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = format!("Version: 2\nSocket:\n  TCPAddress: \"{tcp}\"\nEndpoint: http://127.0.0.1:9\n");
    fs::write(directory.path().join("cfg.yaml"), text).expect("a cfg.yaml");
    directory
}

/// For a process namespace of its own.
const NAMESPACES: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Starts the daemon with these arguments as process 1 of a process namespace of its own, as a container does, asks it
/// by the image's health check, and ends it; what that said.
fn asked_in_a_container(arguments: &[&str], directory: &tempfile::TempDir) -> (Option<i32>, String) {
    asked_behind(&[env!("CARGO_BIN_EXE_xray")], arguments, directory)
}

/// The same with the program behind these words.
fn asked_behind(
    program: &[&str],
    arguments: &[&str],
    directory: &tempfile::TempDir,
) -> (Option<i32>, String) {
    let mut command = Command::new("unshare");
    let command = clean(&mut command)
        .args(NAMESPACES)
        .args(program)
        .args(arguments)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(directory);
    let daemon = Process::start("xray as process 1", command);
    daemon.wait_for("its credentials", |line| {
        line.contains("No AWS credentials yet").then_some(())
    });
    let children = format!("/proc/{0}/task/{0}/children", daemon.id());
    let children = fs::read_to_string(children).expect("the children of unshare");
    let output = clean(&mut Command::new("nsenter"))
        .args([
            "--target",
            children.trim(),
            "--user",
            "--preserve-credentials",
            "--pid",
            "--mount",
        ])
        .arg(format!("--wd={}", directory.path().display()))
        .arg(env!("CARGO_BIN_EXE_xray"))
        .arg("healthcheck")
        .output()
        .expect("nsenter");
    assert!(output.stderr.is_empty(), "{output:?}");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn the_health_check_asks_where_process_one_of_the_container_listens() {
    let allowed = Command::new("unshare").args(NAMESPACES).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: this machine allows no process namespace (unshare)");
        return;
    }
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address").to_string()
    };
    // The entry point's flag goes over a mounted file.
    let everywhere = free().replace("127.0.0.1", "0.0.0.0");
    let elsewhere = with_cfg("127.0.0.1:1");
    assert_eq!(
        asked_in_a_container(&["-t", &everywhere, "-b", "127.0.0.1:0"], &elsewhere),
        (Some(0), format!("healthy: {everywhere} answers GET /healthz\n"))
    );
    // Another entry point: the file that it names.
    let tcp = free();
    let named = with_cfg(&tcp);
    fs::rename(named.path().join("cfg.yaml"), named.path().join("lab.yaml")).expect("another name");
    assert_eq!(
        asked_in_a_container(&["-c", "lab.yaml", "-b", "127.0.0.1:0"], &named),
        (Some(0), format!("healthy: {tcp} answers GET /healthz\n"))
    );
    assert_eq!(
        asked_behind(
            &[
                "sh",
                "-c",
                "trap : TERM; \"$0\" \"$@\" & wait",
                env!("CARGO_BIN_EXE_xray")
            ],
            &["-t", &everywhere, "-b", "127.0.0.1:0"],
            &elsewhere
        ),
        (Some(0), format!("healthy: {everywhere} answers GET /healthz\n"))
    );
    assert_eq!(
        asked_in_a_container(&["-b", "127.0.0.1:0", "--no-tcp"], &elsewhere),
        (
            Some(0),
            "healthy: the daemon has no TCP port (--no-tcp), so there is nothing to ask\n".to_owned()
        )
    );
}

#[test]
fn the_image_is_built_by_a_compiler_that_is_new_enough() {
    let (_, first) = instructions("Dockerfile").swap_remove(0);
    let image = first
        .split_once("rust:")
        .expect("the first stage is Rust's image")
        .1;
    let minor_of = |version: &str| -> u32 {
        let minor = version
            .split(['.', '-', '"'])
            .nth(1)
            .and_then(|minor| minor.parse().ok());
        minor.unwrap_or_else(|| panic!("{version:?} is no version"))
    };
    let needed = read("Cargo.toml");
    let needed = needed
        .split_once("rust-version = \"")
        .expect("Cargo.toml has a rust-version")
        .1;
    assert!(image.starts_with("1.") && needed.starts_with("1."));
    assert!(
        minor_of(image) >= minor_of(needed.lines().next().expect("a line")),
        "{image} is older than {needed}"
    );
}

#[test]
fn the_compose_example_runs_the_flask_app_beside_the_daemon() {
    let text = read("docker-compose.example.yml");
    let document = compose(&text);
    let services = document["services"].as_mapping().expect("a mapping");
    let names: Vec<_> = services.keys().filter_map(Yaml::as_str).collect();
    assert_eq!(names, ["backend-flask", "xray-daemon"]);

    let app = &document["services"]["backend-flask"];
    assert_eq!(app["build"].as_str(), Some("examples/backend-flask"));
    assert_eq!(
        text_map(&app["environment"]),
        BTreeMap::from([(
            "AWS_XRAY_DAEMON_ADDRESS".to_owned(),
            "xray-daemon:2000".to_owned()
        )])
    );
    assert_eq!(
        app["depends_on"]["xray-daemon"]["condition"].as_str(),
        Some("service_healthy")
    );

    let daemon = &document["services"]["xray-daemon"];
    assert_eq!(daemon["build"].as_str(), Some("."));
    for (name, value) in text_map(&daemon["environment"]) {
        assert!(
            value.starts_with(&format!("${{{name}:")),
            "{name} is taken from the variable of the same name: {value}"
        );
    }
    let variables: Vec<_> = text_map(&daemon["environment"]).into_keys().collect();
    assert_eq!(
        variables,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_REGION",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN"
        ]
    );
    assert_eq!(
        texts(&daemon["ports"]),
        ["127.0.0.1:2000:2000/udp", "127.0.0.1:2000:2000/tcp"]
    );
}

#[test]
fn the_example_apps_images_copy_files_that_exist_and_listen_where_they_say() {
    for (app, port) in [
        ("examples/backend-flask", "4567"),
        ("examples/backend-express", "4568"),
    ] {
        let file = format!("{app}/Dockerfile");
        for copied in of_last_stage(&file, "COPY") {
            let mut sources: Vec<_> = copied.split(' ').collect();
            sources.pop();
            for source in sources {
                assert!(
                    repository().join(app).join(source).exists(),
                    "{file} copies {source}"
                );
            }
        }
        assert_eq!(of_last_stage(&file, "EXPOSE"), [port], "{file}");
        let elsewhere = of_last_stage(&file, "CMD").concat() + &of_last_stage(&file, "ENV").concat();
        assert!(
            elsewhere.contains(port),
            "{file} says where to listen: {elsewhere}"
        );
    }
}

/// The source files below `folder`, from the repository's root; those of tests are left out.
fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.file_type().expect("a type").is_dir() {
            if !path.ends_with("/tests") {
                found.append(&mut sources(&path));
            }
        } else if path.ends_with(".rs") && !path.ends_with("/tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The files that `source` takes in when it is compiled, from the repository's root.
fn included(source: &str) -> Vec<String> {
    let text = read(source);
    let names = ["include_str!(\"", "include_bytes!(\""]
        .into_iter()
        .flat_map(|call| text.split(call).skip(1))
        .map(|rest| rest.split_once('"').expect("the end of a name").0);
    let (folder, _) = source.rsplit_once('/').expect("a folder");
    let from_root = |name: &str| {
        let mut parts: Vec<&str> = folder.split('/').collect();
        for part in name.split('/') {
            match part {
                ".." => drop(parts.pop().expect("a folder above")),
                part => parts.push(part),
            }
        }
        parts.join("/")
    };
    names.map(from_root).collect()
}

/// What a manifest names by its path, from the repository's root.
fn named_by(manifest: &str) -> Vec<String> {
    let text = read(manifest);
    let paths = text.split("path = \"").skip(1);
    paths
        .map(|rest| rest.split_once('"').expect("the end of a path").0.to_owned())
        .collect()
}

#[test]
fn the_context_of_the_image_has_all_that_its_build_reads() {
    let ignore = read(".dockerignore");
    let kept: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"), "all else is left out");
    for path in &kept {
        assert!(repository().join(path).exists(), "{path} is kept and not there");
    }
    let mut needed: Vec<String> = ["Cargo.toml", "Cargo.lock", "src", "crates"]
        .map(str::to_owned)
        .into();
    needed.append(&mut named_by("Cargo.toml"));
    let sources = [sources("src"), sources("crates")].concat();
    let included: Vec<_> = sources.iter().flat_map(|source| included(source)).collect();
    assert!(
        included.contains(&"docs/architecture.md".to_owned()),
        "{included:?}"
    );
    needed.extend(included);
    for path in needed {
        assert!(repository().join(&path).exists(), "{path}");
        let is_kept = kept.iter().any(|kept| {
            path.strip_prefix(kept)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        assert!(is_kept, "{path} is not in the context of the image");
    }
}

#[test]
fn the_image_is_built_of_the_program_alone_with_the_versions_of_the_lock_file() {
    let build = instructions("Dockerfile")
        .into_iter()
        .find(|(name, arguments)| name == "RUN" && arguments.contains("cargo build"))
        .expect("a step that builds")
        .1;
    for part in ["--release", "--locked", "--package xray", "--bin xray"] {
        assert!(build.contains(part), "{part}: {build}");
    }
}

#[test]
fn the_lock_file_of_the_express_app_names_versions_and_hashes_but_no_addresses() {
    let lock: Value =
        serde_json::from_str(&read("examples/backend-express/package-lock.json")).expect("JSON");
    let packages = lock["packages"].as_object().expect("an object");
    assert!(packages.len() > 50, "{} packages", packages.len());
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(
            package["version"].is_string() && package["integrity"].is_string(),
            "{name}: {package}"
        );
        assert!(package.get("resolved").is_none(), "{name}: {package}");
    }
}

#[test]
fn the_requirements_of_the_flask_app_are_pinned() {
    let requirements = read("examples/backend-flask/requirements.txt");
    let lines = requirements
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (name, version) = line
            .split_once("==")
            .unwrap_or_else(|| panic!("{line:?} is not pinned"));
        assert!(
            !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()),
            "{line}"
        );
    }
}
