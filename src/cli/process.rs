//! The command line of a daemon that runs, as the system tells it.

use std::ffi::OsString;
use std::path::Path;

use super::definition::is_program;
use super::{Invocation, parse};
use crate::config::Files;

/// Where Linux tells how process 1 was started: in a container, what the entry point and the arguments made together.
const PROCESS_ONE: &str = "/proc/1/cmdline";

/// What process 1 was started for, if that is this program or an init that started it: `None` on a host, where
/// process 1 is another one.
#[must_use]
pub fn of_process_one(files: &dyn Files) -> Option<Invocation> {
    invocation(&files.read(Path::new(PROCESS_ONE)).ok()?)
}

/// Of a command line whose arguments each end in a NUL. An init (`docker run --init`) has options of its own, then the
/// program.
fn invocation(command_line: &[u8]) -> Option<Invocation> {
    let text = String::from_utf8_lossy(command_line);
    let mut arguments = text.split_terminator('\0');
    let first = arguments.next()?;
    if !is_program(first) {
        arguments
            .find(|argument| !argument.starts_with('-'))
            .filter(|next| is_program(next))?;
    }
    parse(arguments.map(OsString::from)).ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct ProcessOne(Option<&'static str>);

    impl Files for ProcessOne {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            assert_eq!(path, Path::new("/proc/1/cmdline"));
            self.0
                .map(|text| text.replace('|', "\0").into_bytes())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    /// `|` in place of each NUL.
    fn tcp_address(command_line: &'static str) -> Option<Option<String>> {
        match of_process_one(&ProcessOne(Some(command_line))) {
            Some(Invocation::Run(flags)) => Some(flags.tcp_address.map(|sourced| sourced.value)),
            Some(Invocation::Dev(flags)) => Some(flags.tcp_address.map(|sourced| sourced.value)),
            _ => None,
        }
    }

    #[test]
    fn the_daemon_that_process_one_is_or_was_started_by_it_has_its_flags() {
        for (command_line, address) in [
            ("/xray|-t|0.0.0.0:2000|-b|:2000|-o|", Some(Some("0.0.0.0:2000"))),
            ("xray|-t|:1|-t|:2|", Some(Some(":2"))),
            ("/usr/bin/xray|", Some(None)),
            ("/xray|dev|-t|:3|", Some(Some(":3"))),
            ("/sbin/docker-init|--|/xray|-t|:4|", Some(Some(":4"))),
            ("tini|-g|--|xray|-t=:5|", Some(Some(":5"))),
            ("/sbin/init|splash|", None),
            ("/usr/lib/systemd/systemd|--system|", None),
            ("python|app.py|xray|", None),
            ("/xray|healthcheck|", None),
            ("/xray|--nope|", None),
            ("", None),
        ] {
            let expected = address.map(|address| address.map(ToOwned::to_owned));
            assert_eq!(tcp_address(command_line), expected, "{command_line:?}");
        }
        assert_eq!(of_process_one(&ProcessOne(None)), None);
    }
}
