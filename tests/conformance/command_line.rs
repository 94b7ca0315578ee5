//! Command lines.

use std::process::Command;

use crate::differences::{
    BAD_ADDRESS, BUFFER_MEMORY, EMPTY_ADDRESS, LEVEL, MESSAGES, PROXY, ROLE, SWALLOWED, UNREAD, VARIABLES,
};
use crate::support::{Row, check_all, fails, misused, prints, runs};

/// Cases as the official daemon was run with them, under the names of that record.
static OBSERVED: &[Row] = &[
    prints("version_long", &["--version"], version),
    prints("version_long1", &["-version"], version),
    prints("version_short", &["-v"], version),
    prints("version_short2", &["--v"], version),
    runs("version_false", &["-v=false"], &[]),
    misused(
        "version_with_bad_m",
        &["-v", "-m", "abc"],
        r#"invalid value "abc" for flag -m: parse error"#,
        MEGABYTES,
    )
    .differs(&MESSAGES),
    prints("help_long", &["--help"], help),
    prints("help_long1", &["-help"], help),
    prints("help_short", &["-h"], help),
    prints("help_short2", &["--h"], help),
    prints("help_eq", &["-h=1"], help),
    misused("unknown_short", &["-z"], "flag provided but not defined: -z", SEE_HELP).differs(&MESSAGES),
    misused(
        "unknown_long",
        &["--unknown"],
        "flag provided but not defined: -unknown",
        SEE_HELP,
    )
    .differs(&MESSAGES),
    misused(
        "unknown_long_val",
        &["--unknown=1"],
        "flag provided but not defined: -unknown",
        SEE_HELP,
    )
    .differs(&MESSAGES),
    misused(
        "unknown_attached",
        &["-b127.0.0.1:2000"],
        "flag provided but not defined: -b127.0.0.1:2000",
        "A value stands apart from its flag: -b 127.0.0.1:2000, or -b=127.0.0.1:2000.",
    )
    .differs(&MESSAGES),
    misused(
        "unknown_grouped",
        &["-ov"],
        "flag provided but not defined: -ov",
        "Each flag stands by itself: -o -v.",
    )
    .differs(&MESSAGES),
    misused("m_abc", &["-m", "abc"], r#"invalid value "abc" for flag -m: parse error"#, MEGABYTES)
        .differs(&MESSAGES),
    misused(
        "m_abc_eq",
        &["--buffer-memory=abc"],
        r#"invalid value "abc" for flag -buffer-memory: parse error"#,
        "-buffer-memory takes a whole number of MB, for example -buffer-memory 100.",
    )
    .differs(&MESSAGES),
    misused("m_float", &["-m", "3.5"], r#"invalid value "3.5" for flag -m: parse error"#, MEGABYTES)
        .differs(&MESSAGES),
    misused("m_missing", &["-m"], "flag needs an argument: -m", MEGABYTES).differs(&MESSAGES),
    misused(
        "b_missing",
        &["-b"],
        "flag needs an argument: -b",
        "-b takes a value, for example -b 0.0.0.0:2000.",
    )
    .differs(&MESSAGES),
    misused(
        "bool_bad",
        &["-o=maybe"],
        r#"invalid boolean value "maybe" for -o: parse error"#,
        SWITCH,
    )
    .differs(&MESSAGES),
    misused(
        "m_overflow",
        &["-m", "99999999999999999999"],
        r#"invalid value "99999999999999999999" for flag -m: value out of range"#,
        MEGABYTES,
    )
    .differs(&MESSAGES),
    runs("m_hex", &["-o", "-m", "0x10"], &["mb=16", "local=true"]),
    runs("m_underscore", &["-o", "-m", "1_0"], &["mb=10", "local=true"]),
    runs("m_octal", &["-o", "-m", "010"], &["mb=8", "local=true"]),
    runs("m_plus", &["-o", "-m", "+5"], &["mb=5", "local=true"]),
    misused(
        "m_space",
        &["-o", "-m", " 5"],
        r#"invalid value " 5" for flag -m: parse error"#,
        MEGABYTES,
    )
    .differs(&MESSAGES),
    misused("m_empty", &["-o", "-m", ""], r#"invalid value "" for flag -m: parse error"#, MEGABYTES)
        .differs(&MESSAGES),
    runs("l_single_dash", &["-o", "-log-level", "debug"], &["local=true", "level=Debug"]),
    runs("l_single_dash_eq", &["-o", "-log-level=debug"], &["local=true", "level=Debug"]),
    runs("l_double_dash", &["-o", "--log-level", "debug"], &["local=true", "level=Debug"]),
    runs("l_short_double_dash", &["-o", "--l", "debug"], &["local=true", "level=Debug"]),
    runs(
        "b_eq",
        &["-o", "--bind=127.0.0.1:2100", "--bind-tcp=127.0.0.1:2100"],
        &["udp=127.0.0.1:2100", "tcp=127.0.0.1:2100", "local=true"],
    ),
    runs(
        "b_short_eq",
        &["-o", "-b=127.0.0.1:2100", "-t=127.0.0.1:2100"],
        &["udp=127.0.0.1:2100", "tcp=127.0.0.1:2100", "local=true"],
    ),
    runs("l_bogus", &["-o", "-l", "bogus"], &["local=true"])
        .warns(&[
            r#"flag -l: "bogus" is no log level; using prod. The levels are dev, debug, info, warn, error, prod."#,
        ])
        .differs(&LEVEL),
    runs("l_upper", &["-o", "-l", "DEBUG"], &["local=true", "level=Debug"]).differs(&LEVEL),
    runs("l_empty", &["-o", "-l", ""], &["local=true"]),
    runs("l_eq_empty", &["-o", "-l="], &["local=true"]),
    runs(
        "tutorial_compose",
        &["-t", "127.0.0.1:2000", "-b", "127.0.0.1:2000", "xray -o -b xray-daemon:2000"],
        &[],
    )
    .warns(&[r#"Ignored the argument "xray -o -b xray-daemon:2000": it came as one string, so the flags in it were not seen. Give each flag as an argument of its own, without the program's name: command: ["-o"] (set before: -b)."#])
    .differs(&UNREAD),
    runs(
        "tutorial_compose_0",
        &["-t", "0.0.0.0:2000", "-b", "0.0.0.0:2000"],
        &["udp=0.0.0.0:2000", "tcp=0.0.0.0:2000"],
    ),
    runs("tutorial_o_at_end", &["-b", "127.0.0.1:2000", "xray", "-o"], &[])
        .warns(&[r#"Ignored the arguments "xray", "-o": flags end at the first argument that is not one, here "xray". Give each flag as an argument of its own, without the program's name: command: ["-o"]."#])
        .differs(&UNREAD),
    runs("positional_only", &["xray"], &[])
        .warns(&[r#"Ignored the argument "xray": flags end at the first argument that is not one, here "xray". Leave it out: the program's name (xray) is not an argument."#])
        .differs(&UNREAD),
    runs("positional_then_bad", &["xray", "--unknown"], &[])
        .warns(&[r#"Ignored the arguments "xray", "--unknown": flags end at the first argument that is not one, here "xray". Give each flag as an argument of its own, without the program's name."#])
        .differs(&UNREAD),
    runs("o_false", &["-o=false"], &[]),
    runs("o_false_sep", &["-o", "false", "-l", "debug"], &["local=true"])
        .warns(&[r#"Ignored the arguments "false", "-l", "debug": a switch takes a value only after "=", so -o counts as true and nothing after it was read. Write -o=false."#])
        .differs(&UNREAD),
    runs("o_true", &["-o=true"], &["local=true"]),
    runs("o_1", &["-o=1"], &["local=true"]),
    runs("o_T", &["-o=T"], &["local=true"]),
    runs("o_TRUE", &["-o=TRUE"], &["local=true"]),
    misused("o_yes", &["-o=yes"], r#"invalid boolean value "yes" for -o: parse error"#, SWITCH).differs(&MESSAGES),
    misused("o_empty", &["-o="], r#"invalid boolean value "" for -o: parse error"#, SWITCH).differs(&MESSAGES),
    runs("local_mode", &["--local-mode"], &["local=true"]),
    runs("dashdash", &["-o", "--", "-l", "debug"], &["local=true"])
        .warns(&[r#"Ignored the arguments "-l", "debug": flags end at "--". If these are meant, leave the "--" out."#])
        .differs(&UNREAD),
    runs("dash", &["-o", "-", "-l", "debug"], &["local=true"])
        .warns(&[r#"Ignored the arguments "-", "-l", "debug": flags end at the first argument that is not one, here "-". Give each flag as an argument of its own, with nothing before it: command: ["-l", "debug"]."#])
        .differs(&UNREAD),
    misused("eq_only", &["-=x"], "bad flag syntax: -=x", SYNTAX).differs(&MESSAGES),
    misused("triple", &["---x"], "bad flag syntax: ---x", SYNTAX).differs(&MESSAGES),
    misused("triple_o", &["---o"], "bad flag syntax: ---o", SYNTAX).differs(&MESSAGES),
    misused("two_eq", &["--=x"], "bad flag syntax: --=x", SYNTAX).differs(&MESSAGES),
    runs("repeat_last_wins", &["-o", "-l", "debug", "-l", "error"], &["local=true", "level=Error"]),
    runs("m_0", &["-o", "-m", "0"], &["local=true"]),
    runs("m_neg", &["-o", "-m", "-5"], &["local=true"]),
    fails(
        "m_1",
        &["-o", "-m", "1"],
        &["Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. flag -m is 1: write 3 or more, or leave it out for the default."],
    )
    .differs(&BUFFER_MEMORY),
    fails(
        "m_2",
        &["-o", "-m", "2"],
        &["Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. flag -m is 2: write 3 or more, or leave it out for the default."],
    )
    .differs(&BUFFER_MEMORY),
    runs("m_3", &["-o", "-m", "3"], &["mb=3", "local=true"]),
    runs("m_100", &["-o", "-m", "100"], &["mb=100", "local=true"]),
    runs("m_1000", &["-o", "-m", "1000"], &["mb=1000", "local=true"]),
    runs("empty_arg", &["-o", "", "-l", "debug"], &["local=true"])
        .warns(&[r#"Ignored the arguments "", "-l", "debug": flags end at the first argument that is not one, here "". Give each flag as an argument of its own, with nothing before it: command: ["-l", "debug"]."#])
        .differs(&UNREAD),
    runs("no_args", &[], &[]),
    misused(
        "unknown_after_valid",
        &["-o", "-l", "debug", "--nope", "x"],
        "flag provided but not defined: -nope",
        SEE_HELP,
    )
    .differs(&MESSAGES),
    runs("value_looks_like_flag", &["-o", "-l", "-m", "5"], &["local=true"])
        .warns(&[
            r#"The value of -l is "-m", which looks like the next flag: is the value missing? If it is meant, write -l=-m."#,
            r#"Ignored the argument "5": flags end at the first argument that is not one, here "5". Leave it out: the daemon takes flags only."#,
            r#"flag -l: "-m" is no log level; using prod. The levels are dev, debug, info, warn, error, prod."#,
        ])
        .differs(&SWALLOWED),
    // Addresses, from the record of the start.
    runs("b_empty", &["-b", ""], &[])
        .warns(&[r#"flag -b is empty and counts as not given: using "127.0.0.1:2000"."#])
        .differs(&EMPTY_ADDRESS),
    runs("t_empty", &["-t="], &[])
        .warns(&[r#"flag -t is empty and counts as not given: using "127.0.0.1:2000"."#])
        .differs(&EMPTY_ADDRESS),
    runs("b_no_port", &["-b", "127.0.0.1:"], &["udp=127.0.0.1:"]),
    runs("b_port_0", &["-b", ":0"], &["udp=:0"]),
    runs("b_v6", &["-b", "[::1]:2000", "-t", "[::1]:2000"], &["udp=[::1]:2000", "tcp=[::1]:2000"]),
    runs("b_name", &["-b", "localhost:2000"], &["udp=localhost:2000"]),
    runs("t_port_name", &["-t", "127.0.0.1:http"], &["tcp=127.0.0.1:80"]),
    runs("t_port_name_of_the_system", &["-t", "127.0.0.1:xray-lab"], &["tcp=127.0.0.1:4567"])
        .files(&[("/etc/services", "http 80/tcp\nXRay-Lab 4567/tcp lab # of the lab\n")]),
    fails(
        "t_port_name_unknown",
        &["-t", "127.0.0.1:xray-lab"],
        &[r#"flag -t: "127.0.0.1:xray-lab": "xray-lab" is not a port: 0 to 65535, or a name that /etc/services has."#],
    ),
    // What Go's flag package documents beyond the record.
    prints("help_before_an_error", &["-h", "-z"], help),
    prints("help_with_any_value", &["--help=maybe"], help),
    prints("version_with_anything_that_runs", &["-m", "1", "-v", "x"], version),
    runs("o_last_wins", &["-o", "-o=false"], &[]),
    runs("version_last_wins", &["-v", "-v=0"], &[]),
];

/// Our own flags, and what the official daemon does not look at.
static OWN: &[Row] = &[
    runs("json", &["--log-format", "json"], &["format=Json"]),
    runs("text", &["-log-format=text"], &[]),
    misused(
        "xml",
        &["--log-format", "xml"],
        r#"invalid value "xml" for flag -log-format: parse error"#,
        "-log-format takes text or json.",
    ),
    runs("no_tcp", &["--no-tcp", "-no-telemetry"], &["no_tcp=true", "no_telemetry=true"]),
    runs("allow_host", &["--allow-host", "A.example", "-allow-host=.b.example"], &["allow_host=a.example .b.example"]),
    runs("allow_host_empty", &["--allow-host", "", "--proxy-allow="], &[]),
    fails(
        "proxy_allow_pattern",
        &["--proxy-allow", "/v1/*"],
        &["flag --proxy-allow: \"/v1/*\" is not a path of the X-Ray API: write one, without a pattern, like /TraceSummaries."],
    ),
    misused(
        "proxy_allow_missing",
        &["--proxy-allow"],
        "flag needs an argument: -proxy-allow",
        "-proxy-allow takes a value, for example -proxy-allow /TraceSummaries.",
    ),
    runs("timeout_seconds", &["--shutdown-timeout", "5"], &["shutdown=5s"]),
    runs("timeout_ms", &["-shutdown-timeout=500ms"], &["shutdown=500ms"]),
    runs("timeout_minutes", &["--shutdown-timeout=1m"], &["shutdown=60s"]),
    runs(
        "variables",
        &["-l", "warn"],
        &[
            "udp=:1",
            "mb=5",
            "region=eu-west-3",
            "connect=1.5s",
            "spool=/var/spool/xray 64",
            "no_tcp=true",
            "allow_host=a.example .b.example",
            "level=Warn",
            "format=Json",
        ],
    )
    .variables(&[
        "XRAY_BIND=:1",
        "XRAY_BUFFER_MEMORY=5",
        "XRAY_REGION=eu-west-3",
        "XRAY_CONNECT_TIMEOUT=1s500ms",
        "XRAY_SPOOL_DIR=/var/spool/xray",
        "XRAY_SPOOL_SIZE=64",
        "XRAY_NO_TCP=true",
        "XRAY_ALLOW_HOST=a.example,.b.example",
        "XRAY_LOG_LEVEL=debug",
        "XRAY_LOG_FORMAT=json",
    ])
    .differs(&VARIABLES),
    runs("variable_unknown", &[], &[])
        .variables(&["XRAY_LOG_LEVLE=debug", "XRAY_PORT_2000_UDP_ADDR=10.0.0.1"])
        .warns(&["XRAY_LOG_LEVLE is no setting of this daemon. Did you mean XRAY_LOG_LEVEL?"])
        .differs(&VARIABLES),
    fails(
        "variables_wrong",
        &[],
        &[
            "XRAY_LOG_FORMAT: invalid value \"xml\": parse error. It is what --log-format takes: -log-format takes text or json.",
            "XRAY_NO_TCP: invalid value \"yes\": parse error. Write true or false.",
        ],
    )
    .variables(&["XRAY_LOG_FORMAT=xml", "XRAY_NO_TCP=yes"])
    .differs(&VARIABLES),
    fails("variable_wrong_address", &[], &["XRAY_BIND_TCP: \"127.0.0.1\" has no port: write it after a colon, such as 127.0.0.1:2000."])
        .variables(&["XRAY_BIND_TCP=127.0.0.1"]),
    runs("timeout_minutes_and_seconds", &["--shutdown-timeout=1m30s"], &["shutdown=90s"]),
    runs("timeout_seconds_and_ms", &["--connect-timeout=1s500ms"], &["connect=1.5s"]),
    runs("timeout_none", &["--shutdown-timeout=0"], &["shutdown=0ns"]),
    runs("connect_timeout", &["--connect-timeout", "500ms"], &["connect=500ms"]),
    runs("call_timeout", &["-call-timeout=1m"], &["call=60s"]),
    fails(
        "call_timeout_none",
        &["--call-timeout", "0"],
        &["flag --call-timeout: a time-out is longer than nothing and one hour at most. Leave it out for 15 s."],
    ),
    runs("spool", &["--spool-dir", "/var/spool/xray"], &["spool=/var/spool/xray 1024"]),
    runs("spool_size", &["--spool-dir=a/b", "--spool-size", "0x10"], &["spool=a/b 16"]),
    runs("spool_none", &["--spool-dir", ""], &[]),
    runs("spool_size_alone", &["--spool-size", "64"], &[])
        .warns(&["flag --spool-size has no effect without a spool: set --spool-dir, or Path in the section Spool."]),
    fails(
        "spool_small",
        &["--spool-dir", "x", "--spool-size", "15"],
        &["flag --spool-size is 15: a spool has 16 MB or more. Leave it out for 1024 MB."],
    ),
    fails(
        "spool_in_bytes",
        &["--spool-dir", "x", "--spool-size", "1073741824"],
        &["flag --spool-size: 1073741824 MB is more than 1048576 MB (1 TiB). The value is in MB, not in bytes."],
    ),
    misused(
        "spool_size_no_number",
        &["--spool-size", "1GB"],
        r#"invalid value "1GB" for flag -spool-size: parse error"#,
        "-spool-size takes a whole number of MB, for example -spool-size 100.",
    ),
    misused(
        "timeout_bad",
        &["--shutdown-timeout=soon"],
        r#"invalid value "soon" for flag -shutdown-timeout: parse error"#,
        DURATION,
    ),
    misused(
        "timeout_long",
        &["--shutdown-timeout=2h"],
        r#"invalid value "2h" for flag -shutdown-timeout: parse error"#,
        DURATION,
    ),
    misused(
        "timeout_too_long",
        &["--shutdown-timeout=61m"],
        r#"invalid value "61m" for flag -shutdown-timeout: value out of range"#,
        DURATION,
    ),
    misused(
        "typing_error",
        &["--log-levle", "debug"],
        "flag provided but not defined: -log-levle",
        "Did you mean --log-level? Run xray --help for the flags there are.",
    ),
    misused(
        "underscore",
        &["--role_arn", "x"],
        "flag provided but not defined: -role_arn",
        "Did you mean --role-arn? Run xray --help for the flags there are.",
    ),
    misused(
        "capital",
        &["-B", ":2000"],
        "flag provided but not defined: -B",
        "Did you mean -b? Run xray --help for the flags there are.",
    ),
    misused(
        "attached_password",
        &["-phttp://user:secret@proxy:3128"],
        "flag provided but not defined: -phttp://***@proxy:3128",
        "A value stands apart from its flag: -p http://***@proxy:3128, or -p=http://***@proxy:3128.",
    ),
    misused(
        "control_characters",
        &["--\u{1b}[31m\n"],
        r"flag provided but not defined: -\x1b[31m\n",
        SEE_HELP,
    ),
    runs(
        "unread_password",
        &["start", "-p", "http://user:secret@proxy:3128"],
        &[],
    )
    .warns(&[r#"Ignored the arguments "start", "-p", "http://***@proxy:3128": flags end at the first argument that is not one, here "start". Give each flag as an argument of its own, with nothing before it: command: ["-p", "http://***@proxy:3128"]."#]),
    runs("quoted_with_nothing_new", &["-o", "-n", "eu-west-1", "xray -o -n us-east-1"], &["region=eu-west-1", "local=true"])
        .warns(&[r#"Ignored the argument "xray -o -n us-east-1": it came as one string, so the flags in it were not seen. Leave it out: the flags before it set -o, -n already."#]),
    runs("quoted_path", &["/usr/bin/xray --local-mode -n eu-west-1"], &[])
        .warns(&[r#"Ignored the argument "/usr/bin/xray --local-mode -n eu-west-1": it came as one string, so the flags in it were not seen. Give each flag as an argument of its own, without the program's name: command: ["--local-mode", "-n", "eu-west-1"]."#]),
    runs("quoted_flags", &["-t", "0.0.0.0:2000", "-b", "0.0.0.0:2000", " -o"], &["udp=0.0.0.0:2000", "tcp=0.0.0.0:2000"])
        .warns(&[r#"Ignored the argument " -o": it came as one string, so the flags in it were not seen. Give each flag as an argument of its own: command: ["-o"]."#]),
    runs("many_unread", &["a", "b", "c", "d", "e", "f", "g", "h"], &[])
        .warns(&[r#"Ignored the arguments "a", "b", "c", "d", "e", "f" and 2 more: flags end at the first argument that is not one, here "a". Leave it out: the daemon takes flags only."#]),
    runs("terminator_alone", &["-o", "--"], &["local=true"]),
    runs("level_typing_error", &["-l", "debgu"], &[]).warns(&[
        r#"flag -l: "debgu" is no log level; using prod. The levels are dev, debug, info, warn, error, prod. Did you mean debug?"#,
    ]),
    fails(
        "bytes_for_mb",
        &["-m", "268435456"],
        &["flag -m: 268435456 MB is more than 1048576 MB (1 TiB). The value is in MB, not in bytes."],
    )
    .differs(&BUFFER_MEMORY),
    fails(
        "tcp_without_port",
        &["-t", "2000"],
        &[r#"flag -t: "2000" has no host: write 127.0.0.1:2000, or :2000 for every address of this machine."#],
    )
    .differs(&BAD_ADDRESS),
    fails(
        "sdk_form_of_an_address",
        &["-b", "udp:127.0.0.1:2000"],
        &[r#"flag -b: "udp:127.0.0.1:2000" has a prefix that only the SDKs read: write "127.0.0.1:2000"."#],
    ),
    fails(
        "two_bad_flags_are_both_named",
        &["-b", "::1", "-t", "x:99999"],
        &[
            r#"flag -b: "::1" has no port: write [::1]:2000."#,
            r#"flag -t: "x:99999": "99999" is not a port: 0 to 65535."#,
        ],
    ),
    runs("proxy", &["-p", "http://user:secret@proxy:3128/"], &["proxy=http://user:secret@proxy:3128"]),
    runs("proxy_without_scheme", &["-p", "proxy:3128"], &["proxy=http://proxy:3128"]).differs(&PROXY),
    fails(
        "proxy_of_another_kind",
        &["-p", "ftp://user:secret@proxy:1080"],
        &[
            r#"flag -p: "ftp://***@proxy:1080" is not a kind of proxy that works: write http://host:port, https://host:port or socks5h://host:port."#,
        ],
    )
    .differs(&PROXY),
    runs("role", &["-r", "arn:aws:iam::123456789012:role/x"], &["role=arn:aws:iam::123456789012:role/x"]),
    runs("role_of_no_role", &["-r", "xray"], &["role=xray"])
        .warns(&[r#"flag -r: "xray" does not look like the ARN of a role (arn:aws:iam::123456789012:role/name)."#])
        .differs(&ROLE),
    runs(
        "every_text",
        &["-a", "arn:x", "-n", "local_1", "-f", "dir/x.log"],
        &["region=local_1", "resource=arn:x", "log=dir/x.log"],
    ),
];

const SEE_HELP: &str = "Run xray --help for the flags there are.";
const SYNTAX: &str = "A flag is one dash or two, then its name: -o, --local-mode, -n=eu-west-1.";
const MEGABYTES: &str = "-m takes a whole number of MB, for example -m 100.";
const SWITCH: &str = "-o is a switch: write -o, -o=true or -o=false.";
const DURATION: &str = "-shutdown-timeout takes a whole number with a unit, at most one hour: 500ms, 8s, 1m30s; without a unit it is seconds.";

fn version() -> String {
    format!("AWS X-Ray daemon version: {}\n", env!("CARGO_PKG_VERSION"))
}

fn help() -> String {
    xray::cli::help()
}

/// Every case.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    OBSERVED.iter().chain(OWN)
}

#[test]
fn command_lines_do_what_the_table_says() {
    check_all(rows());
}

#[test]
fn the_help_names_every_flag_in_both_forms() {
    let help = help();
    for flags in [
        "-a, --resource-arn",
        "-o, --local-mode",
        "-m, --buffer-memory",
        "-n, --region",
        "-b, --bind",
        "-t, --bind-tcp",
        "-r, --role-arn",
        "-c, --config",
        "-f, --log-file",
        "-l, --log-level",
        "-p, --proxy-address",
        "-v, --version",
        "-h, --help",
        "    --log-format",
        "    --spool-dir",
        "    --spool-size",
        "    --connect-timeout",
        "    --call-timeout",
        "    --shutdown-timeout",
        "    --no-tcp",
        "    --proxy-allow",
        "    --allow-host",
        "    --no-telemetry",
        "    --otlp-listen",
        "    --otlp-allow-origin",
        "    --otlp-endpoint",
        "    --segments-to",
        "    --spans-to",
        "    --print-config",
    ] {
        assert_eq!(help.matches(flags).count(), 1, "{flags}");
    }
    assert!(help.starts_with("Usage: xray [options]\n") && help.ends_with(".\n"));
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
}

#[test]
fn a_reader_that_went_away_does_not_make_it_panic() {
    for (args, code) in [(&["--help"][..], 0), (&["-z"], 2), (&["-m", "1"], 1)] {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let status = Command::new(env!("CARGO_BIN_EXE_xray"))
            .args(args)
            .stdout(closed())
            .stderr(closed())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
