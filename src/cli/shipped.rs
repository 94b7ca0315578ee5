//! The shell completions and the man pages: made from the definition of the flags, which is that of `--help`, kept in
//! `packaging/`, and compared here. The program itself has no part in it, so it is no larger for them.
//!
//! After a change of a flag: `WRITE_SHIPPED=1 cargo test --lib cli::shipped` (`.ci/run shipped`).

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, ValueHint};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::ask::{trace_command, traces_command};
use super::definition::{self, Kind, PROGRAM};
use super::dev::{dev_command, send_command};

/// What the daemon is, which its own help, beginning with the usage, does not say.
const ABOUT: &str = env!("CARGO_PKG_DESCRIPTION");

/// The command line as a shell sees it: the daemon's flags, and the subcommands.
fn whole() -> Command {
    with_hints(definition::command().about(ABOUT)).subcommands(subcommands().map(with_hints))
}

/// All of them.
pub(super) fn subcommands() -> [Command; 6] {
    [
        definition::health_check(),
        definition::doctor(),
        dev_command(),
        send_command(),
        traces_command(),
        trace_command(),
    ]
}

/// Lets a shell offer files where a flag takes one.
fn with_hints(command: Command) -> Command {
    command.mut_args(|arg| match Kind::of(&arg) {
        Kind::Path if arg.get_id() == "spool-dir" => arg.value_hint(ValueHint::DirPath),
        Kind::Path => arg.value_hint(ValueHint::FilePath),
        _ => arg,
    })
}

/// What the completions of `shell` are, without a blank at the end of a line.
fn completions(shell: Shell) -> String {
    let mut out = Vec::new();
    generate(shell, &mut whole(), PROGRAM, &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// The man page of one command.
fn man(command: Command) -> String {
    let typed = definition::typed(&command);
    let is_daemon = typed == PROGRAM;
    let name = typed.replace(' ', "-");
    let page = Man::new(command.display_name(name.clone()).bin_name(typed))
        .title(name)
        .section("1")
        .source(PROGRAM)
        .manual("X-Ray daemon");
    let mut out = Vec::new();
    page.render_title(&mut out).expect("memory");
    page.render_name_section(&mut out).expect("memory");
    page.render_synopsis_section(&mut out).expect("memory");
    page.render_description_section(&mut out).expect("memory");
    page.render_options_section(&mut out).expect("memory");
    if is_daemon {
        page.render_extra_section(&mut out).expect("memory");
        files(&mut out);
        let codes = "0 when told to stop; 1 when it could not start, or was told twice to stop; 2 when the arguments are wrong.";
        section("EXIT STATUS", codes, &mut out);
    }
    let all = [
        "xray",
        "xray-healthcheck",
        "xray-doctor",
        "xray-dev",
        "xray-send",
        "xray-traces",
        "xray-trace",
    ];
    section(
        "SEE ALSO",
        &all.map(|page| format!("{page}(1)")).join(", "),
        &mut out,
    );
    let text = String::from_utf8(out).expect("UTF-8");
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn section(title: &str, text: &str, out: &mut Vec<u8>) {
    let mut roff = Roff::default();
    roff.control("SH", [title]);
    roff.text([roman(text)]);
    roff.to_writer(out).expect("memory");
}

/// Where the daemon and its package have their files.
fn files(out: &mut Vec<u8>) {
    let mut roff = Roff::default();
    roff.control("SH", ["FILES"]);
    for (file, what) in [
        (
            "/etc/amazon/xray/cfg.yaml",
            "Settings, read where -c names no other file.",
        ),
        (
            "/etc/default/xray",
            "Variables and more flags of the systemd service.",
        ),
        (
            "/var/lib/xray/spool",
            "What waits for X-Ray, in the systemd service.",
        ),
    ] {
        roff.control("TP", []);
        roff.text([bold(file)]);
        roff.text([roman(what)]);
    }
    roff.to_writer(out).expect("memory");
}

/// Every file that is made: its path in `packaging/`, and its text.
fn shipped() -> Vec<(&'static str, String)> {
    vec![
        ("completions/xray.bash", completions(Shell::Bash)),
        ("completions/_xray", completions(Shell::Zsh)),
        ("completions/xray.fish", completions(Shell::Fish)),
        ("completions/_xray.ps1", completions(Shell::PowerShell)),
        ("man/xray.1", man(definition::command().about(ABOUT))),
        ("man/xray-healthcheck.1", man(definition::health_check())),
        ("man/xray-doctor.1", man(definition::doctor())),
        ("man/xray-dev.1", man(dev_command())),
        ("man/xray-send.1", man(send_command())),
        ("man/xray-traces.1", man(traces_command())),
        ("man/xray-trace.1", man(trace_command())),
    ]
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

#[test]
fn the_completions_and_man_pages_are_those_of_the_flags_there_are() {
    let is_writing = std::env::var_os("WRITE_SHIPPED").is_some();
    for (file, text) in shipped() {
        let path = packaging().join(file);
        if is_writing {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, text).expect("a file");
            continue;
        }
        // Compared as a whole but not shown: they are long.
        assert!(
            fs::read_to_string(&path).is_ok_and(|there| there == text),
            "packaging/{file} is not what the flags make; write it anew: .ci/run shipped"
        );
    }
}

#[test]
fn each_flag_stands_in_the_man_page_and_in_the_completions_of_its_command() {
    for (command, page) in [
        (definition::command(), "man/xray.1"),
        (definition::health_check(), "man/xray-healthcheck.1"),
        (definition::doctor(), "man/xray-doctor.1"),
        (dev_command(), "man/xray-dev.1"),
        (send_command(), "man/xray-send.1"),
        (traces_command(), "man/xray-traces.1"),
        (trace_command(), "man/xray-trace.1"),
    ] {
        let files = shipped();
        let text = |name: &str| &files.iter().find(|(file, _)| *file == name).expect("a file").1;
        for arg in command.get_arguments() {
            let long = arg.get_long().expect("each flag has a long name");
            // In roff, a dash that is one is escaped.
            assert!(
                text(page).contains(&long.replace('-', "\\-")),
                "{page} has no --{long}"
            );
            for shell in ["completions/xray.bash", "completions/_xray"] {
                assert!(text(shell).contains(&format!("--{long}")), "{shell}: --{long}");
            }
            assert!(
                text("completions/xray.fish").contains(&format!(" -l {long}")),
                "--{long}"
            );
        }
    }
}
