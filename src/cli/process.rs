//! The command line of a daemon that runs, as the system tells it.

use std::ffi::OsString;
use std::path::Path;

use super::definition::is_program;
use super::{Invocation, parse};
use crate::config::Files;

/// Where everything in a container begins.
const PROCESS_ONE: u32 = 1;

/// The most processes that are looked at: those that an entry point started, and not all of a busy machine.
const MAX_LOOKED_AT: usize = 64;

/// The daemon of this container: what process 1 was started for, if that is this program or an init that started it, or
/// what one that process 1 started was, itself or by others (`sh -c "…; xray"`, an init, a supervisor). `None` when there is
/// none, and on a host, whose process 1 starts what belongs to others.
#[must_use]
pub fn of_process_one(files: &dyn Files) -> Option<Invocation> {
    let command_line = command_line_of(files, PROCESS_ONE)?;
    if is_of_a_host(&command_line) {
        return None;
    }
    invocation(&command_line)
        .filter(is_daemon)
        .or_else(|| started_by_process_one(files))
}

/// The nearest one among the descendants, as far as the system tells them. What is in a network of its own, a container that a
/// machine or a container runs, can't be asked from here.
fn started_by_process_one(files: &dyn Files) -> Option<Invocation> {
    let network = |process: &str| files.link(Path::new(&format!("/proc/{process}/ns/net"))).ok();
    let own = network("self");
    let is_here = |process: u32| {
        let its = network(&process.to_string());
        own.is_none() || its.is_none() || own == its
    };
    let mut looked_at = vec![PROCESS_ONE];
    let mut next = 0;
    while let Some(&parent) = looked_at.get(next) {
        next += 1;
        let children = files.read(Path::new(&format!("/proc/{parent}/task/{parent}/children")));
        let children = String::from_utf8_lossy(&children.unwrap_or_default()).into_owned();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            if looked_at.len() >= MAX_LOOKED_AT {
                return None;
            }
            if !is_here(child) {
                continue;
            }
            let started = command_line_of(files, child).and_then(|line| invocation(&line));
            if let Some(daemon) = started.filter(is_daemon) {
                return Some(daemon);
            }
            looked_at.push(child);
        }
    }
    None
}

fn command_line_of(files: &dyn Files, process: u32) -> Option<Vec<u8>> {
    files.read(Path::new(&format!("/proc/{process}/cmdline"))).ok()
}

fn is_daemon(invocation: &Invocation) -> bool {
    matches!(invocation, Invocation::Run(_) | Invocation::Dev(_))
}

