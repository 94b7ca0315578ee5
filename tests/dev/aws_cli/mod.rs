//! The AWS CLI on a machine that has neither a region nor credentials, with the commands that people are shown.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;
use xray_double::harness::install::{python_packages, repository};
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::tap::StreamTap;

use crate::TMP;
use crate::XRAY;

/// The block of docs/dev.md, which tests/docs counts as run here.
const PAGE: &str = "docs/dev.md";
const BEGINS: &str = "aws xray get-trace-summaries";

fn block() -> String {
    let page = std::fs::read_to_string(repository().join(PAGE)).expect(PAGE);
    let (_, block) = page
        .split_once(&format!("```sh\n{BEGINS}"))
        .expect("a block with the AWS CLI");
    let (block, _) = block.split_once("\n```").expect("its end");
    format!("{BEGINS}{block}")
}

/// Runs `text` where `aws` is found and no file or variable tells it anything.
fn run(text: &str, programs: &Path) -> Output {
    let home = TempDir::new().expect("a temporary directory");
    let path = std::env::var("PATH").expect("a search path");
    clean(&mut Command::new("sh"))
        .args(["-c", text])
        .current_dir(&home)
        .env("HOME", home.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("a shell")
}

#[test]
fn the_aws_cli_finds_a_trace_with_the_commands_that_people_are_shown() {
    let Some(python) = python_packages(TMP, "aws-cli", &["tests/dev/aws_cli/requirements.txt"]) else {
        return;
    };
    let programs = python.parent().expect("a folder");
    let dev = Dev::start(XRAY, &[]);
    let banner = dev.process.wait_for("what asks the API", |line| {
        let command = line.split_once("API       ")?.1;
        command.strip_suffix(" …").map(str::to_owned)
    });
    dev.send(
        "{\"trace_id\": \"1-0123abcd-0123456789abcdef01234567\", \"id\": \"0123456789abcdef\", \"name\": \"shop\", \
         \"start_time\": 1, \"end_time\": 2}",
    );
    dev.wait_for_documents(1);
    let tap = StreamTap::start(dev.tcp);
    let of_page = block().replace("127.0.0.1:2000", &tap.address.to_string());
    let of_banner = banner.replace(&dev.tcp.to_string(), &tap.address.to_string());
    assert_ne!(of_banner, banner);
    let of_banner = format!("{of_banner} --start-time 0 --end-time 1000");
    for (command, traces) in [(of_page, 0), (of_banner, 1)] {
        let output = run(&command, programs);
        assert!(output.status.success(), "{command}: {output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = told["TraceSummaries"].as_array().expect("traces");
        assert_eq!(found.len(), traces, "{command}: {told}");
    }
    check("aws-cli", &Message::requests(Way::Api, &tap.said()));
    // Both options are needed.
    let without = run(&of_page_without_options(&dev), programs);
    assert_ne!(without.status.code(), Some(0), "{without:?}");
}

fn of_page_without_options(dev: &Dev) -> String {
    block()
        .replace("127.0.0.1:2000", &dev.tcp.to_string())
        .replace("--region us-east-1 --no-sign-request", "")
}
