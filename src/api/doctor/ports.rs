//! The addresses: whether they can be had, or who has them.

use std::net::SocketAddr;

use super::holder::{self, Holder, Program};
use super::report::{Level, OTLP_LISTEN, Verdict};
use crate::config::{Config, DEFAULT_SOURCE, Sourced};
use crate::net::listen::{self, BindError, Port};
use crate::receivers::udp;

/// What was found of one address.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is, as far as the name could be looked up.
    pub(super) resolved: Option<SocketAddr>,
    pub(super) state: State,
}

/// Whether an address can be had.
#[derive(Debug)]
pub(super) enum State {
    Free,
    /// Somebody else has it, and who, where the system tells.
    InUse(Option<Holder>),
    /// It can't be had by anybody here: the whole sentence.
    Refused(String),
}

impl Found {
    pub(super) fn holder(&self) -> Option<&Holder> {
        match &self.state {
            State::InUse(holder) => holder.as_ref(),
            _ => None,
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.state, State::InUse(_))
    }

    /// Whether the process that has it is known to run this program.
    pub(super) fn is_ours(&self) -> bool {
        let process = self.holder().and_then(|holder| holder.process.as_ref());
        process.is_some_and(|process| process.program == Program::Ours)
    }
}

/// Takes the UDP address for a moment, where it is free.
pub(super) fn udp(config: &Config) -> Found {
    let address = &config.udp.address;
    found(Port::Udp, address, udp::bind(address).map(drop))
}

/// The same of the TCP address.
pub(super) fn tcp(config: &Config) -> Found {
    let address = &config.tcp.address;
    found(Port::Tcp, address, listen::tcp(address).map(drop))
}

/// Takes the addresses for OTLP for a moment, where they are free, and says of each who has it. `metrics` is what the daemon
/// answers on its TCP address.
pub(super) fn otlp(addresses: &[Sourced<String>], metrics: Option<&str>) -> Verdict {
    let answers = metrics.is_some_and(|page| page.contains("receiver=\"otlp_"));
    let verdicts = addresses.iter().map(|address| {
        let found = found(Port::Otlp, address, listen::otlp(address).map(drop));
        of_otlp(address, &found, answers)
    });
    together(verdicts.collect())
}

/// The verdict of one address for OTLP. The daemon goes on without one that nobody asked for.
fn of_otlp(address: &Sourced<String>, found: &Found, answers: bool) -> Verdict {
    let verdict = verdict(OTLP_LISTEN, address, found, answers);
    let is_optional = address.source == DEFAULT_SOURCE && verdict.level == Level::Fail;
    Verdict {
        level: if is_optional { Level::Warn } else { verdict.level },
        ..verdict
    }
}

/// One verdict of several: as bad as the worst of them.
fn together(verdicts: Vec<Verdict>) -> Verdict {
    let worst = [Level::Fail, Level::Warn]
        .into_iter()
        .find(|level| verdicts.iter().any(|verdict| verdict.level == *level));
    let messages: Vec<_> = verdicts.iter().map(|verdict| verdict.message.as_str()).collect();
    let mut remedies: Vec<_> = verdicts
        .iter()
        .filter_map(|verdict| verdict.remedy.as_deref())
        .collect();
    remedies.dedup();
    Verdict {
        check: OTLP_LISTEN,
        level: worst.unwrap_or(Level::Ok),
        message: messages.join("; "),
        remedy: Some(remedies.join("; ")).filter(|remedy| !remedy.is_empty()),
    }
}

fn found(port: Port, address: &Sourced<String>, bound: Result<(), BindError>) -> Found {
    let resolved = listen::resolve(&address.value).ok();
    let state = match bound {
        Ok(()) => State::Free,
        Err(error) if error.is_in_use() => {
            State::InUse(resolved.and_then(|resolved| holder::of(port, resolved)))
        }
        Err(error) => State::Refused(error.to_string()),
    };
    Found { resolved, state }
}