/// Whether a process 1 that was started so is a host's: systemd, or the init before it.
fn is_of_a_host(command_line: &[u8]) -> bool {
    let first = command_line.split(|byte| *byte == 0).next().unwrap_or_default();
    first.ends_with(b"/systemd") || matches!(first, b"systemd" | b"init" | b"/sbin/init" | b"/usr/sbin/init")
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
    use std::path::PathBuf;

    use super::*;

    /// Command lines by process, `|` in place of each NUL, each with the processes that it started.
    struct Processes(&'static [(u32, &'static str, &'static str)]);

    impl Files for Processes {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            let path = path.to_str().unwrap();
            let found = self.0.iter().find_map(|(process, command_line, children)| {
                if path == format!("/proc/{process}/cmdline") {
                    Some(command_line.replace('|', "\0").into_bytes())
                } else {
                    let told = path == format!("/proc/{process}/task/{process}/children");
                    told.then(|| children.as_bytes().to_vec())
                }
            });
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    type Table = &'static [(u32, &'static str, &'static str)];

    fn tcp_address(processes: Table) -> Option<Option<String>> {
        match of_process_one(&Processes(processes))? {
            Invocation::Run(flags) => Some(flags.tcp_address.map(|sourced| sourced.value)),
            Invocation::Dev(flags) => Some(flags.tcp_address.map(|sourced| sourced.value)),
            other => panic!("{other:?} is no daemon"),
        }
    }

    #[test]
    fn the_daemon_that_process_one_is_or_was_started_by_it_has_its_flags() {
        let table: [(Table, _); 12] = [
            (
                &[(1, "/xray|-t|0.0.0.0:2000|-b|:2000|-o|", "")],
                Some(Some("0.0.0.0:2000")),
            ),
            (&[(1, "xray|-t|:1|-t|:2|", "")], Some(Some(":2"))),
            (&[(1, "/usr/bin/xray|", "")], Some(None)),
            (&[(1, "/xray|dev|-t|:3|", "")], Some(Some(":3"))),
            (&[(1, "/sbin/docker-init|--|/xray|-t|:4|", "")], Some(Some(":4"))),
            (&[(1, "tini|-g|--|xray|-t=:5|", "")], Some(Some(":5"))),
            (&[(1, "/sbin/init|splash|", "")], None),
            (&[(1, "python|app.py|xray|", "")], None),
            (&[(1, "/xray|healthcheck|", "")], None),
            (&[(1, "/xray|--nope|", "")], None),
            (&[(1, "", "")], None),
            (&[], None),
        ];
        for (processes, address) in table {
            let expected = address.map(|address: Option<&str>| address.map(ToOwned::to_owned));
            assert_eq!(tcp_address(processes), expected, "{processes:?}");
        }
    }

    #[test]
    fn the_daemon_behind_a_shell_or_an_init_with_values_for_its_flags_is_found_among_what_it_started() {
        let table: [(Table, _); 7] = [
            (
                &[
                    (1, "sh|-c|sleep 1; exec xray -t :1|", "7 12 "),
                    (7, "sleep|9|", ""),
                    (12, "xray|-t|:1|", ""),
                ],
                Some(":1"),
            ),
            (
                &[
                    (1, "dumb-init|--rewrite|15:3|xray|-t|:2|", "7"),
                    (7, "xray|-t|:2|", ""),
                ],
                Some(":2"),
            ),
            (
                &[
                    (1, "tini|-e|143|--|sh|-c|xray -t :3|", "7"),
                    (7, "sh|-c|xray -t :3|", "8"),
                    (8, "/xray|-t|:3|", ""),
                ],
                Some(":3"),
            ),
            // The check itself, and the nearest of two.
            (
                &[
                    (1, "s6-svscan|", "5 6 7"),
                    (5, "sh|-c|xray -t :9|", "8"),
                    (6, "xray|healthcheck|", ""),
                    (7, "xray|-t|:4|", ""),
                    (8, "xray|-t|:9|", ""),
                ],
                Some(":4"),
            ),
            // What a host runs is not of this container.
            (
                &[
                    (1, "/usr/lib/systemd/systemd|--system|", "7"),
                    (7, "xray|-t|:5|", ""),
                ],
                None,
            ),
            (&[(1, "/sbin/init|", "7"), (7, "xray|-t|:5|", "")], None),
            // A system that does not tell.
            (&[(1, "sh|-c|xray -t :6 & wait|", "no numbers")], None),
        ];
        for (processes, address) in table {
            assert_eq!(
                tcp_address(processes),
                address.map(|address: &str| Some(address.to_owned())),
                "{processes:?}"
            );
        }
    }

    #[test]
    fn a_daemon_in_a_network_of_its_own_is_not_that_of_this_container() {
        /// Process 7 is a container that process 1 runs.
        struct Nested;
        impl Files for Nested {
            fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
                let processes = Processes(&[
                    (1, "sh|", "6 7"),
                    (6, "shim|", ""),
                    (7, "xray|-t|:1|", "8"),
                    (8, "xray|-t|:2|", ""),
                ]);
                processes.read(path)
            }

            fn link(&self, path: &Path) -> io::Result<PathBuf> {
                let is_container = path.starts_with("/proc/7");
                Ok(if is_container { "net:[2]" } else { "net:[1]" }.into())
            }
        }
        assert_eq!(of_process_one(&Nested), None);
    }

    #[test]
    fn no_more_than_some_dozen_processes_are_looked_at() {
        struct Endless;
        impl Files for Endless {
            fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
                let number: u32 = path.iter().nth(2).unwrap().to_str().unwrap().parse().unwrap();
                assert!(number <= 64, "{path:?}");
                Ok(match path.ends_with("cmdline") {
                    true => b"sh\0".to_vec(),
                    false => (number + 1).to_string().into_bytes(),
                })
            }
        }
        assert_eq!(of_process_one(&Endless), None);
    }
}
