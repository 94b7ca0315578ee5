use super::report::Level;
use super::*;
use crate::config::{self, Flags, SystemFiles};

fn levels(report: &Report) -> Vec<(&'static str, Level)> {
    let verdicts = report.verdicts.iter();
    verdicts.map(|verdict| (verdict.check, verdict.level)).collect()
}

#[test]
fn settings_that_can_not_be_used_are_the_failure_and_the_rest_is_skipped() {
    let flags = Flags {
        buffer_memory_mb: Some(config::Sourced {
            value: 2,
            source: "flag -m".to_owned(),
        }),
        ..Flags::default()
    };
    let report = examine(
        move || Err(config::load(&flags, &Environment::default(), &SystemFiles).unwrap_err()),
        true,
    );
    let levels = levels(&report);
    assert_eq!(levels[0], ("settings", Level::Fail));
    assert!(report.verdicts[0].message.contains("flag -m"), "{report:?}");
    let skipped = levels[1..].iter().filter(|(_, level)| *level == Level::Skip);
    let made = checks(OfOtlp::default()).len();
    assert_eq!(skipped.count(), made - 2, "all but the receive buffer");
}

#[test]
fn a_check_that_breaks_down_leaves_a_report() {
    let report = examine(|| panic!("planted"), true);
    assert_eq!(report.verdicts.len(), checks(OfOtlp::default()).len());
    assert!(!report.is_sound());
    assert!(report.verdicts[0].message.contains("ended without a verdict"));
}

/// A daemon with no setting but free addresses.
fn subject(is_dev: bool) -> Subject {
    let free = || {
        Some(config::Sourced {
            value: "127.0.0.1:0".to_owned(),
            source: "flag".to_owned(),
        })
    };
    let flags = Flags {
        udp_address: free(),
        tcp_address: free(),
        ..Flags::default()
    };
    Subject {
        config: config::load(&flags, &Environment::default(), &SystemFiles).unwrap(),
        settings: Vec::new(),
        environment: Environment::default(),
        is_dev,
    }
}

#[test]
fn a_check_that_hangs_leaves_a_report_in_time() {
    let (_hold, held) = mpsc::channel::<()>();
    let hangs = move || {
        // Until the test is over.
        held.recv().unwrap_or_default();
        Ok(subject(false))
    };
    let report = examine_within(Duration::from_millis(20), on_a_thread, hangs, true);
    assert_eq!(report.verdicts.len(), checks(OfOtlp::default()).len());
    for verdict in &report.verdicts {
        assert_eq!(verdict.level, Level::Fail);
        assert_eq!(verdict.message, "no answer within ten seconds");
    }
}

#[test]
fn a_machine_that_gives_no_thread_leaves_a_report_that_says_so() {
    let refuses = |_| Err(io::Error::from(io::ErrorKind::WouldBlock));
    let report = examine_within(TIME_LIMIT, refuses, || Ok(subject(false)), true);
    assert_eq!(report.verdicts.len(), checks(OfOtlp::default()).len());
    for verdict in &report.verdicts {
        assert_eq!(verdict.level, Level::Fail);
        assert!(
            verdict.message.starts_with("no thread to look with: "),
            "{verdict:?}"
        );
        assert!(
            verdict.remedy.as_ref().unwrap().contains("ulimit -u"),
            "{verdict:?}"
        );
    }
}

#[test]
fn xray_dev_is_looked_at_without_a_way_to_aws() {
    let report = examine(|| Ok(subject(true)), false);
    let settings = &report.verdicts[0];
    assert_eq!(settings.message, "those of xray dev, which process 1 is");
    for verdict in &report.verdicts {
        let is_of_xray = OF_XRAY.contains(&verdict.check) || verdict.check == CREDENTIAL_FILES;
        assert_eq!(
            verdict.message == "xray dev is X-Ray itself, and calls no AWS",
            is_of_xray,
            "{verdict:?}"
        );
    }
}
