//! Flags of `xray dev`, over their variables, to its configuration. No configuration file is read, and no variable that is
//! for AWS.

use std::io;
use std::path::{Path, PathBuf};

use xray_service::sampling::{self, SamplingRule};
use xray_service::traces::Limits;

use super::run::DevConfig;
use crate::cli::{DevFlags, Sampling};
use crate::config::shown::{self, from, line, list};
use crate::config::text::quoted;
use crate::config::{self, ConfigError, Environment, Files, Flags, LogLevel, Sourced};

/// The most traces that may be asked for: their entries alone are gigabytes then.
const MAX_TRACES: i64 = 10_000_000;

/// The most memory for traces that may be asked for, in MB: 1 TiB. Beyond it somebody wrote bytes.
const MAX_STORE_MB: i64 = 1 << 20;

/// The least memory for traces, in MB, that is held within a tenth. What the allocator keeps of the calls that filled the
/// store, and what one large trace is, are megabytes: of 4 MB it held 16, of 16 MB between 13 and 17.
const MIN_STORE_MB: i64 = 32;

/// No configuration file counts.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// The configuration of a run. `files` has the sampling rules.
///
/// # Errors
/// Everything that is wrong with the flags and with the file of rules.
pub fn load(flags: &DevFlags, files: &dyn Files) -> Result<DevConfig, ConfigError> {
    let daemon = Flags {
        udp_address: flags.udp_address.clone(),
        tcp_address: flags.tcp_address.clone(),
        buffer_memory_mb: flags.buffer_memory_mb.clone(),
        log_level: flags.log_level.clone(),
        log_file: flags.log_file.clone(),
        log_format: flags.log_format.clone(),
        shutdown_timeout: flags.shutdown_timeout.clone(),
        allow_host: flags.allow_host.clone(),
        otlp_listen: otlp_listen(flags),
        warnings: flags.warnings.clone(),
        ..Flags::default()
    };
    let mut problems = Vec::new();
    let mut daemon = match config::load(&daemon, &Environment::default(), &NoFiles) {
        Ok(daemon) => Some(daemon),
        Err(error) => {
            problems.extend_from_slice(error.problems());
            None
        }
    };
    if let Some(daemon) = &mut daemon
        && flags.log_level.is_none()
    {
        // The traces are what one looks at; with -l info the daemon's own lines come with them.
        daemon.log.level = LogLevel::Warn;
    }
    let mut checked = |setting: &Option<Sourced<i64>>, least: i64, most: i64, default: usize| {
        let Some(Sourced { value, source }) = setting else {
            return default;
        };
        if !(least..=most).contains(value) {
            problems.push(format!("{source}: {value} is not between {least} and {most}."));
        }
        usize::try_from(*value).unwrap_or(default)
    };
    let default = Limits::default();
    let limits = Limits {
        max_traces: checked(&flags.max_traces, 1, MAX_TRACES, default.max_traces),
        max_bytes: checked(
            &flags.max_store_mb,
            MIN_STORE_MB,
            MAX_STORE_MB,
            default.max_bytes >> 20,
        ) << 20,
    };
    let sampling_rules = match flags
        .sampling_rules
        .as_ref()
        .map(|path| rules(&path.value, files))
    {
        None => Vec::new(),
        Some(Ok(rules)) => rules,
        Some(Err(problem)) => {
            problems.push(problem);
            Vec::new()
        }
    };
    let mut sampling_rules = sampling_rules;
    if !sampling_rules.iter().any(SamplingRule::is_default) {
        sampling_rules.push(
            match flags
                .sampling
                .as_ref()
                .map(|sampling| sampling.value)
                .unwrap_or_default()
            {
                Sampling::All => SamplingRule::default_of_all(),
                Sampling::Aws => SamplingRule::default_rule(),
            },
        );
    }
    match daemon {
        Some(daemon) if problems.is_empty() => Ok(DevConfig {
            daemon,
            tree: flags.tree.as_ref().is_some_and(|tree| tree.value),
            sampling_rules,
            store: flags.store.as_ref().map(|store| store.value.clone()),
            open: flags.open.iter().map(|file| file.value.clone()).collect(),
            tail: flags.tail.iter().map(|file| file.value.clone()).collect(),
            limits,
        }),
        _ => Err(ConfigError::of(problems)),
    }
}

/// Where OTLP is taken: where SDKs send by default, over gRPC and over HTTP, unless a flag names other addresses.
fn otlp_listen(flags: &DevFlags) -> Vec<Sourced<String>> {
    if !flags.otlp_listen.is_empty() {
        return flags.otlp_listen.clone();
    }
    ["127.0.0.1:4317", "127.0.0.1:4318"]
        .map(|address| Sourced {
            value: address.to_owned(),
            source: config::DEFAULT_SOURCE.to_owned(),
        })
        .into()
}

