//! What the pages for users list, beside what the program says of itself.

use std::collections::BTreeSet;
use std::process::Command;

use tempfile::TempDir;
use xray::ledger::DropReason;
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;
use xray_double::harness::process::Process;
use xray_service::operation::Operation;

use super::{entries, read, repository};

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// The rows of the table of `page` whose head is `head`, as cells.
fn rows(page: &str, head: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let table = text.lines().skip_while(|line| *line != head);
    let rows: Vec<Vec<String>> = table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    assert!(!rows.is_empty(), "{page} has no table {head:?}");
    rows
}

/// What stands in code spans in `cell`.
fn code_spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of each flag that `xray` with `arguments` lists, short before long.
fn flags_of_help(arguments: &[&str]) -> BTreeSet<Vec<String>> {
    let output = clean(&mut Command::new(XRAY))
        .args(arguments)
        .output()
        .expect("the program runs");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let names = |line: &str| -> Option<Vec<String>> {
        let line = line.strip_prefix("  ")?.trim_start();
        let names = line.split_once("  ").map_or(line, |(names, _)| names);
        let names: Vec<String> = names
            .split(", ")
            .map(|name| name.split([' ', '[']).next().expect("a name").to_owned())
            .collect();
        names[0].starts_with('-').then_some(names)
    };
    let never_a_setting = ["--help", "--version"];
    help.lines()
        .filter_map(names)
        .filter(|names| !names.iter().any(|name| never_a_setting.contains(&name.as_str())))
        .collect()
}

/// The keys of cfg.example.yaml, those of sections after their section's name and a dot; also of lines that are only
/// commented out.
fn keys_of_example() -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in read("cfg.example.yaml").lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (indent, name) = (name.len() - name.trim_start().len(), name.trim_start());
        // Sentences in comments begin after one space; deeper than a section's keys stand names that a user chooses.
        if indent == 1 || indent > 2 || name.contains(' ') {
            continue;
        }
        if indent == 2 {
            keys.insert(format!("{section}.{name}"));
        } else if value.trim().is_empty() {
            name.clone_into(&mut section);
        } else {
            keys.insert(name.to_owned());
        }
    }
    keys
}

#[test]
fn the_page_about_settings_lists_each_flag_and_each_key() {
    let rows = rows("docs/settings.md", "| Flag | cfg.yaml | What it is | Default |");
    let flags: BTreeSet<_> = rows
        .iter()
        .map(|row| code_spans(&row[0]))
        .filter(|names| !names.is_empty())
        .collect();
    assert_eq!(flags, flags_of_help(&["--help"]));
    let keys: BTreeSet<_> = rows.iter().flat_map(|row| code_spans(&row[1])).collect();
    let mut expected = keys_of_example();
    assert!(expected.remove("Version"), "a key of no setting");
    assert_eq!(keys, expected);
}

#[test]
fn the_page_about_xray_dev_lists_each_of_its_flags() {
    let rows = rows("docs/dev.md", "| Flag | What it is | Default |");
    let flags: BTreeSet<_> = rows.iter().map(|row| code_spans(&row[0])).collect();
    assert_eq!(flags, flags_of_help(&["dev", "--help"]));
}

#[test]
fn the_settings_of_the_readme_are_among_them_with_the_same_defaults() {
    let all = rows("docs/settings.md", "| Flag | cfg.yaml | What it is | Default |");
    for row in rows("README.md", "| Setting | What it does | Default |") {
        for flag in code_spans(&row[0]) {
            let full = all.iter().find(|full| code_spans(&full[0]).contains(&flag));
            let default = code_spans(&full.unwrap_or_else(|| panic!("{flag} is no flag"))[3]);
            for value in code_spans(&row[2]) {
                assert!(default.contains(&value), "{flag}: {value}");
            }
        }
    }
}

#[test]
fn the_readme_takes_five_minutes() {
    let text = read("README.md");
    let lines = text.lines().count();
    assert!(lines <= 130, "{lines} lines");
    let longest = text
        .lines()
        .filter(|line| !line.starts_with(['|', '!']))
        .map(|line| line.chars().count())
        .max();
    assert!(longest <= Some(132), "{longest:?} characters in a line");
}

