//! Log files: making, appending, rotating, reopening, failing.

use super::super::file::{LogFile, old_path};
use super::super::*;
use super::{clock, log, text};
use std::path::Path;
use tempfile::TempDir;

fn to_file(path: &Path, limit_bytes: Option<u64>) -> (Dispatch, LogHandle) {
    let target = Target::File(LogFile::open(path, limit_bytes).unwrap());
    start(LogLevel::Info, LogFormat::Text, clock, target, QUEUE_BYTES).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_is_made_with_its_directories_and_appended_to() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b/xray.log");
    for line in ["first run", "second run"] {
        let (dispatch, handle) = to_file(&path, Some(ROTATE_BYTES));
        log(&dispatch, &handle, || tracing::info!("{line}"));
    }
    assert_eq!(read(&path), text(&["[Info] first run", "[Info] second run"]));
    // Windows has no modes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        // 0644 less whatever the umask takes.
        assert_eq!(mode & 0o777 & !0o644, 0, "{mode:o}");
        assert_eq!(mode & 0o600, 0o600, "{mode:o}");
    }
}

/// 30 bytes.
fn thirty() {
    tracing::info!("x");
}

#[test]
fn a_file_is_rotated_before_the_line_that_would_exceed_the_limit_and_one_old_file_is_kept() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    let line = text(&["[Info] x"]);
    assert_eq!(line.len(), 30);
    let (dispatch, handle) = to_file(&path, Some(60));
    log(&dispatch, &handle, || (0..2).for_each(|_| thirty()));
    assert_eq!(read(&path), line.repeat(2), "exactly the limit");
    assert!(!old_path(&path).exists());
    log(&dispatch, &handle, thirty);
    assert_eq!(
        (read(&old_path(&path)), read(&path)),
        (line.repeat(2), line.clone())
    );
    log(&dispatch, &handle, || tracing::info!("y"));
    log(&dispatch, &handle, || tracing::info!("z"));
    assert_eq!(
        (read(&old_path(&path)), read(&path)),
        (text(&["[Info] x", "[Info] y"]), text(&["[Info] z"]))
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn the_size_of_a_file_from_an_earlier_run_counts_to_the_byte() {
    for (size_before, rotated) in [
        (ROTATE_BYTES - 30, false),
        (ROTATE_BYTES - 29, true),
        (ROTATE_BYTES + 1, true),
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("xray.log");
        // Sparse: no 50 MB are written.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(size_before)
            .unwrap();
        let (dispatch, handle) = to_file(&path, Some(52_428_800));
        log(&dispatch, &handle, thirty);
        assert_eq!(old_path(&path).exists(), rotated, "{size_before}");
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!(size, if rotated { 30 } else { 52_428_800 });
    }
}

#[test]
fn without_rotation_a_file_grows() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(ROTATE_BYTES)
        .unwrap();
    let (dispatch, handle) = to_file(&path, None);
    log(&dispatch, &handle, thirty);
    assert!(!old_path(&path).exists());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), ROTATE_BYTES + 30);
}

#[test]
fn a_line_longer_than_the_limit_gets_a_file_of_its_own() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    let (dispatch, handle) = to_file(&path, Some(10));
    log(&dispatch, &handle, thirty);
    log(&dispatch, &handle, || tracing::info!("y"));
    assert_eq!(read(&old_path(&path)), text(&["[Info] x"]));
    assert_eq!(read(&path), text(&["[Info] y"]));
}

#[test]
fn a_rotation_that_fails_is_told_and_tried_again_a_limit_later() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    // A directory in the way of the old file.
    std::fs::create_dir_all(old_path(&path).join("full")).unwrap();
    let (dispatch, handle) = to_file(&path, Some(30));
    log(&dispatch, &handle, || (0..2).for_each(|_| thirty()));
    let written = read(&path);
    let lines: Vec<_> = written.lines().collect();
    assert_eq!(lines.len(), 3, "{written}");
    let notice = format!(
        "2026-11-21T01:02:03Z [Warn] Cannot rotate the log file {}: ",
        path.display()
    );
    assert!(lines[1].starts_with(&notice), "{written}");
    std::fs::remove_dir_all(old_path(&path)).unwrap();
    log(&dispatch, &handle, thirty);
    assert_eq!(read(&path), text(&["[Info] x"]));
    assert_eq!(read(&old_path(&path)), written);
    assert_eq!(handle.lost_lines(), 0);
}

