//! The settings of OTLP, which the official daemon has none of.

use std::process::Command;

use crate::support::{Row, check_all, fails, misused, runs};

const C: &[&str] = &["-c", "lab.yaml"];

const TO: &str = "--otlp-endpoint=https://api.example.com";

const ALL_ROUTES: &str = "routes=segments go to X-Ray and OTLP; spans, metrics and logs to OTLP";

/// Every key, each with something else than its default.
const FULL: &str = "\
Version: 2
OTLP:
  Listen:
    - 127.0.0.1:4318
    - \"[::1]:4317\"
  AllowOrigin: [\"https://App.example.com\"]
  Endpoint: https://api.example.com/otlp/
  Headers:
    x-api-key: ${env:API_KEY}
    X-Dataset: \"of $$ ${DATASET:-test}\"
  Compression: none
  ServiceName: shop
  SegmentsTo: otlp
  SpansTo: [xray, otlp]
  XRay: otlp
";

static ROWS: &[Row] = &[
    runs(
        "in",
        &["--otlp-listen", "0.0.0.0:4318", "-otlp-listen=localhost:4317", "--otlp-listen", "0.0.0.0:4318"],
        &["otlp_listen=0.0.0.0:4318 localhost:4317", "routes=segments go to X-Ray; spans to X-Ray as segments"],
    ),
    runs(
        "out",
        &[TO],
        &[
            "otlp_endpoint=https://api.example.com",
            "routes=segments go to X-Ray and OTLP",
            "compression=gzip",
            "timeout=15s",
        ],
    ),
    runs(
        "in_and_out",
        &["--otlp-listen=:4318", TO],
        &[
            "otlp_listen=:4318",
            "otlp_endpoint=https://api.example.com",
            ALL_ROUTES,
            "compression=gzip",
            "timeout=15s",
        ],
    ),
    runs(
        "every_key",
        C,
        &[
            "file=lab.yaml",
            "otlp_listen=127.0.0.1:4318 [::1]:4317",
            "otlp_origins=https://app.example.com",
            "otlp_endpoint=https://api.example.com/otlp",
            "routes=segments go to OTLP; spans to X-Ray's OTLP endpoint and OTLP; metrics and logs to OTLP",
            "headers=x-api-key:s3cret,x-dataset:of $ test",
            "service=shop",
            "compression=none",
            "timeout=15s",
        ],
    )
    .files(&[("lab.yaml", FULL)])
    .variables(&["API_KEY=s3cret"]),
    runs(
        "flags_and_variables_over_the_file",
        &["--otlp-listen", ":1", "--otlp-endpoint", "http://a.example", "--segments-to", "xray", "--spans-to=XRAY", "-c", "lab.yaml"],
        &[
            "file=lab.yaml",
            "otlp_listen=:1",
            "otlp_origins=http://b.example https://app.example.com",
            "otlp_endpoint=http://a.example",
            "routes=segments go to X-Ray; spans to X-Ray as segments; metrics and logs to OTLP",
            "headers=x-api-key:s3cret,x-dataset:of $ real",
            "service=shop",
            "compression=gzip",
            "timeout=15s",
        ],
    )
    .files(&[("lab.yaml", FULL)])
    .variables(&[
        "API_KEY=s3cret",
        "DATASET=real",
        "XRAY_OTLP_ENDPOINT=http://c.example",
        "XRAY_OTLP_LISTEN=:2,:3",
        "XRAY_OTLP_ALLOW_ORIGIN=http://b.example",
        "XRAY_OTLP_COMPRESSION=gzip",
        "XRAY_OTLP_XRAY=segments",
    ])
    .warns(&["flag --otlp-listen goes over XRAY_OTLP_LISTEN, which is not listened on.", "flag --otlp-listen goes over lab.yaml line 4 (OTLP.Listen), which is not listened on."]),
    runs(
        "variables",
        &[],
        &[
            "otlp_listen=:1 :2",
            "otlp_endpoint=http://c.example",
            "routes=segments go to OTLP; spans to X-Ray as segments and OTLP; metrics and logs to OTLP",
            "compression=none",
            "timeout=15s",
        ],
    )
    .variables(&[
        "XRAY_OTLP_ENDPOINT=http://c.example",
        "XRAY_OTLP_LISTEN=:1,:2",
        "XRAY_SEGMENTS_TO=otlp",
        "XRAY_SPANS_TO=xray,otlp",
        "XRAY_OTLP_COMPRESSION=none",
    ]),
    runs("an_empty_flag_switches_the_files_endpoint_off", &["--otlp-endpoint=", "-c", "lab.yaml"], &["file=lab.yaml"])
        .files(&[("lab.yaml", "Version: 2\nOTLP:\n  Endpoint: http://a.example\n")]),
    runs("an_empty_section", C, &["file=lab.yaml"]).files(&[("lab.yaml", "Version: 2\nOTLP:\n  Headers:\n  Listen:\n")]),
    // The variables of exporters.
    runs("the_exporters_endpoint_switches_nothing_on", &[], &[]).variables(&[
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
        "OTEL_EXPORTER_OTLP_HEADERS=wrong",
        "OTEL_EXPORTER_OTLP_COMPRESSION=wrong",
    ]),
    runs(
        "nor_does_it_beside_a_listener",
        &["--otlp-listen=:4318"],
        &["otlp_listen=:4318", "routes=segments go to X-Ray; spans to X-Ray as segments"],
    )
    .variables(&["OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"]),
    runs(
        "the_exporters_endpoint_beside_our_own",
        &[TO],
        &[
            "otlp_endpoint=https://api.example.com",
            "routes=segments go to X-Ray and OTLP",
            "compression=gzip",
            "timeout=15s",
        ],
    )
    .variables(&[
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:4318/v1/logs",
    ])
    .warns(&[
        "OTEL_EXPORTER_OTLP_ENDPOINT is not where this daemon sends to: it is for applications. What counts is flag --otlp-endpoint.",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is not where this daemon sends to: it is for applications. What counts is flag \
         --otlp-endpoint.",
    ]),
    runs(
        "the_exporters_variables",
        &[TO],
        &[
            "otlp_endpoint=https://api.example.com",
            "routes=segments go to X-Ray and OTLP",
            "headers=a:1 2,b:2 | a:1 2,b:3,c:4 | a:1 2,b:2",
            "compression=none | none | gzip",
            "timeout=2s | 500ms | 500ms",
            "certificates=ca.pem c.pem k.pem | ca.pem c.pem k.pem | logs.pem c.pem k.pem",
        ],
    )
    .variables(&[
        "OTEL_EXPORTER_OTLP_HEADERS=a=1%202, b=2",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS=B=3,c=4",
        "OTEL_EXPORTER_OTLP_COMPRESSION=none",
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION=gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT=500",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=2000",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem",
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE=logs.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=c.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY=k.pem",
    ]),
    runs(
        "our_own_over_the_exporters_variables",
        C,
        &[
            "file=lab.yaml",
            "otlp_endpoint=https://a.example",
            "routes=segments go to X-Ray and OTLP",
            "headers=k:v",
            "compression=gzip",
            "timeout=15s",
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nOTLP:\n  Endpoint: https://a.example\n  Compression: gzip\n  Headers: {k: v}\n",
    )])
    .variables(&[
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS=wrong",
        "OTEL_EXPORTER_OTLP_COMPRESSION=none",
    ])
    .warns(&["lab.yaml line 5 (OTLP.Headers) goes over OTEL_EXPORTER_OTLP_TRACES_HEADERS, whose headers are not sent."]),
    runs(
        "what_exporters_know_and_we_do_not",
        &["--otlp-endpoint=http://a.example:4317", "--call-timeout=9s"],
        &[
            "call=9s",
            "otlp_endpoint=http://a.example:4317",
            "routes=segments go to X-Ray and OTLP",
            "compression=gzip",
            "timeout=9s",
            "certificates=ca.pem",
        ],
    )
    .variables(&[
        "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=10s",
        "OTEL_EXPORTER_OTLP_TIMEOUT=0",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem",
    ])
    .warns(&[
        r#"OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" is no compression that is known here: write gzip or none; using gzip."#,
        r#"OTEL_EXPORTER_OTLP_TIMEOUT: "0" is no time-out: write milliseconds, 1 to 3600000; using 9 s."#,
        r#"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "10s" is no time-out: write milliseconds, 1 to 3600000; using 9 s."#,
        r#"flag --otlp-endpoint: at port 4317 most programs take gRPC alone, and this daemon sends OTLP over HTTP. If "http://a.example:4317" does not answer, write the port for HTTP, usually 4318."#,
        r#"OTEL_EXPORTER_OTLP_CERTIFICATE has no effect: "http://a.example:4317" is not called by https."#,
    ]),
    fails(
        "exporters_variables_that_cannot_be",
        &[TO],
        &[
            "OTEL_EXPORTER_OTLP_HEADERS, entry 2: it has no \"=\": write name=value,name=value.",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY: a certificate and its key go together: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE too.",
        ],
    )
    .variables(&["OTEL_EXPORTER_OTLP_HEADERS=a=1,s3cret", "OTEL_EXPORTER_OTLP_CLIENT_KEY=k.pem"]),
    // What cannot be.
    fails(
        "addresses_that_are_none",
        &["--otlp-listen=4318", "--otlp-listen=127.0.0.1"],
        &[
            "flag --otlp-listen: \"4318\" has no host: write 127.0.0.1:4318, or :4318 for every address of this machine.",
            "flag --otlp-listen: \"127.0.0.1\" has no port: write it after a colon, such as 127.0.0.1:4318.",
        ],
    ),
    fails(
        "an_endpoint_that_is_none",
        &["--otlp-endpoint=api.example.com", "--spans-to=both", "--segments-to=,"],
        &[
            r#"flag --otlp-endpoint: "api.example.com" has no scheme: write https://api.example.com or http://api.example.com."#,
            "flag --segments-to: it names no destination: write xray, otlp or xray,otlp.",
            r#"flag --spans-to: "both" is no destination: write xray, otlp or xray,otlp."#,
        ],
    ),
    fails(
        "an_endpoint_with_what_is_appended",
        &["--otlp-endpoint=https://a.example/v1/traces"],
        &[r#"flag --otlp-endpoint: "https://a.example/v1/traces" ends in /v1/traces, which is appended to it: write https://a.example."#],
    ),
    fails(
        "otlp_without_an_endpoint",
        &["--segments-to=xray,otlp", "--otlp-listen=:1", "--spans-to", "otlp"],
        &[
            "flag --segments-to: there is no OTLP endpoint to send to: set --otlp-endpoint, or Endpoint in the section OTLP.",
            "flag --spans-to: there is no OTLP endpoint to send to: set --otlp-endpoint, or Endpoint in the section OTLP.",
        ],
    ),
    fails(
        "an_endpoint_that_is_our_own_listener",
        &["--otlp-listen=0.0.0.0:4318", "--otlp-endpoint=http://localhost:4318"],
        &[
            "flag --otlp-endpoint: \"http://localhost:4318\" is this daemon itself, which listens on \"0.0.0.0:4318\" (flag \
             --otlp-listen). Write the address of the program that is to get the data.",
        ],
    ),
    fails(
        "an_endpoint_that_is_our_own_tcp_port",
        &["--otlp-endpoint=http://localhost:2000"],
        &[
            "flag --otlp-endpoint: \"http://localhost:2000\" is this daemon itself, which listens on \"127.0.0.1:2000\" (default). \
             Write the address of the program that is to get the data.",
        ],
    ),
    runs(
        "which_is_free_when_it_is_closed",
        &["--otlp-endpoint=http://localhost:2000", "--no-tcp"],
        &[
            "no_tcp=true",
            "otlp_endpoint=http://localhost:2000",
            "routes=segments go to X-Ray and OTLP",
            "compression=gzip",
            "timeout=15s",
        ],
    ),
    fails(
        "keys_that_cannot_be",
        C,
        &[
            "Error occur when using config flag: lab.yaml line 5: OTLP.Headers must be names and texts, each on a line of its own \
             below it: x-api-key: ${env:API_KEY}.",
            "lab.yaml line 3 (OTLP.AllowOrigin): \"*\" is not the origin of a web page: write one, like https://app.example.com.",
            r#"lab.yaml line 6 (OTLP.Compression): "zstd" is no compression that is known here: write gzip or none."#,
            r#"lab.yaml line 7 (OTLP.SpansTo): "xrai" is no destination: write xray."#,
            r#"lab.yaml line 8 (OTLP.XRay): "spans" is no form in which X-Ray takes spans: write segments or otlp."#,
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nOTLP:\n  AllowOrigin: \"*\"\n  Endpoint: https://a.example\n  Headers: s3cret\n  Compression: zstd\n  SpansTo: \
         [xrai]\n  XRay: spans\n",
    )]),
    fails(
        "headers_that_cannot_be",
        C,
        &[
            "lab.yaml line 5 (OTLP.Headers): x-api-key: the variable \"API_KEY\" is not set.",
            "lab.yaml line 6 (OTLP.Headers): content-type is written by the daemon itself: leave it out.",
        ],
    )
    .files(&[(
        "lab.yaml",
        "Version: 2\nOTLP:\n  Endpoint: https://a.example\n  Headers:\n    x-api-key: ${env:API_KEY}\n    Content-Type: s3cret\n",
    )]),
    fails(
        "headers_in_no_section",
        C,
        &[r#"OTLP.Headers flag is invalid: lab.yaml line 2. Write "OTLP:" on a line of its own, and below it, indented by two spaces, "Headers: …"."#],
    )
    .files(&[("lab.yaml", "Version: 2\nOTLP.Headers: s3cret\n")]),
    fails(
        "a_key_that_there_is_not",
        C,
        &[r#"OTLP.EndPoints flag is invalid: lab.yaml line 3. Did you mean "Endpoint" in the section OTLP?"#],
    )
    .files(&[("lab.yaml", "Version: 2\nOTLP:\n  EndPoints: x\n")]),
    misused(
        "headers_are_no_flag",
        &["--otlp-headers", "x-api-key=s3cret"],
        "flag provided but not defined: -otlp-headers",
        "Keys are no flags, since every user of the machine can read those: set OTEL_EXPORTER_OTLP_HEADERS, or Headers in the \
         section OTLP of cfg.yaml.",
    ),
    // What changes nothing.
    runs("settings_of_nothing", C, &["file=lab.yaml"])
        .files(&[(
            "lab.yaml",
            "Version: 2\nOTLP:\n  Headers: {k: v}\n  Compression: gzip\n  SpansTo: xray\n  XRay: otlp\n  AllowOrigin: http://a\n",
        )])
        .warns(&[
            "lab.yaml line 3 (OTLP.Headers) has no effect without an OTLP endpoint: set --otlp-endpoint, or Endpoint in the section \
             OTLP.",
            "lab.yaml line 4 (OTLP.Compression) has no effect without an OTLP endpoint: set --otlp-endpoint, or Endpoint in the \
             section OTLP.",
            "lab.yaml line 5 (OTLP.SpansTo) has no effect while no OTLP comes in: set --otlp-listen, or Listen in the section OTLP.",
            "lab.yaml line 7 (OTLP.AllowOrigin) has no effect while no OTLP comes in: set --otlp-listen, or Listen in the section \
             OTLP.",
            "lab.yaml line 6 (OTLP.XRay) has no effect while no OTLP comes in: set --otlp-listen, or Listen in the section OTLP.",
        ]),
    runs(
        "an_endpoint_that_gets_nothing",
        &[TO, "--segments-to=xray"],
        &["otlp_endpoint=https://api.example.com", "compression=gzip", "timeout=15s"],
    )
    .warns(&[
        "flag --otlp-endpoint: nothing goes there. Write otlp to --segments-to, or let OTLP come in by --otlp-listen.",
    ]),
    runs(
        "a_form_of_spans_that_go_elsewhere",
        &[TO, "--otlp-listen=:4318"],
        &[
            "otlp_listen=:4318",
            "otlp_endpoint=https://api.example.com",
            ALL_ROUTES,
            "compression=gzip",
            "timeout=15s",
        ],
    )
    .variables(&["XRAY_OTLP_XRAY=otlp"])
    .warns(&["XRAY_OTLP_XRAY has no effect: no spans go to X-Ray. Write xray to --spans-to."]),
    runs("an_empty_key_is_told", &[TO], &[
        "otlp_endpoint=https://api.example.com",
        "routes=segments go to X-Ray and OTLP",
        "headers=x-honeycomb-team:",
        "compression=gzip",
        "timeout=15s",
    ])
    .variables(&["OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team="])
    .warns(&[
        "OTEL_EXPORTER_OTLP_HEADERS, entry 1: the header x-honeycomb-team is empty. If it is a key, the endpoint will refuse every \
         request.",
    ]),
];

/// Every case.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
}

#[test]
fn the_settings_of_otlp_do_what_the_table_says() {
    check_all(rows());
}

#[test]
fn the_settings_are_printed_with_the_names_of_headers_and_without_their_values() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("lab.yaml"), FULL).unwrap();
    let print = |variables: &[(&str, &str)], args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_xray"))
            .args(args)
            .arg("--print-config")
            .current_dir(&directory)
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(!table.contains("s3cret"), "{table}");
        let cells = |line: &str| {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(str::to_owned).collect::<Vec<_>>()
        };
        let of_otlp = |line: &&str| {
            let name = line.split(' ').next().unwrap();
            name.contains("otlp") || name.contains("OTLP") || name.ends_with("-to")
        };
        table.lines().filter(of_otlp).map(cells).collect::<Vec<_>>()
    };
    assert_eq!(
        print(&[("API_KEY", "s3cret")], C),
        [
            [
                "otlp-listen",
                "127.0.0.1:4318, [::1]:4317",
                "lab.yaml line 4 (OTLP.Listen), lab.yaml line 5 (OTLP.Listen)"
            ],
            [
                "otlp-allow-origin",
                "https://app.example.com",
                "lab.yaml line 6 (OTLP.AllowOrigin)"
            ],
            [
                "otlp-endpoint",
                "https://api.example.com/otlp",
                "lab.yaml line 7 (OTLP.Endpoint)"
            ],
            ["segments-to", "otlp", "lab.yaml line 13 (OTLP.SegmentsTo)"],
            ["spans-to", "xray, otlp", "lab.yaml line 14 (OTLP.SpansTo)"],
            ["OTLP.XRay", "otlp", "lab.yaml line 15 (OTLP.XRay)"],
            [
                "OTLP.Headers",
                "x-api-key, x-dataset (values hidden)",
                "lab.yaml line 9 (OTLP.Headers)"
            ],
            ["OTLP.Compression", "none", "lab.yaml line 11 (OTLP.Compression)"],
            ["OTLP.ServiceName", "shop", "lab.yaml line 12 (OTLP.ServiceName)"],
            ["OTEL_EXPORTER_OTLP_TIMEOUT", "15 s", "default"],
            ["OTEL_EXPORTER_OTLP_CERTIFICATE", "none", "default"],
            ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "none", "default"],
            ["OTEL_EXPORTER_OTLP_CLIENT_KEY", "none", "default"],
        ]
    );
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
    ];
    let table = print(&variables, &[TO]);
    assert_eq!(
        table[6..8],
        [
            [
                "OTLP.Headers",
                "x-api-key (values hidden)",
                "OTEL_EXPORTER_OTLP_HEADERS"
            ],
            [
                "OTLP.Compression",
                "traces gzip; metrics gzip; logs none",
                "default, OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
            ],
        ]
    );
    assert_eq!(
        print(&[], &[]),
        [
            ["otlp-listen", "none", "default"],
            ["otlp-allow-origin", "none", "default"],
            ["otlp-endpoint", "none", "default"],
            ["segments-to", "xray", "default"],
            ["spans-to", "xray", "default"],
            ["OTLP.XRay", "segments", "default"],
        ]
    );
}