/// What the reasons for it at the beginning count.
#[test]
fn the_numbers_of_the_readme_are_those_of_the_program() {
    let help = clean(&mut Command::new(XRAY)).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, of_official) = help.split_once("Options of the AWS X-Ray daemon:\n").unwrap();
    let flags = of_official
        .lines()
        .take_while(|line| line.starts_with("  -"))
        .count();
    let dev = clean(&mut Command::new(XRAY))
        .args(["dev", "--help"])
        .output()
        .unwrap();
    let dev = String::from_utf8(dev.stdout).unwrap();
    assert!(
        dev.contains("The most traces to keep, oldest out first [default: 10000]"),
        "{dev}"
    );
    let readme = read("README.md");
    for words in [
        format!("All {flags} flags"),
        format!("which of {} reasons", DropReason::UNCONVERTED),
        format!("all {} operations of the X-Ray API", Operation::ALL.len()),
        "shows 10,000 traces".to_owned(),
    ] {
        assert!(readme.contains(&words), "the README does not say {words:?}");
    }
}

/// A line of a log without its time, and with `N` for each number, since those are the machine's.
fn words(line: &str) -> String {
    let line = line.split_once(" [").map_or(line, |(_, rest)| rest);
    let mut words = String::new();
    for char in line.chars() {
        match char {
            '0'..='9' if words.ends_with('N') => {}
            '0'..='9' => words.push('N'),
            _ => words.push(char),
        }
    }
    words
}

#[test]
fn the_page_about_operations_shows_every_line_of_a_start() {
    let page = read("docs/operations.md");
    let (_, sample) = page.split_once("```text\n").expect("a sample");
    let (sample, _) = sample.split_once("\n```").expect("its end");
    // The last one comes with the first segments.
    let (sample, last) = sample.rsplit_once('\n').expect("lines");
    assert!(last.contains("Successfully sent batch of "), "{last}");
    let directory = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(XRAY);
    clean(&mut command)
        .current_dir(&directory)
        .args(["-o", "-b", "127.0.0.1:0", "-t", "127.0.0.1:0"])
        .envs([
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_REGION", "eu-central-1"),
        ]);
    let daemon = Process::start("xray", &mut command);
    let lines = daemon.wait_until("its credentials", |lines| {
        let said = lines.iter().any(|line| line.contains("Using credentials from"));
        said.then(|| lines.to_vec())
    });
    // What this machine grants may be less, and is a warning then; signals that it ignores are said first.
    let is_of_machine =
        |line: &&str| line.contains("UDP receive buffer") || line.contains("Ignored at the start");
    let said: Vec<_> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !is_of_machine(line))
        .map(words)
        .collect();
    let shown: Vec<_> = sample
        .lines()
        .filter(|line| !is_of_machine(line))
        .map(words)
        .collect();
    assert_eq!(said, shown);
    assert_eq!(sample.lines().filter(is_of_machine).count(), 1);
}

/// A command that ends with a code, in a directory of its own.
struct Ending<'a> {
    command: &'a str,
    arguments: &'a [&'a str],
    code: i32,
}