#[test]
fn reopen_follows_a_file_that_was_moved_away() {
    let directory = TempDir::new().unwrap();
    let (path, moved) = (directory.path().join("xray.log"), directory.path().join("moved"));
    let (dispatch, handle) = to_file(&path, Some(60));
    log(&dispatch, &handle, || tracing::info!("a"));
    std::fs::rename(&path, &moved).unwrap();
    log(&dispatch, &handle, || tracing::info!("b"));
    handle.reopen(None);
    log(&dispatch, &handle, || (0..2).for_each(|_| thirty()));
    assert_eq!(read(&moved), text(&["[Info] a", "[Info] b"]));
    assert_eq!(
        read(&path),
        text(&["[Info] x", "[Info] x"]),
        "the size began anew as well"
    );
}

#[test]
fn a_reopen_that_fails_keeps_the_file_that_is_open() {
    let directory = TempDir::new().unwrap();
    let (path, moved) = (directory.path().join("xray.log"), directory.path().join("moved"));
    let (dispatch, handle) = to_file(&path, None);
    std::fs::rename(&path, &moved).unwrap();
    std::fs::create_dir(&path).unwrap();
    handle.reopen(None);
    log(&dispatch, &handle, || tracing::info!("a"));
    let written = read(&moved);
    assert!(written.contains("[Warn] Cannot reopen the log file"), "{written}");
    assert!(written.ends_with(&text(&["[Info] a"])), "{written}");
}

#[test]
fn that_the_file_was_opened_anew_is_said_in_the_new_file_and_only_when_it_was() {
    let directory = TempDir::new().unwrap();
    let (path, moved) = (directory.path().join("xray.log"), directory.path().join("moved"));
    let (dispatch, handle) = to_file(&path, None);
    log(&dispatch, &handle, || tracing::info!("a"));
    std::fs::rename(&path, &moved).unwrap();
    handle.reopen(Some("opened anew"));
    log(&dispatch, &handle, || tracing::info!("b"));
    assert_eq!(read(&moved), text(&["[Info] a"]));
    assert_eq!(read(&path), text(&["[Info] opened anew", "[Info] b"]));

    let kept = directory.path().join("kept");
    std::fs::rename(&path, &kept).unwrap();
    std::fs::create_dir(&path).unwrap();
    handle.reopen(Some("opened anew"));
    log(&dispatch, &handle, || tracing::info!("c"));
    let written = read(&kept);
    assert!(written.contains("[Warn] Cannot reopen the log file"), "{written}");
    assert!(written.ends_with(&text(&["[Info] c"])), "{written}");
    assert_eq!(written.matches("opened anew").count(), 1, "{written}");
}

#[test]
fn that_the_file_was_opened_anew_is_not_said_when_only_warnings_are_asked_for() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("xray.log");
    let target = Target::File(LogFile::open(&path, None).unwrap());
    let (_, handle) = start(LogLevel::Warn, LogFormat::Text, clock, target, QUEUE_BYTES).unwrap();
    handle.reopen(Some("opened anew"));
    assert!(handle.shutdown());
    assert_eq!(read(&path), "");
}

// /dev/full is there only.
#[cfg(target_os = "linux")]
#[test]
fn a_file_on_a_full_disk_loses_lines_but_not_the_daemon() {
    let (dispatch, handle) = to_file(Path::new("/dev/full"), Some(1));
    log(&dispatch, &handle, || (0..3).for_each(|_| thirty()));
    assert_eq!(handle.lost_lines(), 3);
    assert!(Path::new("/dev/full").exists(), "a device is not rotated");
}

fn config(file: &Path) -> LogConfig {
    LogConfig {
        level: LogLevel::Info,
        format: LogFormat::Text,
        file: Some(file.to_owned()),
        rotation: true,
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_the_start_that_says_what_to_do() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, cause) in [
        (directory.path().to_owned(), "Is a directory (os error 21)"),
        (file.join("xray.log"), "os error"),
    ] {
        let Err(err) = init(&config(&path), None) else {
            panic!("{} was opened", path.display());
        };
        let message = err.to_string();
        let start = format!(
            "cannot write the log file {} (flag -f, --log-file or Logging.LogPath in the configuration file): ",
            path.display()
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(cause), "{message}");
        assert!(
            message.ends_with("or leave it out to log to stdout."),
            "{message}"
        );
    }
}
