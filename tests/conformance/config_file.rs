//! Configuration files.

use std::fs;
use std::process::Command;

use xray::cli::{Invocation, parse};
use xray::config::{Config, ConfigError, Environment, load};

use crate::differences::{
    BUFFER_MEMORY, CONCURRENCY, EMPTY_SECTION, ENDPOINT, LEVEL, MESSAGES, NAMED_FILE_ONLY, NO_EFFECT,
    NO_VERIFY, NO_VERSION, OVERRIDDEN, PRINT_FIRST, PROFILES, PROXY, UNCLEAR_LINE, UNKNOWN_IN_DEFAULT,
    VARIABLES,
};
use crate::support::{Bytes, DIRECTORY, FORBIDDEN, Row, check_all, fails, prints, runs};

const C: &[&str] = &["-c", "lab.yaml"];
const ETC: &str = "/etc/amazon/xray/cfg.yaml";
const NO_SUCH_FILE: &str = "Error occur when using config flag: open nowhere/cfg.yaml: no such file or directory. Check the path after -c.";
const BROKEN: &str = "Version: 2\nRegion: [\n";

/// The example file of the official daemon with every key set to something else than its default.
const FULL: &str = "\
# every key
TotalBufferSizeMB: 24
Concurrency: 4
Region: \"us-west-2\"
Endpoint: \"http://127.0.0.1:18080/\"
Socket:
  UDPAddress: \"127.0.0.1:3000\"
  TCPAddress: \"127.0.0.1:3001\"
Logging:
  LogRotation: false
  LogLevel: \"debug\"
  LogPath: \"log/xray.log\"
LocalMode: true
ResourceARN: \"arn:aws:ec2:us-west-2:1:instance/i-0\"
RoleARN: \"arn:aws:iam::123456789012:role/xray\"
NoVerifySSL: true
ProxyAddress: \"http://proxy:3128\"
Version: 2
";

