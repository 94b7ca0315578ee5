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
    assert_eq!(skipped.count(), CHECKS.len() - 2, "all but the receive buffer");
}

#[test]
fn a_check_that_breaks_down_leaves_a_report() {
    let report = examine(|| panic!("planted"), true);
    assert_eq!(report.verdicts.len(), CHECKS.len());
    assert!(!report.is_sound());
    assert!(report.verdicts[0].message.contains("ended without a verdict"));
}