#[test]
fn the_page_about_operations_lists_the_exit_codes_that_there_are() {
    const IN_USE: &str = "127.0.0.1:1:2";
    let dev = Dev::start(XRAY, &[]);
    let page = dev.tcp.to_string();
    let none = ["--from", page.as_str(), "1-581cf771-a006649127e371903a2de979"];
    let nobody = ["--from", "127.0.0.1:1", none[2]];
    let ending = |command, arguments, code| Ending {
        command,
        arguments,
        code,
    };
    let endings = [
        ending("xray", &["--version"][..], 0),
        ending("xray", &["--help"], 0),
        ending("xray", &["--print-config"], 0),
        ending("xray", &["-b", IN_USE, "-n", "eu-west-1"], 1),
        ending("xray", &["-m", "2"], 1),
        ending("xray", &["-q"], 2),
        ending("xray", &["-m", "many"], 2),
        ending("xray dev", &["--help"], 0),
        ending("xray dev", &["-b", IN_USE], 1),
        ending("xray dev", &["-q"], 2),
        ending("xray send", &["--help"], 0),
        ending("xray send", &["no-such-file"], 1),
        ending("xray send", &["-q"], 2),
        ending("xray doctor", &["--help"], 0),
        ending("xray doctor", &["-m", "2"], 1),
        ending("xray doctor", &["-q"], 2),
        ending("xray healthcheck", &["--no-tcp"], 0),
        // Nobody listens there: port 1 is tcpmux.
        ending("xray healthcheck", &["-t", "127.0.0.1:1"], 1),
        ending("xray healthcheck", &["-q"], 1),
        ending("xray healthcheck", &["-m", "2"], 1),
        ending("xray traces", &["--help"], 0),
        ending("xray traces", &none, 1),
        ending("xray traces", &["-q"], 2),
        ending("xray traces", &["--from", "127.0.0.1:1"], 3),
        ending("xray trace", &["--help"], 0),
        ending("xray trace", &none, 1),
        ending("xray trace", &["-q"], 2),
        ending("xray trace", &nobody, 3),
    ];
    let directory = TempDir::new().expect("a temporary directory");
    let mut seen = BTreeSet::new();
    for Ending {
        command,
        arguments,
        code,
    } in endings
    {
        let mut run = Command::new(XRAY);
        let subcommand = command.strip_prefix("xray").expect("our program").trim();
        clean(&mut run)
            .current_dir(&directory)
            .args((!subcommand.is_empty()).then_some(subcommand))
            .args(arguments);
        let (status, lines) = Process::start("xray", &mut run).end();
        assert_eq!(status.code(), Some(code), "{command} {arguments:?}: {lines:#?}");
        seen.insert((command.to_owned(), code.to_string()));
    }
    let listed: BTreeSet<_> = rows("docs/operations.md", "| Command | Code | When |")
        .into_iter()
        .map(|row| (code_spans(&row[0]).concat(), row[1].clone()))
        .collect();
    assert_eq!(listed, seen);
}

/// The text of all sources in `folder` and below it, as it is after strings that go over several lines are put together.
fn sources(folder: &str) -> String {
    let mut text = String::new();
    for path in entries(folder) {
        let name = path.strip_prefix(repository()).expect("below the repository");
        let name = name.to_str().expect("UTF-8");
        if path.is_dir() {
            text += &sources(name);
        } else if name.ends_with(".rs") {
            let whole = read(name);
            let mut pieces = whole.split("\\\n");
            text += pieces.next().expect("a piece");
            for piece in pieces {
                text += piece.trim_start();
            }
        }
    }
    text
}

#[test]
fn the_lines_of_the_log_that_the_pages_explain_are_in_the_program() {
    let source = sources("src");
    for page in ["README.md", "docs/troubleshooting.md"] {
        for row in rows(page, "| The log says | It means | Do this |") {
            for line in code_spans(&row[0]) {
                // What follows the first gap may be the system's words.
                let words = line
                    .split('…')
                    .next()
                    .expect("a piece")
                    .trim_end_matches([' ', ':']);
                assert!(words.len() >= 7 && source.contains(words), "{page}: {line}");
            }
        }
    }
}

#[test]
fn the_page_about_trouble_lists_each_check_of_the_doctor_in_its_order() {
    let rows = rows("docs/troubleshooting.md", "| Check | It looks at |");
    let listed: Vec<_> = rows.iter().flat_map(|row| code_spans(&row[0])).collect();
    assert_eq!(listed, xray::api::doctor::report::CHECKS);
}

/// The names of metrics in `text`, without what a histogram adds to its own.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.split(|char| !is_of_name(char))
        .filter(|word| word.starts_with("xray_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let listed: BTreeSet<_> = rows("docs/metrics.md", "| Metric | Kind | What it is |")
        .into_iter()
        .map(|row| {
            code_spans(&row[0])[0]
                .split('{')
                .next()
                .expect("a name")
                .to_owned()
        })
        .collect();
    let alerts = read("deploy/prometheus/alerts.yaml");
    assert_eq!(alerts.matches("- alert: ").count(), 4);
    let dashboard = read("deploy/grafana/dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    assert!(
        parsed["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() >= 10)
    );
    for text in [alerts, dashboard] {
        let asked = metrics_in(&text);
        assert!(asked.len() >= 7, "{asked:?}");
        let unknown: Vec<_> = asked.difference(&listed).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