/// Cases as the official daemon was run with them, under the names of that record.
static OBSERVED: &[Row] = &[
    runs("cfg_v1", C, &["file=lab.yaml", "region=eu-west-1"]).files(&[("lab.yaml", "Version: 1\nRegion: eu-west-1\n")]),
    runs("cfg_v2", C, &["file=lab.yaml", "region=eu-west-1"]).files(&[("lab.yaml", "Version: 2\nRegion: eu-west-1\n")]),
    fails(
        "cfg_v3",
        C,
        &["Config Version Setting is not correct: lab.yaml line 1 (Version) is 3. Write \"Version: 2\"; 1 and 2 are known."],
    )
    .files(&[("lab.yaml", "Version: 3\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_v0",
        C,
        &["Config Version Setting is not correct: lab.yaml line 2 (Version) is 0. Write \"Version: 2\"; 1 and 2 are known."],
    )
    .files(&[("lab.yaml", "Region: eu-west-1\nVersion: 0\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_v_string",
        C,
        &["Error occur when using config flag: lab.yaml line 1: Version must be a whole number, not the text \"2\": write it without quotes."],
    )
    .files(&[("lab.yaml", "Version: '2'\n")])
    .differs(&MESSAGES),
    runs("cfg_v_float", C, &["file=lab.yaml"]).files(&[("lab.yaml", "Version: 2.0\n")]),
    runs("cfg_noversion", C, &["file=lab.yaml", "region=eu-west-1"])
        .files(&[("lab.yaml", "Region: eu-west-1\n")])
        .warns(&[NO_VERSION_WARNING])
        .differs(&NO_VERSION),
    runs("cfg_empty", C, &["file=lab.yaml"])
        .files(&[("lab.yaml", "")])
        .warns(&[NO_VERSION_WARNING])
        .differs(&NO_VERSION),
    runs("cfg_only_comment", C, &["file=lab.yaml"])
        .files(&[("lab.yaml", "# nothing\n")])
        .warns(&[NO_VERSION_WARNING])
        .differs(&NO_VERSION),
    fails(
        "cfg_bad_yaml",
        C,
        &["Error occur when using config flag: lab.yaml line 2: while parsing a flow mapping, did not find expected ',' or '}'; a line is written \"Name: value\", and indented with spaces inside a section."],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket: {UDPAddress: x ]\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_tab",
        C,
        &["Error occur when using config flag: lab.yaml line 3: tabs disallowed within this context (block indentation); indent with spaces, not with tabs."],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket:\n\tUDPAddress: \"127.0.0.1:2000\"\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_unclosed",
        C,
        &["Error occur when using config flag: lab.yaml line 2: while scanning a quoted scalar, found unexpected end of stream; a line is written \"Name: value\", and indented with spaces inside a section."],
    )
    .files(&[("lab.yaml", "Version: 2\nRegion: \"eu-west-1\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_unknown_top",
        C,
        &["Foo flag is invalid: lab.yaml line 2. Remove it; the names are TotalBufferSizeMB, Concurrency, Region, Endpoint, Socket.UDPAddress, Socket.TCPAddress, Logging.LogRotation, Logging.LogLevel, Logging.LogPath, LocalMode, ResourceARN, RoleARN, NoVerifySSL, ProxyAddress, Spool.Path, Spool.SizeMB, ConnectTimeoutSeconds, CallTimeoutSeconds, Version, NoTCP, NoTelemetry, ProxyAllow, AllowHost, OTLP.Listen, OTLP.AllowOrigin, OTLP.Endpoint, OTLP.Headers, OTLP.Compression, OTLP.ServiceName, OTLP.SegmentsTo, OTLP.SpansTo, OTLP.XRay."],
    )
    .files(&[("lab.yaml", "Version: 2\nFoo: 1\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_unknown_nested",
        C,
        &["Socket.Foo flag is invalid: lab.yaml line 3. Remove it; the names in the section Socket are UDPAddress, TCPAddress."],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket:\n  Foo: 1\n")])
    .differs(&MESSAGES),
    fails("cfg_key_case", C, &["region flag is invalid: lab.yaml line 2. Did you mean \"Region\"?"])
        .files(&[("lab.yaml", "Version: 2\nregion: eu-west-1\n")])
        .differs(&MESSAGES),
    fails(
        "cfg_not_supported",
        C,
        &["Socket.BufferSizeKB flag is not supported any more: lab.yaml line 3. Remove it: datagrams of every size are received whole."],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket:\n  BufferSizeKB: 128\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_profile",
        C,
        &["Profile.CPU flag is not supported any more: lab.yaml line 3. Remove it: there is no profile to switch on."],
    )
    .files(&[("lab.yaml", "Version: 2\nProfile:\n  CPU: cpu.prof\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_migrate",
        C,
        &["MemoryLimit flag is not supported: lab.yaml line 2. Write it as TotalBufferSizeMB."],
    )
    .files(&[("lab.yaml", "Version: 2\nMemoryLimit: 16\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_migrate2",
        C,
        &["Processor.Region flag is not supported: lab.yaml line 3. Write it as Region, in no section."],
    )
    .files(&[("lab.yaml", "Version: 2\nProcessor:\n  Region: eu-west-1\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_logrotation_top",
        C,
        &["LogRotation flag is not supported: lab.yaml line 2. Write it as LogRotation in the section Logging."],
    )
    .files(&[("lab.yaml", "Version: 2\nLogRotation: true\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_proxyserver",
        C,
        &["ProxyServer.IdleConnTimeout flag is invalid: lab.yaml line 3. Remove it: it never had an effect."],
    )
    .files(&[("lab.yaml", "Version: 2\nProxyServer:\n  IdleConnTimeout: 30\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_proxyserver_lc",
        C,
        &["ProxyServer.idleconntimeout flag is invalid: lab.yaml line 3. Remove it: it never had an effect."],
    )
    .files(&[("lab.yaml", "Version: 2\nProxyServer:\n  idleconntimeout: 30\n")])
    .differs(&MESSAGES),
    runs("cfg_proxyserver_lc2", C, &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nproxyserver:\n  idleconntimeout: 30\n")])
        .warns(&["lab.yaml line 3: proxyserver.idleconntimeout has no effect and can be removed."])
        .differs(&NO_EFFECT),
    fails(
        "cfg_bad_type_int",
        C,
        &["Error occur when using config flag: lab.yaml line 2: TotalBufferSizeMB must be a whole number, not \"abc\"."],
    )
    .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: abc\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_bad_type_bool",
        C,
        &["Error occur when using config flag: lab.yaml line 2: LocalMode must be true or false, not \"maybe\"."],
    )
    .files(&[("lab.yaml", "Version: 2\nLocalMode: maybe\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_bool_string",
        C,
        &["Error occur when using config flag: lab.yaml line 2: LocalMode must be true or false, not the text \"true\": write it without quotes."],
    )
    .files(&[("lab.yaml", "Version: 2\nLocalMode: 'true'\n")])
    .differs(&MESSAGES),
    runs("cfg_bool_yes", C, &["file=lab.yaml", "local=true"]).files(&[("lab.yaml", "Version: 2\nLocalMode: yes\n")]),
    runs("cfg_bool_on", C, &["file=lab.yaml", "rotation=false"])
        .files(&[("lab.yaml", "Version: 2\nLocalMode: off\nLogging:\n  LogRotation: Off\n")]),
    fails(
        "cfg_list_root",
        C,
        &["Error occur when using config flag: lab.yaml line 1: the file must be lines of \"Name: value\"."],
    )
    .files(&[("lab.yaml", "- a\n- b\n")])
    .differs(&MESSAGES),
    fails(
        "cfg_scalar_root",
        C,
        &["Error occur when using config flag: lab.yaml line 1: the file must be lines of \"Name: value\"."],
    )
    .files(&[("lab.yaml", "hello\n")])
    .differs(&MESSAGES),
    runs("cfg_dup_key", C, &["file=lab.yaml", "mb=20"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 10\nTotalBufferSizeMB: 20\n")])
        .warns(&["lab.yaml line 3: TotalBufferSizeMB is set again, over line 2."])
        .differs(&UNCLEAR_LINE),
    runs("cfg_dup_key2", C, &["file=lab.yaml", "region=us-west-2"])
        .files(&[("lab.yaml", "Version: 2\nRegion: eu-west-1\nRegion: us-west-2\n")])
        .warns(&["lab.yaml line 3: Region is set again, over line 2."])
        .differs(&UNCLEAR_LINE),
    runs("cfg_bom", C, &["file=lab.yaml", "mb=10"]).files(&[("lab.yaml", "\u{feff}Version: 2\nTotalBufferSizeMB: 10\n")]),
    runs("cfg_multidoc", C, &["file=lab.yaml", "mb=10"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 10\n---\nTotalBufferSizeMB: [\n")])
        .warns(&["lab.yaml line 3: a second document begins here, which is not read."])
        .differs(&UNCLEAR_LINE),
    runs("cfg_docstart", C, &["file=lab.yaml", "mb=10"])
        .files(&[("lab.yaml", "%YAML 1.1\n---\nVersion: 2\nTotalBufferSizeMB: 10\n...\n")]),
    runs("cfg_crlf", C, &["file=lab.yaml", "mb=10", "region=eu-west-1"])
        .files(&[("lab.yaml", "Version: 2\r\nTotalBufferSizeMB: 10\r\nRegion: eu-west-1\r\n")]),
    runs("cfg_null_values", C, &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nSocket:\nLogging: ~\nRegion:\nTotalBufferSizeMB: null\nLocalMode:\n")])
        .differs(&EMPTY_SECTION),
    runs("cfg_region", C, &["file=lab.yaml", "region=eu-west-1"])
        .files(&[("lab.yaml", "Version: 2\nRegion: eu-west-1\n")]),
    runs("cfg_buffer_3", C, &["file=lab.yaml", "mb=3"]).files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 3\n")]),
    fails(
        "cfg_buffer_1",
        C,
        &["Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. lab.yaml line 2 (TotalBufferSizeMB) is 1: write 3 or more, or leave it out for the default."],
    )
    .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 1\n")])
    .differs(&BUFFER_MEMORY),
    runs("cfg_buffer_neg", C, &["file=lab.yaml"]).files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: -5\n")]),
    runs("cfg_buffer_float", C, &["file=lab.yaml", "mb=3"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 3.7\n")])
        .warns(&["lab.yaml line 2: TotalBufferSizeMB is 3.7, taken as 3."])
        .differs(&UNCLEAR_LINE),
    runs("cfg_conc_0", C, &["file=lab.yaml"]).files(&[("lab.yaml", "Version: 2\nConcurrency: 0\n")]),
    fails(
        "cfg_conc_neg",
        C,
        &["lab.yaml line 2 (Concurrency): -1 calls at a time send nothing. Write 1 or more, or 0 for the default."],
    )
    .files(&[("lab.yaml", "Version: 2\nConcurrency: -1\n")])
    .differs(&CONCURRENCY),
    runs("cfg_conc_1", C, &["file=lab.yaml", "concurrency=1"]).files(&[("lab.yaml", "Version: 2\nConcurrency: 1\n")]),
    fails(
        "cfg_anchor",
        C,
        &["Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. lab.yaml line 2 (TotalBufferSizeMB) is 2: write 3 or more, or leave it out for the default."],
    )
    .files(&[("lab.yaml", "Version: &two 2\nTotalBufferSizeMB: *two\n")])
    .differs(&BUFFER_MEMORY),
    runs("cfg_flow", C, &["file=lab.yaml", "udp=127.0.0.1:3000", "mb=10"]).files(&[(
        "lab.yaml",
        "{Version: 2, TotalBufferSizeMB: 10, Socket: {UDPAddress: \"127.0.0.1:3000\"}}\n",
    )]),
    runs("cfg_localmode_false_flag_o", &["-o", "-c", "lab.yaml"], &["file=lab.yaml", "local=true"])
        .files(&[("lab.yaml", "Version: 2\nLocalMode: false\n")]),
    runs("cfg_int_region", C, &["file=lab.yaml", "region=123"]).files(&[("lab.yaml", "Version: 2\nRegion: 123\n")]),
    runs(
        "cfg_full_sample",
        C,
        &[
            "file=lab.yaml",
            "udp=127.0.0.1:3000",
            "tcp=127.0.0.1:3001",
            "mb=24",
            "concurrency=4",
            "region=us-west-2",
            "endpoint=http://127.0.0.1:18080",
            "local=true",
            "resource=arn:aws:ec2:us-west-2:1:instance/i-0",
            "role=arn:aws:iam::123456789012:role/xray",
            "no_verify=true",
            "proxy=http://proxy:3128",
            "level=Debug",
            "log=log/xray.log",
            "rotation=false",
        ],
    )
    .files(&[("lab.yaml", FULL)])
    .warns(&["lab.yaml line 16 (NoVerifySSL): TLS certificates are NOT checked, so anyone on the way can read the segments and answer for AWS. For a private CA set AWS_CA_BUNDLE instead."])
    .differs(&NO_VERIFY),
    fails("cfgfile_missing", &["-c", "nowhere/cfg.yaml"], &[NO_SUCH_FILE]).differs(&MESSAGES),
    fails(
        "cfgfile_is_dir",
        C,
        &["Error occur when using config flag: open lab.yaml: is a directory. Check the path after -c."],
    )
    .files(&[("lab.yaml", DIRECTORY)])
    .differs(&MESSAGES),
    runs("cfgfile_empty_arg", &["-c", ""], &["file=cfg.yaml", "mb=10"])
        .files(&[("cfg.yaml", "Version: 2\nTotalBufferSizeMB: 10\n")]),
    fails(
        "cfgfile_missing_with_logfile",
        &["-f", "x.log", "-c", "nowhere/cfg.yaml"],
        &[NO_SUCH_FILE],
    )
    .differs(&MESSAGES),
    runs("cfg_cwd_default", &[], &["file=cfg.yaml", "mb=10"])
        .files(&[("cfg.yaml", "Version: 2\nTotalBufferSizeMB: 10\n")]),
    runs("cfg_cwd_default_unknown_key", &[], &["file=cfg.yaml"])
        .files(&[("cfg.yaml", "Version: 2\nRegoin: eu-west-1\n")])
        .warns(&["Regoin flag is invalid and is ignored: cfg.yaml line 2. Did you mean \"Region\"?"])
        .differs(&UNKNOWN_IN_DEFAULT),
    runs("cfg_cwd_noversion", &[], &["file=cfg.yaml", "mb=10"])
        .files(&[("cfg.yaml", "TotalBufferSizeMB: 10\n")])
        .warns(&["cfg.yaml has no Version and is read as version 2. Add the line \"Version: 2\"."])
        .differs(&NO_VERSION),
    fails(
        "cfg_cwd_broken",
        &[],
        &["Error occur when using config flag: cfg.yaml line 2: while parsing a node, did not find expected node content; a line is written \"Name: value\", and indented with spaces inside a section."],
    )
    .files(&[("cfg.yaml", BROKEN)])
    .differs(&MESSAGES),
    prints("cfg_cwd_broken_version", &["--version"], version)
        .files(&[("cfg.yaml", BROKEN)])
        .differs(&PRINT_FIRST),
    prints("cfg_cwd_broken_help", &["--help"], xray::cli::help)
        .files(&[("cfg.yaml", BROKEN)])
        .differs(&PRINT_FIRST),
    runs("cfg_cwd_broken_but_c_good", C, &["file=lab.yaml"])
        .files(&[("cfg.yaml", BROKEN), ("lab.yaml", "Version: 2\n")])
        .differs(&NAMED_FILE_ONLY),
    runs("cfg_cwd_noversion_but_c_good", C, &["file=lab.yaml"])
        .files(&[("cfg.yaml", "Region: eu-west-1\n"), ("lab.yaml", "Version: 2\n")])
        .differs(&NAMED_FILE_ONLY),
    runs(
        "cfg_flag_over_file",
        &["-c", "lab.yaml", "-n", "eu-west-3", "-m", "5", "-o=false", "-b", ":1", "-f", "y.log", "-l", "warn"],
        &["file=lab.yaml", "udp=:1", "mb=5", "region=eu-west-3", "level=Warn", "log=y.log"],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nRegion: eu-west-1\nTotalBufferSizeMB: 9\nLocalMode: true\nSocket:\n  UDPAddress: \":2\"\nLogging:\n  LogPath: x.log\n  LogLevel: dev\n",
    )])
    .warns(&[r#"flag -b goes over lab.yaml line 6 (Socket.UDPAddress): listening on ":1", not on ":2"."#])
    .differs(&OVERRIDDEN),
    runs("cfg_file_over_default_cwd", &["-o"], &["file=cfg.yaml", "region=ap-south-1", "local=true"])
        .files(&[("cfg.yaml", "Version: 2\nRegion: ap-south-1\n")]),
    prints("cfg_file_then_version", &["-c", "/nonexistent", "--version"], version).differs(&PRINT_FIRST),
    runs("cfg_in_c_twice", &["-c", "nowhere", "-c", "lab.yaml"], &["file=lab.yaml", "region=us-west-2"])
        .files(&[("lab.yaml", "Version: 2\nRegion: us-west-2\n")]),
    runs("cfg_etc_default", &[], &["file=/etc/amazon/xray/cfg.yaml", "mb=10"])
        .files(&[(ETC, "Version: 2\nTotalBufferSizeMB: 10\n")]),
    runs("cfg_etc_beats_cwd", &[], &["file=/etc/amazon/xray/cfg.yaml", "region=us-west-2"])
        .files(&[(ETC, "Version: 2\nRegion: us-west-2\n"), ("cfg.yaml", "Version: 2\nRegion: eu-west-1\n")]),
    // From the record of the start.
    fails(
        "endpoint_without_scheme",
        C,
        &["lab.yaml line 2 (Endpoint): \"127.0.0.1:1234\" has no scheme: write https://127.0.0.1:1234 or http://127.0.0.1:1234."],
    )
    .files(&[("lab.yaml", "Version: 2\nEndpoint: \"127.0.0.1:1234\"\n")])
    .differs(&ENDPOINT),
    fails(
        "endpoint_localhost",
        C,
        &["lab.yaml line 2 (Endpoint): \"localhost\" has no scheme: write https://localhost or http://localhost."],
    )
    .files(&[("lab.yaml", "Version: 2\nEndpoint: localhost\n")])
    .differs(&ENDPOINT),
    runs("endpoint_with_path", C, &["file=lab.yaml", "endpoint=http://127.0.0.1:1/base/path"])
        .files(&[("lab.yaml", "Version: 2\nEndpoint: http://127.0.0.1:1/base/path/\n")]),
    runs("file_level_bogus", C, &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nLogging:\n  LogLevel: bogus\n")])
        .warns(&["lab.yaml line 3 (Logging.LogLevel): \"bogus\" is no log level; using prod. The levels are dev, debug, info, warn, error, prod."])
        .differs(&LEVEL),
    runs("file_level_under_a_bogus_flag", &["-l", "bogus", "-c", "lab.yaml"], &["file=lab.yaml", "level=Warn"])
        .files(&[("lab.yaml", "Version: 2\nLogging:\n  LogLevel: warn\n")])
        .warns(&["flag -l: \"bogus\" is no log level; using warn. The levels are dev, debug, info, warn, error, prod."])
        .differs(&LEVEL),
    runs("file_level_under_an_empty_flag", &["-l", "", "-c", "lab.yaml"], &["file=lab.yaml", "level=Debug"])
        .files(&[("lab.yaml", "Version: 2\nLogging:\n  LogLevel: debug\n")]),
];

/// Beyond the record.
static OWN: &[Row] = &[
    fails(
        "everything_wrong_is_said_at_once",
        C,
        &[
            "UDPAddress flag is invalid: lab.yaml line 2. Did you mean \"UDPAddress\" in the section Socket?",
            "Error occur when using config flag: lab.yaml line 3: Socket is a section, with these on lines of their own below it: UDPAddress, TCPAddress.",
            "Error occur when using config flag: lab.yaml line 4: Region must be one value on the line of its name.",
            "Error occur when using config flag: lab.yaml line 6: Concurrency must be a smaller number than \"99999999999999999999\".",
            "Error occur when using config flag: lab.yaml line 7: NoVerifySSL must be true or false.",
            "Error occur when using config flag: lab.yaml line 8: a name must be plain text.",
            "Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. lab.yaml line 9 (TotalBufferSizeMB) is 2: write 3 or more, or leave it out for the default.",
            "lab.yaml line 10 (Endpoint): \"ftp://x\" is not an http:// or https:// URL.",
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nUDPAddress: x\nSocket: 5\nRegion:\n  - x\nConcurrency: 99999999999999999999\nNoVerifySSL: {}\n[a]: 1\nTotalBufferSizeMB: 2\nEndpoint: ftp://x\n",
    )])
    .differs(&MESSAGES),
    fails(
        "flag_and_file",
        &["-m", "1", "-c", "lab.yaml"],
        &[
            "Config Version Setting is not correct: lab.yaml line 1 (Version) is 7. Write \"Version: 2\"; 1 and 2 are known.",
            "Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. flag -m is 1: write 3 or more, or leave it out for the default.",
        ],
    )
    .files(&[("lab.yaml", "Version: 7\n")]),
    runs("a_flag_repairs_the_file", &["-m", "0", "-c", "lab.yaml"], &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 1\n")]),
    runs(
        "an_empty_flag_takes_the_file_back",
        &["-n", "", "-r=", "-a=", "-p=", "-f=", "-c", "lab.yaml"],
        &[
            "file=lab.yaml",
            "udp=127.0.0.1:3000",
            "tcp=127.0.0.1:3001",
            "mb=24",
            "concurrency=4",
            "endpoint=http://127.0.0.1:18080",
            "local=true",
            "no_verify=true",
            "level=Debug",
            "rotation=false",
        ],
    )
    .files(&[("lab.yaml", FULL)])
    .warns(&["lab.yaml line 16 (NoVerifySSL): TLS certificates are NOT checked, so anyone on the way can read the segments and answer for AWS. For a private CA set AWS_CA_BUNDLE instead."]),
    runs(
        "spool_and_time_outs",
        C,
        &["file=lab.yaml", "connect=2s", "call=20s", "spool=/var/spool/xray 256"],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nSpool:\n  Path: /var/spool/xray\n  SizeMB: 256\nConnectTimeoutSeconds: 2\nCallTimeoutSeconds: 20\n",
    )]),
    runs(
        "flags_over_spool_and_time_outs",
        &["--spool-dir", "b", "--spool-size=99", "--connect-timeout=1", "--call-timeout=2", "-c", "lab.yaml"],
        &["file=lab.yaml", "connect=1s", "call=2s", "spool=b 99"],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nSpool:\n  Path: a\n  SizeMB: 256\nConnectTimeoutSeconds: 2\nCallTimeoutSeconds: 20\n",
    )]),
    runs("an_empty_flag_switches_the_spool_off", &["--spool-dir=", "-c", "lab.yaml"], &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nSpool:\n  Path: a\n")]),
    fails(
        "spool_and_time_outs_that_cannot_be",
        C,
        &[
            "lab.yaml line 5 (ConnectTimeoutSeconds): a time-out is longer than nothing and one hour at most. Leave it out for 3 s.",
            "lab.yaml line 6 (CallTimeoutSeconds) is -1: write seconds, 1 or more.",
            "lab.yaml line 4 (Spool.SizeMB) is 0: a spool has 16 MB or more. Leave it out for 1024 MB.",
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nSpool:\n  Path: a\n  SizeMB: 0\nConnectTimeoutSeconds: 3601\nCallTimeoutSeconds: -1\n",
    )]),
    fails(
        "dotted_keys",
        C,
        &[
            r#"Socket.TCPAddress flag is invalid: lab.yaml line 2. Write "Socket:" on a line of its own, and below it, indented by two spaces, "TCPAddress: 0.0.0.0:2000"."#,
            r#"Logging.LogLevel flag is invalid: lab.yaml line 3. Write "Logging:" on a line of its own, and below it, indented by two spaces, "LogLevel: …"."#,
        ],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket.TCPAddress: \"0.0.0.0:2000\"\nLogging.LogLevel: [debug]\n")])
    .differs(&MESSAGES),
    runs("dotted_key_in_a_default_location", &[], &["file=cfg.yaml"])
        .files(&[("cfg.yaml", "Version: 2\nSpool.Path: /var/spool/xray\n")])
        .warns(&[
            r#"Spool.Path flag is invalid and is ignored: cfg.yaml line 2. Write "Spool:" on a line of its own, and below it, indented by two spaces, "Path: /var/spool/xray"."#,
        ])
        .differs(&UNKNOWN_IN_DEFAULT),
    runs("a_variable_goes_over_the_file", &[], &["file=lab.yaml", "mb=5", "region=eu-west-1", "level=Warn"])
        .files(&[("lab.yaml", "Version: 2\nRegion: eu-west-1\nTotalBufferSizeMB: 9\nLogging:\n  LogLevel: debug\n")])
        .variables(&["XRAY_CONFIG=lab.yaml", "XRAY_BUFFER_MEMORY=5", "XRAY_LOG_LEVEL=warn", "XRAY_REGION="])
        .differs(&VARIABLES),
    fails(
        "a_variable_names_a_file_that_is_not_there",
        &[],
        &["Error occur when using config flag: open nowhere/cfg.yaml: no such file or directory. Check the path in XRAY_CONFIG."],
    )
    .variables(&["XRAY_CONFIG=nowhere/cfg.yaml"]),
    runs("the_same_address_by_flag_and_file", &["-t", ":1", "-c", "lab.yaml"], &["file=lab.yaml", "tcp=:1"])
        .files(&[("lab.yaml", "Version: 2\nSocket:\n  TCPAddress: \":1\"\n")]),
    runs("ports_by_name_in_the_file", C, &["file=lab.yaml", "tcp=127.0.0.1:443"])
        .files(&[("lab.yaml", "Version: 2\nSocket:\n  TCPAddress: \"127.0.0.1:https\"\n")]),
    runs("an_empty_b_leaves_the_file", &["-b", "", "-c", "lab.yaml"], &["file=lab.yaml", "udp=:3000"])
        .files(&[("lab.yaml", "Version: 2\nSocket:\n  UDPAddress: \":3000\"\n")])
        .warns(&["flag -b is empty and counts as not given: using \":3000\"."]),
    runs("empty_values_are_defaults", C, &["file=lab.yaml"]).files(&[(
        "lab.yaml",
        "Version: 2\nRegion: \"\"\nEndpoint: ''\nSocket:\n  UDPAddress: \"\"\nLogging:\n  LogPath: \"\"\n  LogLevel: \"\"\n",
    )]),
    runs("old_keys_in_a_default_location", &[], &["file=cfg.yaml"])
        .files(&[("cfg.yaml", "Version: 1\nProcessor:\n  Routine: 4\n  BatchProcessorQueueSize: 20\nLogging:\n  LogFormat: x\n")])
        .warns(&[
            "Processor.Routine flag is not supported and is ignored: cfg.yaml line 3. Write it as Concurrency, in no section.",
            "Processor.BatchProcessorQueueSize flag is not supported any more and is ignored: cfg.yaml line 4. Remove it: the queue holds what TotalBufferSizeMB allows.",
            "Logging.LogFormat flag is not supported any more and is ignored: cfg.yaml line 6. Remove it, or run with --log-format json.",
        ])
        .differs(&UNKNOWN_IN_DEFAULT),
    runs("third_default_location", &[], &["file=github.com/aws/aws-xray-daemon/pkg/cfg.yaml", "mb=10"])
        .files(&[("github.com/aws/aws-xray-daemon/pkg/cfg.yaml", "Version: 2\nTotalBufferSizeMB: 10\n")]),
    fails(
        "a_default_location_that_may_not_be_read",
        &[],
        &["Error occur when using config flag: open /etc/amazon/xray/cfg.yaml: permission denied. Make it readable, or name another file with -c."],
    )
    .files(&[(ETC, FORBIDDEN), ("cfg.yaml", "Version: 2\n")]),
    runs("merged_section", C, &["file=lab.yaml", "udp=:3000", "tcp=:3001"]).files(&[(
        "lab.yaml",
        "Version: 2\nSocket: &both\n  UDPAddress: \":3000\"\n  TCPAddress: \":3001\"\n<<: {Socket: *both}\n",
    )])
    .warns(&[
        "lab.yaml line 3: Socket.UDPAddress is set again, over line 3.",
        "lab.yaml line 4: Socket.TCPAddress is set again, over line 4.",
    ]),
    fails(
        "anchor_inside_itself",
        C,
        &["Error occur when using config flag: lab.yaml line 3: the alias stands inside what it names."],
    )
    .files(&[("lab.yaml", "Version: 2\nSocket: &me\n  UDPAddress: *me\n")]),
    fails(
        "missing_colon",
        C,
        &["Error occur when using config flag: lab.yaml line 2: simple key expect ':'; a line is written \"Name: value\", and indented with spaces inside a section."],
    )
    .files(&[("lab.yaml", "Version: 2\nRegion eu-west-1\n")]),
    runs("tags", C, &["file=lab.yaml", "mb=10", "region=5"])
        .files(&[("lab.yaml", "Version: !!int \"2\"\nTotalBufferSizeMB: 0xA\nRegion: !!str 5\n")]),
    runs("numbers", C, &["file=lab.yaml", "mb=1000", "concurrency=8"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 1_000\nConcurrency: 010\n")]),
    runs("exponent", C, &["file=lab.yaml", "mb=1000"])
        .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: 1e3\n")]),
    fails(
        "infinite",
        C,
        &["Error occur when using config flag: lab.yaml line 2: TotalBufferSizeMB must be a whole number, not \".inf\"."],
    )
    .files(&[("lab.yaml", "Version: 2\nTotalBufferSizeMB: .inf\n")]),
    runs("many_calls", C, &["file=lab.yaml", "concurrency=1000"])
        .files(&[("lab.yaml", "Version: 2\nConcurrency: 5000\n")])
        .warns(&["lab.yaml line 2 (Concurrency): 5000 calls at a time are too many; using 1000."])
        .differs(&CONCURRENCY),
    fails(
        "profile_of_credentials",
        C,
        &["Profile flag is invalid: lab.yaml line 2. Set the environment variable AWS_PROFILE to use a credentials profile."],
    )
    .files(&[("lab.yaml", "Version: 2\nProfile: work\n")]),
    fails(
        "proxy_password_in_the_file",
        C,
        &["lab.yaml line 2 (ProxyAddress): \"ftp://***@proxy\" is not a kind of proxy that works: write http://host:port, https://host:port or socks5h://host:port."],
    )
    .files(&[("lab.yaml", "Version: 2\nProxyAddress: ftp://user:secret word@proxy\n")])
    .differs(&PROXY),
    runs("profiles", &[], &[])
        .variables(&["XRAY_DAEMON_CPU_PROFILE", "XRAY_DAEMON_MEMORY_PROFILE"])
        .warns(&[
            "XRAY_DAEMON_CPU_PROFILE has no effect: there is no profile to switch on.",
            "XRAY_DAEMON_MEMORY_PROFILE has no effect: there is no profile to switch on.",
        ])
        .differs(&PROFILES),
    fails(
        "control_characters_in_a_name",
        C,
        &[r#"\x1b[31m flag is invalid: lab.yaml line 2. Remove it; the names are TotalBufferSizeMB, Concurrency, Region, Endpoint, Socket.UDPAddress, Socket.TCPAddress, Logging.LogRotation, Logging.LogLevel, Logging.LogPath, LocalMode, ResourceARN, RoleARN, NoVerifySSL, ProxyAddress, Spool.Path, Spool.SizeMB, ConnectTimeoutSeconds, CallTimeoutSeconds, Version, NoTCP, NoTelemetry, ProxyAllow, AllowHost, OTLP.Listen, OTLP.AllowOrigin, OTLP.Endpoint, OTLP.Headers, OTLP.Compression, OTLP.ServiceName, OTLP.SegmentsTo, OTLP.SpansTo, OTLP.XRay."#],
    )
    .files(&[("lab.yaml", "Version: 2\n\"\\e[31m\": 1\n")]),
    runs(
        "tcp_port",
        C,
        &[
            "file=lab.yaml",
            "no_tcp=true",
            "proxy_allow=/TraceSummaries /Traces",
            "allow_host=xray.example.com .corp.example",
            "no_telemetry=true",
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nNoTCP: true\nNoTelemetry: yes\nProxyAllow: [/TraceSummaries, /Traces]\nAllowHost:\n  - XRay.example.com\n  - .corp.example\n",
    )])
    .warns(&[ALLOWED_TWO]),
    runs("tcp_one_value_is_a_list", C, &["file=lab.yaml", "allow_host=xray.example.com"])
        .files(&[("lab.yaml", "Version: 2\nAllowHost: xray.example.com\nProxyAllow:\n")]),
    runs(
        "tcp_flags_add_to_the_file",
        &["-c", "lab.yaml", "--proxy-allow", "/Traces", "--proxy-allow=/TraceSummaries", "--no-tcp=false"],
        &["file=lab.yaml", "proxy_allow=/Traces /TraceSummaries"],
    )
    .files(&[("lab.yaml", "Version: 2\nNoTCP: true\nProxyAllow: [/Traces]\n")])
    .warns(&["Whoever reaches the TCP port can make calls with this daemon's AWS credentials on: /Traces, /TraceSummaries (--proxy-allow)."]),
    fails(
        "tcp_bad_values",
        C,
        &[
            "lab.yaml line 3 (ProxyAllow): \"/*\" is not a path of the X-Ray API: write one, without a pattern, like /TraceSummaries.",
            "lab.yaml line 4 (ProxyAllow): \"/TraceSegments\" is answered by the daemon itself and never forwarded: leave it out.",
            "lab.yaml line 5 (AllowHost): \"http://x\" is not a host name: write it without a port, like xray.example.com, or .example.com for every name below it.",
        ],
    )
    .files(&[("lab.yaml", "Version: 2\nProxyAllow:\n  - /*\n  - /TraceSegments\nAllowHost: http://x\n")]),
    fails(
        "tcp_list_of_lists",
        C,
        &["Error occur when using config flag: lab.yaml line 2: ProxyAllow must be a list of texts, each on a line of its own after \"- \"."],
    )
    .files(&[("lab.yaml", "Version: 2\nProxyAllow: [[/Traces]]\n")]),
    fails(
        "nested_deep",
        C,
        &["Error occur when using config flag: lab.yaml line 2: the values are nested too deep for a cfg.yaml."],
    )
    .files(&[("lab.yaml", "Version: 2\nRegion: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n")]),
];

const ALLOWED_TWO: &str = "Whoever reaches the TCP port can make calls with this daemon's AWS credentials on: /TraceSummaries, /Traces (--proxy-allow).";

const NO_VERSION_WARNING: &str =
    "lab.yaml has no Version and is read as version 2. Add the line \"Version: 2\".";

fn version() -> String {
    xray::cli::version()
}

/// Every case.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    OBSERVED.iter().chain(OWN)
}

#[test]
fn configuration_files_do_what_the_table_says() {
    check_all(rows());
}

#[test]
fn a_file_in_utf_16_is_read() {
    let text = "Version: 2\nRegion: eu-west-1\n";
    for (mark, bytes) in [
        (
            [0xff, 0xfe],
            text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        ),
        (
            [0xfe, 0xff],
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
    ] {
        let config = load_bytes(&[&mark[..], &bytes].concat()).unwrap();
        assert_eq!(config.xray.region.unwrap().value, "eu-west-1");
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error_with_their_line() {
    let error = load_bytes(b"Version: 2\nRegion: \xff\n").unwrap_err();
    assert_eq!(
        error.problems(),
        [
            "Error occur when using config flag: lab.yaml line 2: the text is not UTF-8; save the file as UTF-8."
        ]
    );
}

#[test]
fn aliases_of_aliases_cost_no_memory() {
    let mut text = String::from("a0: &a0 [x]\n");
    for i in 1..25 {
        let before = format!("*a{}", i - 1);
        text.push_str(&format!("a{i}: &a{i} [{}]\n", [before.as_str(); 9].join(", ")));
    }
    assert!(load_bytes(text.as_bytes()).is_err());
}

#[test]
fn an_error_of_configuration_is_in_the_log_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xray"))
        .args(["-f", "log/xray.log", "-c", "nowhere/cfg.yaml"])
        .current_dir(&directory)
        .output()
        .unwrap();
    let logged = fs::read(directory.path().join("log/xray.log")).unwrap();
    assert_eq!(output.stderr, logged);
    let line = String::from_utf8(logged).unwrap();
    let (_time, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, format!("[Error] {NO_SUCH_FILE}\n"));
}

fn load_bytes(bytes: &[u8]) -> Result<Config, ConfigError> {
    let Ok(Invocation::Run(flags)) = parse(C.iter().map(Into::into)) else {
        panic!("-c lab.yaml does not run")
    };
    load(&flags, &Environment::default(), &Bytes(bytes))
}