/// The settings of a run as a table, each with its source, as `xray --print-config` shows the daemon's. `default_memory_mb`
/// is the buffer memory of a run that is given none.
#[must_use]
pub fn table(flags: &DevFlags, config: &DevConfig, default_memory_mb: u64) -> String {
    let daemon = &config.daemon;
    let path = |path: &Option<Sourced<PathBuf>>, none: &str| {
        path.as_ref()
            .map_or(none.to_owned(), |path| path.value.display().to_string())
    };
    let files = |name: &'static str, files: &[Sourced<PathBuf>]| {
        let paths: Vec<String> = files
            .iter()
            .map(|file| file.value.display().to_string())
            .collect();
        let shown = if paths.is_empty() {
            "none".to_owned()
        } else {
            paths.join(", ")
        };
        line(name, shown, [files.first().map(|first| &first.source), None])
    };
    let sampling = match flags
        .sampling
        .as_ref()
        .map(|sampling| sampling.value)
        .unwrap_or_default()
    {
        Sampling::All => "all",
        Sampling::Aws => "aws",
    };
    let listen = daemon.otlp.iter().flat_map(|otlp| &otlp.listen);
    let listen: Vec<&str> = listen.map(|address| address.value.as_str()).collect();
    let listen = match &listen[..] {
        [] => "none".to_owned(),
        addresses => addresses.join(", "),
    };
    shown::aligned(vec![
        line(
            "bind",
            &daemon.udp.address.value,
            [Some(&daemon.udp.address.source), None],
        ),
        line(
            "bind-tcp",
            &daemon.tcp.address.value,
            [Some(&daemon.tcp.address.source), None],
        ),
        list("allow-host", &daemon.tcp.allow_host, &flags.allow_host, &[]),
        line(
            "otlp-listen",
            listen,
            [flags.otlp_listen.first().map(|first| &first.source), None],
        ),
        line(
            "buffer-memory",
            format!("{} MB", daemon.buffer.memory_mb.unwrap_or(default_memory_mb)),
            [from(&flags.buffer_memory_mb), None],
        ),
        line("tree", config.tree, [from(&flags.tree), None]),
        line("sampling", sampling, [from(&flags.sampling), None]),
        line(
            "sampling-rules",
            path(&flags.sampling_rules, "none"),
            [from(&flags.sampling_rules), None],
        ),
        line("store", path(&flags.store, "none"), [from(&flags.store), None]),
        files("open", &flags.open),
        files("tail", &flags.tail),
        line(
            "max-traces",
            config.limits.max_traces,
            [from(&flags.max_traces), None],
        ),
        line(
            "max-store-mb",
            format!("{} MB", config.limits.max_bytes >> 20),
            [from(&flags.max_store_mb), None],
        ),
        line(
            "shutdown-timeout",
            shown::seconds(daemon.shutdown_timeout),
            [from(&flags.shutdown_timeout), None],
        ),
        line(
            "log-level",
            shown::level(daemon.log.level),
            [from(&flags.log_level), None],
        ),
        line(
            "log-format",
            shown::format(daemon.log.format),
            [from(&flags.log_format), None],
        ),
        line(
            "log-file",
            path(&flags.log_file, "stdout"),
            [from(&flags.log_file), None],
        ),
    ])
}

