//! `xray doctor`: why there are no traces, from this machine or container, without changing anything.
//!
//! | module | its one job |
//! |---|---|
//! | [`report`] | verdicts, as lines and as JSON |
//! | `ports`, `holder` | can the addresses be had, or who has them |
//! | `running` | the daemon that runs: how it is, whether a datagram reaches it |
//! | `machine` | receive buffer, memory |
//! | `files`, `sdks` | what lies or is set beside the daemon, and is often wrong |
//! | `service` | region, credentials, and the way to X-Ray step by step |
//! | `call` | what an answer and a clock mean |
//!
//! Each check's verdict is a function of what was found; finding it has limits of its own. Over all of them stands one
//! limit of time: whatever a disk, a resolver or a proxy does, there is a report.

mod call;
mod files;
mod holder;
mod machine;
mod ports;
pub mod report;
mod running;
mod sdks;
mod service;

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use self::report::{CHECKS, Report, Verdict};
use crate::config::{self, Config, ConfigError, Environment, Setting};

/// When the report is made, whoever has not answered by then. Below ten seconds with all that is around it.
const TIME_LIMIT: Duration = Duration::from_millis(9_500);

/// When the checks are to be over that ask others: a little before.
const ASKING_LIMIT: Duration = Duration::from_secs(9);

/// The checks that have a verdict also when the settings can't be used.
const ITS_OWN: [&str; 2] = ["settings", "receive-buffer"];

/// The daemon that is looked at.
#[derive(Debug)]
pub struct Subject {
    /// Its settings, and each with the place it comes from.
    pub config: Config,
    /// The same, to be shown.
    pub settings: Vec<Setting>,
    /// Its variables.
    pub environment: Environment,
    /// It is `xray dev`, which calls no AWS.
    pub is_dev: bool,
}

/// What a thread tells whoever waits for it.
enum Told {
    Settings(Vec<Setting>),
    Verdict(Verdict),
}

/// Looks at the daemon that `subject` reads the settings of, and at all around it. Takes ten seconds at the most. With
/// `no_calls` nothing signed is sent to X-Ray.
#[expect(clippy::disallowed_methods, reason = "its report has a deadline")]
pub fn examine(
    subject: impl FnOnce() -> Result<Subject, ConfigError> + Send + 'static,
    no_calls: bool,
) -> Report {
    let start = Instant::now();
    let (tell, told) = mpsc::channel();
    let looking = thread::Builder::new()
        .name("doctor".to_owned())
        .spawn(move || look(subject, no_calls, start, &tell));
    if let Err(error) = looking {
        return Report::of(
            Vec::new(),
            Vec::new(),
            &format!("no thread to look with: {error}"),
        );
    }
    let (mut verdicts, mut settings) = (Vec::new(), Vec::new());
    let missing = loop {
        let left = (start + TIME_LIMIT).saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(Told::Settings(told)) => settings = told,
            Ok(Told::Verdict(verdict)) => verdicts.push(verdict),
            Err(RecvTimeoutError::Timeout) => break "no answer within ten seconds",
            Err(RecvTimeoutError::Disconnected) => {
                break "the check ended without a verdict, a fault of this program";
            }
        }
        if verdicts.len() == CHECKS.len() {
            break "";
        }
    };
    Report::of(verdicts, settings, missing)
}

fn look(
    subject: impl FnOnce() -> Result<Subject, ConfigError>,
    no_calls: bool,
    start: Instant,
    tell: &Sender<Told>,
) {
    let say = |verdict| told(tell, verdict);
    let subject = match subject() {
        Ok(subject) => subject,
        Err(error) => {
            let remedy = "mend it: the daemon does not start with it";
            say(Verdict::fail("settings", error.problems().join(" "), remedy));
            say(machine::receive_buffer());
            for check in CHECKS.into_iter().filter(|check| !ITS_OWN.contains(check)) {
                say(Verdict::skip(check, "needs settings that can be used"));
            }
            return;
        }
    };
    say(settings(&subject));
    // Whoever waits may have given up.
    drop(tell.send(Told::Settings(subject.settings.clone())));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let remedy = "see what the system refuses: file descriptors, threads";
            say(Verdict::fail(
                "daemon",
                format!("this machine gives no more: {error}"),
                remedy,
            ));
            return;
        }
    };
    runtime.block_on(look_around(subject, no_calls, start, tell.clone()));
    // What hangs in the system is not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
}

