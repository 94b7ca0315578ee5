//! The configuration file. The input is the file.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::assert_is_plain;
use crate::subject::config::{
    Config, ConfigError, Environment, Files, Flags, Sourced, allowed_host, endpoint, load, proxy, proxy_path,
};

/// The most that one line says, in bytes: a name and a value of 160 characters each, and the names of all keys.
pub(crate) const LINE_MAX_BYTES: usize = 4_000;

/// A file is read or refused in lines of plain text. What is taken keeps to the bounds of its settings and is in the
/// form that the rest of the program relies on; and what is taken with `-c` is the same in the default place.
///
/// # Panics
/// When one of these does not hold.
pub fn check(file: &[u8]) {
    let named = Flags {
        config_file: Some(Sourced {
            value: "x".into(),
            source: "flag -c".to_owned(),
        }),
        ..Flags::default()
    };
    let strict = loaded(&named, file);
    let lenient = loaded(&Flags::default(), file);
    match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => {
            assert_eq!(settings(&strict), settings(&lenient));
            assert_eq!(strict.otlp.is_some(), lenient.otlp.is_some());
            assert_eq!(strict.warnings.len(), lenient.warnings.len());
        }
        (Ok(_), Err(error)) => panic!("only with -c: {error}"),
        (Err(_), _) => {}
    }
}

/// The configuration with every file like this one, checked.
pub(crate) fn loaded(flags: &Flags, file: &[u8]) -> Result<Config, ConfigError> {
    let loaded = load(flags, &Environment::default(), &Same(file));
    match &loaded {
        Ok(config) => {
            is_within_bounds(config);
            for warning in &config.warnings {
                assert_is_plain(&warning.text, LINE_MAX_BYTES);
            }
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            for line in error.problems() {
                assert_is_plain(line, LINE_MAX_BYTES);
            }
        }
    }
    loaded
}

fn is_within_bounds(config: &Config) {
    let hour = Duration::from_secs(3600);
    assert!(
        config
            .buffer
            .memory_mb
            .is_none_or(|mb| (3..=1 << 20).contains(&mb))
    );
    assert!(config.xray.concurrency.is_none_or(|calls| calls.get() <= 1_000));
    for timeout in [config.xray.connect_timeout, config.xray.call_timeout] {
        assert!(!timeout.is_zero() && timeout <= hour);
    }
    assert!(config.shutdown_timeout <= hour);
    if let Some(spool) = &config.spool {
        assert!((16..=1 << 20).contains(&spool.size_mb));
        assert!(!spool.directory.value.as_os_str().is_empty());
    }
    // What is checked stays as it is when it is checked again.
    if let Some(Sourced { value, .. }) = &config.xray.endpoint {
        assert_eq!(endpoint(value).as_ref(), Ok(value));
    }
    if let Some(Sourced { value, .. }) = &config.xray.proxy_address {
        assert_eq!(proxy(value).as_ref(), Ok(value));
    }
    for path in &config.tcp.proxy_allow {
        assert_eq!(proxy_path(path).as_ref(), Ok(path));
    }
    for host in &config.tcp.allow_host {
        assert_eq!(allowed_host(host).as_ref(), Ok(host));
    }
    assert!(
        config
            .xray
            .region
            .as_ref()
            .is_none_or(|region| !region.value.is_empty())
    );
}

/// Without the places where they came from.
fn settings(config: &Config) -> Config {
    let mut config = config.clone();
    // Each text in it has a source.
    config.otlp = None;
    for setting in [
        Some(&mut config.udp.address),
        Some(&mut config.tcp.address),
        config.xray.region.as_mut(),
        config.xray.endpoint.as_mut(),
        config.xray.role_arn.as_mut(),
        config.xray.proxy_address.as_mut(),
    ]
    .into_iter()
    .flatten()
    {
        setting.source.clear();
    }
    if let Some(spool) = &mut config.spool {
        spool.directory.source.clear();
    }
    Config {
        config_file: None,
        warnings: Vec::new(),
        ..config
    }
}

/// Every path is a file of these bytes.
struct Same<'b>(&'b [u8]);

impl Files for Same<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }
}