fn rules(path: &Path, files: &dyn Files) -> Result<Vec<SamplingRule>, String> {
    let shown = quoted(&path.to_string_lossy());
    let bytes = files
        .read(path)
        .map_err(|error| format!("--sampling-rules {shown}: {error}."))?;
    let text = String::from_utf8_lossy(&bytes);
    sampling::rules_of_file(&text).map_err(|reason| format!("--sampling-rules {shown}: {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rules(&'static str);

    impl Files for Rules {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    fn number(value: i64) -> Option<Sourced<i64>> {
        Some(Sourced {
            value,
            source: "flag --max-traces".to_owned(),
        })
    }

    #[test]
    fn without_flags_everything_has_its_default() {
        let config = load(&DevFlags::default(), &NoFiles).unwrap();
        assert_eq!(config.daemon.udp.address.value, "127.0.0.1:2000");
        assert_eq!(config.daemon.log.level, LogLevel::Warn);
        let otlp = config.daemon.otlp.unwrap();
        let listens = otlp.listen.iter().map(|address| address.value.as_str());
        assert_eq!(listens.collect::<Vec<_>>(), ["127.0.0.1:4317", "127.0.0.1:4318"]);
        assert_eq!(otlp.spans_to(), config::otlp::Targets::XRAY);
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.sampling_rules, [SamplingRule::default_of_all()]);
        assert!(config.store.is_none());
    }

    #[test]
    fn a_flag_chooses_where_otlp_is_taken_and_an_empty_one_takes_none() {
        let listens = |addresses: &[&str]| {
            let otlp_listen = addresses.iter().map(|address| Sourced {
                value: (*address).to_owned(),
                source: "flag --otlp-listen".to_owned(),
            });
            let flags = DevFlags {
                otlp_listen: otlp_listen.collect(),
                ..DevFlags::default()
            };
            let otlp = load(&flags, &NoFiles).unwrap().daemon.otlp;
            otlp.map(|otlp| {
                otlp.listen
                    .into_iter()
                    .map(|address| address.value)
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(listens(&["[::1]:4318"]), Some(vec!["[::1]:4318".to_owned()]));
        assert_eq!(listens(&[""]), None);
    }

    #[test]
    fn each_setting_is_shown_with_where_it_comes_from() {
        let flags = DevFlags {
            max_traces: number(7),
            tree: Some(Sourced {
                value: true,
                source: "XRAY_TREE".to_owned(),
            }),
            ..DevFlags::default()
        };
        let config = load(&flags, &NoFiles).unwrap();
        assert_eq!(
            table(&flags, &config, 16),
            "bind              127.0.0.1:2000                  default\n\
             bind-tcp          127.0.0.1:2000                  default\n\
             allow-host        none                            default\n\
             otlp-listen       127.0.0.1:4317, 127.0.0.1:4318  default\n\
             buffer-memory     16 MB                           default\n\
             tree              true                            XRAY_TREE\n\
             sampling          all                             default\n\
             sampling-rules    none                            default\n\
             store             none                            default\n\
             open              none                            default\n\
             tail              none                            default\n\
             max-traces        7                               flag --max-traces\n\
             max-store-mb      256 MB                          default\n\
             shutdown-timeout  8 s                             default\n\
             log-level         warn                            default\n\
             log-format        text                            default\n\
             log-file          stdout                          default\n"
        );
    }

    #[test]
    fn every_request_is_sampled_unless_a_flag_or_a_file_says_otherwise() {
        let aws = DevFlags {
            sampling: Some(Sourced {
                value: Sampling::Aws,
                source: "flag --sampling".to_owned(),
            }),
            ..DevFlags::default()
        };
        let rules = |flags: &DevFlags, file: &'static str| {
            let rules = load(flags, &Rules(file)).unwrap().sampling_rules;
            let rates = rules.iter().map(|rule| (rule.rule_name.clone(), rule.fixed_rate));
            rates.collect::<Vec<_>>()
        };
        let default = |rate: f64| ("Default".to_owned(), rate);
        assert_eq!(rules(&DevFlags::default(), ""), [default(1.0)]);
        assert_eq!(rules(&aws, ""), [default(0.05)]);
        let of_file = |flags: &DevFlags| DevFlags {
            sampling_rules: Some(Sourced {
                value: "rules.json".into(),
                source: "flag --sampling-rules".to_owned(),
            }),
            ..flags.clone()
        };
        let home = r#"[{"RuleName":"home","Priority":1,"FixedRate":0.5,"ReservoirSize":1}]"#;
        assert_eq!(
            rules(&of_file(&aws), home),
            [("home".to_owned(), 0.5), default(0.05)]
        );
        assert_eq!(
            rules(&of_file(&DevFlags::default()), home),
            [("home".to_owned(), 0.5), default(1.0)]
        );
        // An SDK's local rules have a default of their own.
        let local = r#"{"version":2,"default":{"fixed_target":1,"rate":0.1}}"#;
        assert_eq!(rules(&of_file(&DevFlags::default()), local), [default(0.1)]);
    }

    #[test]
    fn every_problem_is_told_with_its_flag() {
        let flags = DevFlags {
            max_traces: number(0),
            max_store_mb: Some(Sourced {
                value: 31,
                source: "flag --max-store-mb".to_owned(),
            }),
            sampling_rules: Some(Sourced {
                value: "rules.json".into(),
                source: "flag --sampling-rules".to_owned(),
            }),
            udp_address: Some(Sourced {
                value: "x".to_owned(),
                source: "flag -b".to_owned(),
            }),
            ..DevFlags::default()
        };
        let error = load(&flags, &Rules("[{}]")).unwrap_err();
        let problems = error.problems();
        assert!(problems[0].starts_with("flag -b: "), "{problems:?}");
        assert_eq!(problems[1], "flag --max-traces: 0 is not between 1 and 10000000.");
        assert_eq!(
            problems[2],
            "flag --max-store-mb: 31 is not between 32 and 1048576."
        );
        assert!(
            problems[3].starts_with("--sampling-rules \"rules.json\": rule 1: missing field"),
            "{problems:?}"
        );
        assert!(load(&flags, &NoFiles).unwrap_err().problems()[3].contains("rules.json"));
    }
}