fn told(tell: &Sender<Told>, verdict: Verdict) {
    // Whoever waits may have given up.
    drop(tell.send(Told::Verdict(verdict)));
}

/// All but the settings, at once: what asks this machine on threads that may wait, and the way to X-Ray.
async fn look_around(subject: Subject, no_calls: bool, start: Instant, tell: Sender<Told>) {
    let Subject {
        config,
        environment,
        is_dev,
        ..
    } = subject;
    let beside = {
        let (config, environment, tell) = (config.clone(), environment.clone(), tell.clone());
        spawn_blocking(move || {
            told(&tell, machine::receive_buffer());
            told(&tell, sdks::verdict(&config, &environment));
            told(&tell, files::verdict(&environment));
        })
    };
    let here = {
        let (config, tell) = (config.clone(), tell.clone());
        spawn_blocking(move || look_here(&config, &tell))
    };
    let say = |verdict| told(&tell, verdict);
    if is_dev {
        for check in &CHECKS[10..] {
            say(Verdict::skip(check, "xray dev is X-Ray itself, and calls no AWS"));
        }
    } else {
        let end = (start + ASKING_LIMIT).into();
        Box::pin(service::look(&config, &environment, no_calls, end, &say)).await;
    }
    // One that panicked has told nothing, which shows in the report.
    drop(beside.await);
    drop(here.await);
}

/// The addresses, and the daemon that has them.
fn look_here(config: &Config, tell: &Sender<Told>) {
    let udp = ports::udp(config);
    let tcp = if config.tcp.closed {
        None
    } else {
        Some(ports::tcp(config))
    };
    let metrics = tcp
        .as_ref()
        .filter(|tcp| tcp.is_in_use())
        .and_then(|_| running::metrics(config));
    let metrics = metrics.as_deref();
    told(
        tell,
        ports::verdict("udp", &config.udp.address, &udp, metrics.is_some()),
    );
    told(
        tell,
        match &tcp {
            Some(tcp) => ports::verdict("tcp", &config.tcp.address, tcp, metrics.is_some()),
            None => Verdict::skip("tcp", "the daemon is told to have no TCP port (--no-tcp)"),
        },
    );
    told(tell, running::kernel_drops(&udp, metrics));
    let process = udp.holder().and_then(|holder| holder.process.as_ref());
    told(tell, machine::memory(config, process.map(|process| process.id)));
    told(tell, running::verdict(config, &udp, tcp.as_ref(), metrics));
    told(tell, running::datagram(config, &udp, metrics));
}

/// The settings in force that somebody made, each with its place.
fn settings(subject: &Subject) -> Verdict {
    let always = ["bind", "bind-tcp"];
    let made: Vec<String> = subject
        .settings
        .iter()
        .filter(|setting| !setting.is_default() || always.contains(&setting.name))
        .map(|setting| format!("{} {} ({})", setting.name, setting.value, setting.source))
        .collect();
    let message = match subject.is_dev {
        true => "those of xray dev, which process 1 is".to_owned(),
        false => format!(
            "{}; the rest is as by default (xray --print-config)",
            made.join(", ")
        ),
    };
    match subject.config.warnings.as_slice() {
        [] => Verdict::ok("settings", message),
        warnings => Verdict::warn(
            "settings",
            message,
            format!("look at this: {}", config::in_words(warnings, " ")),
        ),
    }
}

#[cfg(test)]
mod tests;
