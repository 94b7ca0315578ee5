//! Where this daemon does otherwise than the official one, on purpose. docs/differences.md shows these as a table.

/// One line of the page's table.
pub(crate) struct Difference {
    /// The situation.
    pub(crate) when: &'static str,
    /// What the official daemon does.
    pub(crate) official: &'static str,
    /// What this one does, and why.
    pub(crate) here: &'static str,
}

impl Difference {
    /// The line on the page.
    pub(crate) fn markdown(&self) -> String {
        format!("| {} | {} | {} |", self.when, self.official, self.here)
    }
}

/// Every difference on the command line and in the configuration file, in the order of the page.
pub(crate) const ALL: [&Difference; 22] = [
    &MESSAGES,
    &UNREAD,
    &SWALLOWED,
    &LEVEL,
    &EMPTY_ADDRESS,
    &BAD_ADDRESS,
    &OVERRIDDEN,
    &BUFFER_MEMORY,
    &PRINT_FIRST,
    &NAMED_FILE_ONLY,
    &NO_VERSION,
    &UNKNOWN_IN_DEFAULT,
    &UNCLEAR_LINE,
    &NO_EFFECT,
    &EMPTY_SECTION,
    &CONCURRENCY,
    &ENDPOINT,
    &PROXY,
    &ROLE,
    &NO_VERIFY,
    &PROFILES,
    &VARIABLES,
];

pub(crate) const MESSAGES: Difference = Difference {
    when: "Wrong flag or configuration",
    official: "the first error found, often without its place",
    here: "the same first words and exit code, then flag or file and line, and what to do; all errors of a file at once",
};

pub(crate) const UNREAD: Difference = Difference {
    when: "Arguments after the first that is no flag (`\"xray -o -b xray-daemon:2000\"`, `-o false`)",
    official: "ignored without a word",
    here: "ignored, with a warning that says so and how to write them",
};

pub(crate) const SWALLOWED: Difference = Difference {
    when: "A flag without its value takes the next flag for it (`-f -o`)",
    official: "nothing said",
    here: "the same, with a warning",
};

pub(crate) const LEVEL: Difference = Difference {
    when: "Log level that there is not, or in capitals",
    official: "`-l`: the file's level, nothing said; in the file: everything is logged",
    here: "capitals are read; else the next one that is a level (flag, file, `prod`), with a warning that names the levels",
};

pub(crate) const EMPTY_ADDRESS: Difference = Difference {
    when: "`-b ''`, `-t ''` (an unset variable in a script)",
    official: "listens on a random UDP port, on TCP port 80",
    here: "as if not given, with a warning: no SDK would find those ports",
};

pub(crate) const BAD_ADDRESS: Difference = Difference {
    when: "TCP address that cannot be (`-t 2000`)",
    official: "a TCP address it cannot listen on: one line in the log, runs on without TCP",
    here: "an error at start that says how to write it",
};

pub(crate) const OVERRIDDEN: Difference = Difference {
    when: "An address by a flag (the image's entry point has some) and another one in the file",
    official: "the flag's; nothing said",
    here: "the same, with a warning that names both",
};

pub(crate) const BUFFER_MEMORY: Difference = Difference {
    when: "Buffer memory of 1 or 2 MB, or of more than 1 TiB",
    official: "1, 2: exit 1, the error in the log (stdout)",
    here: "exit 1, the error on stderr like all errors of configuration",
};

pub(crate) const PRINT_FIRST: Difference = Difference {
    when: "`--version`, `--help` beside a configuration file that is broken or missing",
    official: "exit 1",
    here: "answered before any file is read",
};

pub(crate) const NAMED_FILE_ONLY: Difference = Difference {
    when: "`-c good.yaml` beside a broken file in a default location",
    official: "exit 1",
    here: "only the named file is read",
};

pub(crate) const NO_VERSION: Difference = Difference {
    when: "Configuration file without `Version`, or empty",
    official: "exit 1",
    here: "read as version 2, with a warning: versions 1 and 2 have the same keys",
};

pub(crate) const UNKNOWN_IN_DEFAULT: Difference = Difference {
    when: "Unknown or old key in a file in a default location",
    official: "ignored without a word (an error with `-c` only)",
    here: "ignored with a warning that names its line and the nearest key (an error with `-c`)",
};

pub(crate) const UNCLEAR_LINE: Difference = Difference {
    when: "Key set twice, a fraction for a whole number, a second YAML document",
    official: "last one counts, fraction cut off, second document not read; nothing said",
    here: "the same, with a warning",
};

pub(crate) const NO_EFFECT: Difference = Difference {
    when: "`proxyserver.idleconntimeout` and its neighbours",
    official: "accepted without effect",
    here: "accepted without effect, with a warning",
};

pub(crate) const EMPTY_SECTION: Difference = Difference {
    when: "`Socket:` or `Logging:` with nothing below it, with `-c`",
    official: "exit 1",
    here: "sets nothing: its lines are commented out",
};

pub(crate) const CONCURRENCY: Difference = Difference {
    when: "`Concurrency` below 0, or above 1,000",
    official: "below 0: accepts segments and sends none",
    here: "below 0: an error; above 1,000: 1,000, with a warning",
};

pub(crate) const ENDPOINT: Difference = Difference {
    when: "`Endpoint` without `http://` or `https://`, or with more than host and path",
    official: "`127.0.0.1:1234`: exit 1; `localhost`: starts, sampling calls fail for ever",
    here: "an error that says how to write it",
};

pub(crate) const PROXY: Difference = Difference {
    when: "`ProxyAddress`, `-p`",
    official: "the password is logged",
    here: "`host:port` means `http://host:port`; what is not http, https or socks5 is an error; no password is ever shown",
};

pub(crate) const ROLE: Difference = Difference {
    when: "`RoleARN` that is not the ARN of a role",
    official: "starts; that the role cannot be assumed is passed over",
    here: "the same, with a warning that says why",
};

pub(crate) const NO_VERIFY: Difference = Difference {
    when: "`NoVerifySSL: true`",
    official: "nothing said",
    here: "the same, with a warning",
};

pub(crate) const PROFILES: Difference = Difference {
    when: "`XRAY_DAEMON_CPU_PROFILE`, `XRAY_DAEMON_MEMORY_PROFILE`",
    official: "writes Go profiles",
    here: "no effect, with a warning",
};

pub(crate) const VARIABLES: Difference = Difference {
    when: "`XRAY_REGION`, `XRAY_LOG_LEVEL` and so on: `XRAY_` and the long name of a flag",
    official: "not read",
    here: "over the file, below the flag; other names that begin so are warned about, but for those of a Kubernetes service",
};

#[test]
fn every_difference_is_shown_by_a_case_and_every_case_names_a_listed_one() {
    use crate::{command_line, config_file};
    let shown: Vec<&str> = command_line::rows()
        .chain(config_file::rows())
        .filter_map(|row| row.differs)
        .map(|difference| difference.when)
        .collect();
    for difference in ALL {
        assert!(
            shown.contains(&difference.when),
            "no case shows: {}",
            difference.when
        );
    }
    for when in shown {
        assert!(
            ALL.iter().any(|difference| difference.when == when),
            "not in ALL: {when}"
        );
    }
}

#[test]
fn the_page_lists_every_difference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differences.md");
    let page = std::fs::read_to_string(path).unwrap();
    let missing: Vec<String> = ALL
        .iter()
        .map(|difference| difference.markdown())
        .filter(|line| !page.lines().any(|on_page| on_page == line))
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/differences.md:\n{}",
        missing.join("\n")
    );
}