/// What to say of `found` at `address`. `answers`: a daemon of ours answers on the TCP address.
pub(super) fn verdict(
    check: &'static str,
    address: &Sourced<String>,
    found: &Found,
    answers: bool,
) -> Verdict {
    let (name, flag) = match check {
        "udp" => ("UDP", "-b"),
        "tcp" => ("TCP", "-t"),
        _ => ("OTLP", "--otlp-listen"),
    };
    let Sourced { value, source } = address;
    let place = format!("{name} {value} ({source})");
    let holder = match &found.state {
        State::Free => return Verdict::ok(check, format!("{place} is free: no daemon has it now")),
        State::Refused(sentence) => {
            return Verdict::fail(
                check,
                sentence,
                format!("choose another address, now set by {source}"),
            );
        }
        State::InUse(holder) => holder.as_ref(),
    };
    let unseen = || match (answers, holder) {
        (true, _) => Verdict::ok(
            check,
            format!("{place} is in use; a daemon of this kind answers here"),
        ),
        (false, holder) => Verdict::fail(
            check,
            match holder {
                Some(holder) => format!(
                    "{place} is in use by a process of user {} that this user may not see",
                    holder.user
                ),
                None => format!("{place} is in use, and the system does not tell by whom"),
            },
            format!(
                "run this as root to see which one it is; stop that one, or choose another address with {flag}"
            ),
        ),
    };
    let Some(process) = holder.and_then(|holder| holder.process.as_ref()) else {
        return unseen();
    };
    let who = format!("process {} ({})", process.id, process.name);
    match process.program {
        Program::Ours => Verdict::ok(
            check,
            format!("{place} is in use by a daemon of this kind, {who}"),
        ),
        Program::Official => Verdict::fail(
            check,
            format!("{place} is in use by the official X-Ray daemon, {who}: segments go there"),
            format!(
                "stop that one (`systemctl stop xray`, or its container), or choose another address with {flag}"
            ),
        ),
        Program::Agent => Verdict::fail(
            check,
            match check {
                OTLP_LISTEN => {
                    format!("{place} is in use by an agent that takes OTLP too, {who}: it goes there")
                }
                _ => format!("{place} is in use by an agent that takes segments too, {who}: they go there"),
            },
            match check {
                OTLP_LISTEN => format!("stop that one, or choose another address with {flag}"),
                _ => format!("switch X-Ray off in its configuration, or choose another address with {flag}"),
            },
        ),
        Program::Other => Verdict::fail(
            check,
            format!("{place} is in use by another program, {who}"),
            format!("stop that one, or choose another address with {flag}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::holder::Process;
    use super::super::report::Level;
    use super::*;

    fn in_use(program: Option<Program>) -> Found {
        let process = program.map(|program| Process {
            id: 7,
            name: "/usr/bin/it".to_owned(),
            program,
        });
        Found {
            resolved: None,
            state: State::InUse(Some(Holder {
                user: 1001,
                kernel_drops: 0,
                process,
            })),
        }
    }

    fn said(found: &Found, answers: bool) -> (Level, String) {
        said_of("udp", found, answers)
    }

    fn said_of(check: &'static str, found: &Found, answers: bool) -> (Level, String) {
        let address = Sourced {
            value: "127.0.0.1:2000".to_owned(),
            source: "default".to_owned(),
        };
        let verdict = verdict(check, &address, found, answers);
        assert_eq!(verdict.remedy.is_some(), verdict.level == Level::Fail);
        (verdict.level, verdict.message)
    }

    #[test]
    fn who_has_an_address_decides_whether_that_is_well() {
        for (program, level, words) in [
            (
                Some(Program::Ours),
                Level::Ok,
                "a daemon of this kind, process 7 (/usr/bin/it)",
            ),
            (
                Some(Program::Official),
                Level::Fail,
                "the official X-Ray daemon, process 7",
            ),
            (
                Some(Program::Agent),
                Level::Fail,
                "an agent that takes segments too, process 7",
            ),
            (Some(Program::Other), Level::Fail, "another program, process 7"),
            (
                None,
                Level::Fail,
                "a process of user 1001 that this user may not see",
            ),
        ] {
            let (found_level, message) = said(&in_use(program), false);
            assert_eq!(found_level, level, "{message}");
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn who_has_an_address_may_be_unknown() {
        let found = Found {
            resolved: None,
            state: State::InUse(None),
        };
        let (level, message) = said(&found, false);
        assert_eq!(level, Level::Fail);
        assert!(
            message.ends_with("is in use, and the system does not tell by whom"),
            "{message}"
        );
        assert_eq!(said(&found, true).0, Level::Ok);
    }

    #[test]
    fn a_process_that_can_not_be_seen_is_ours_if_it_answers_as_ours_does() {
        assert_eq!(said(&in_use(None), true).0, Level::Ok);
        assert_eq!(said(&in_use(Some(Program::Official)), true).0, Level::Fail);
    }

    #[test]
    fn what_can_not_be_had_by_anybody_is_told_in_the_daemons_own_words() {
        let address = Sourced {
            value: "192.0.2.1:2000".to_owned(),
            source: "flag -b".to_owned(),
        };
        let found = found(Port::Udp, &address, udp::bind(&address).map(drop));
        let verdict = verdict("udp", &address, &found, false);
        assert_eq!(verdict.level, Level::Fail);
        assert!(
            verdict
                .message
                .starts_with("Cannot listen on UDP 192.0.2.1:2000 (flag -b): "),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_collector_at_an_address_for_otlp_gets_what_is_meant_for_the_daemon() {
        let (level, message) = said_of(OTLP_LISTEN, &in_use(Some(Program::Agent)), true);
        assert_eq!(level, Level::Fail);
        assert!(
            message.starts_with("OTLP 127.0.0.1:2000 (default) is in use by an agent that takes OTLP too, ")
        );
    }

    #[test]
    fn of_several_addresses_the_worst_counts_and_each_is_told() {
        let free = Found {
            resolved: None,
            state: State::Free,
        };
        let taken = in_use(Some(Program::Other));
        let told = |source: &str, found: &[&Found]| {
            let of = |(place, found): (usize, &&Found)| {
                let address = Sourced {
                    value: format!("127.0.0.1:{place}"),
                    source: source.to_owned(),
                };
                of_otlp(&address, found, false)
            };
            together(found.iter().enumerate().map(of).collect())
        };
        let verdict = told("flag --otlp-listen", &[&free, &taken, &taken]);
        assert_eq!((verdict.check, verdict.level), (OTLP_LISTEN, Level::Fail));
        assert_eq!(
            verdict.message,
            "OTLP 127.0.0.1:0 (flag --otlp-listen) is free: no daemon has it now; OTLP 127.0.0.1:1 (flag --otlp-listen) is in \
             use by another program, process 7 (/usr/bin/it); OTLP 127.0.0.1:2 (flag --otlp-listen) is in use by another \
             program, process 7 (/usr/bin/it)"
        );
        assert_eq!(
            verdict.remedy.unwrap(),
            "stop that one, or choose another address with --otlp-listen"
        );
        // The daemon goes on without an address that nobody asked for.
        assert_eq!(told(DEFAULT_SOURCE, &[&free, &taken]).level, Level::Warn);
        let well = told("x", &[&free]);
        assert_eq!((well.level, well.remedy), (Level::Ok, None));
    }
}
