//! The installed log; alone in its process, since a process has only one.

use xray::config::{LogConfig, LogFormat, LogLevel};
use xray::logs::{LogError, init};

#[test]
fn the_log_of_the_process_is_installed_once_and_says_where_a_panic_was() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    let config = LogConfig {
        level: LogLevel::Info,
        format: LogFormat::Text,
        file: Some(path.clone()),
        rotation: true,
    };
    let handle = init(&config, None).unwrap();
    assert!(matches!(init(&config, None), Err(LogError::Installed)));
    std::thread::spawn(|| {
        tracing::info!(target: "xray::test", "from another thread");
        panic!("not for the log");
    })
    .join()
    .unwrap_err();
    assert!(handle.shutdown());
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("Z [Info] from another thread\n"), "{written}");
    let place = "Z [Error] Internal error at tests/log_of_the_process.rs:";
    assert!(written.contains(place), "{written}");
    assert!(!written.contains("not for the log"), "{written}");
}
