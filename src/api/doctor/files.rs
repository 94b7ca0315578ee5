//! The files with AWS credentials: whether those that somebody put there can be read by who runs the daemon.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::report::Verdict;
use crate::config::files::Kind;
use crate::config::user::this_user;
use crate::config::{Environment, Files, SystemFiles};
use crate::logs::sanitize;

const PROFILES: Kind = Kind {
    name: "profile file",
    max_mib: 8,
};

/// Where AWS's documentation mounts credentials into containers.
const DOCUMENTED: &str = "/root/.aws/credentials";

/// The longest path that is shown, in characters.
const SHOWN_PATH_MAX_CHARS: usize = 200;

/// What there is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Readable,
    Missing,
    /// Why it can't be read.
    Unreadable(String),
}

/// A path, and what is there.
type Seen = (PathBuf, State);

/// What to say of the files, as the system has them.
pub(super) fn verdict(environment: &Environment) -> Verdict {
    let seen = |path: &Path| (path.to_owned(), state(path));
    let files: Vec<Seen> = profile_files(environment).iter().map(|path| seen(path)).collect();
    let mounts = SystemFiles
        .read(Path::new("/proc/self/mountinfo"))
        .unwrap_or_default();
    let mounts = mounts_of_credentials(&String::from_utf8_lossy(&mounts));
    let has_keys = ["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]
        .iter()
        .any(|name| environment.get(name).is_some());
    of_seen(
        &this_user(&SystemFiles),
        has_keys,
        &files,
        &mounts,
        &seen(Path::new(DOCUMENTED)),
    )
}

/// Where the SDK looks for profiles, `~` filled in.
pub(super) fn profile_files(environment: &Environment) -> [PathBuf; 2] {
    let home = environment.get("HOME").unwrap_or("~");
    let path = |variable: &str, name: &str| match environment.get(variable) {
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => Path::new(home).join(rest),
            None => PathBuf::from(path),
        },
        None => Path::new(home).join(".aws").join(name),
    };
    [
        path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        path("AWS_CONFIG_FILE", "config"),
    ]
}

fn state(path: &Path) -> State {
    match PROFILES.check(path) {
        Ok(()) => State::Readable,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => State::Missing,
            ErrorKind::PermissionDenied => State::Unreadable("permission denied".to_owned()),
            _ => State::Unreadable(error.to_string()),
        },
    }
}

/// What is mounted at a directory `.aws` or below it: somebody meant it to be read.
fn mounts_of_credentials(mountinfo: &str) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let of_credentials = points.filter(|point| point.split('/').any(|part| part == ".aws"));
    of_credentials
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .collect()
}

fn of_seen(user: &str, has_keys: bool, files: &[Seen], mounts: &[PathBuf], documented: &Seen) -> Verdict {
    const CHECK: &str = "credential-files";
    const AS_OWNER: &str =
        "make them readable for that user; in a container, run it as their owner: `--user \"$(id -u)\"`";
    let shown = |path: &Path| sanitize(&*path.to_string_lossy(), SHOWN_PATH_MAX_CHARS);
    let unreadable = files.iter().find_map(|(path, state)| match state {
        State::Unreadable(reason) => Some((path, reason)),
        _ => None,
    });
    if let Some((path, reason)) = unreadable {
        let message = format!("{} cannot be read by {user}: {reason}", shown(path));
        return match has_keys {
            true => Verdict::warn(
                CHECK,
                format!("{message}; the keys in variables come first"),
                AS_OWNER,
            ),
            false => Verdict::fail(CHECK, message, AS_OWNER),
        };
    }
    let readable: Vec<String> = files
        .iter()
        .filter(|(_, state)| *state == State::Readable)
        .map(|(path, _)| shown(path))
        .collect();
    if !readable.is_empty() {
        return Verdict::ok(CHECK, format!("{user} can read {}", readable.join(" and ")));
    }
    let looked_at: Vec<String> = files.iter().map(|(path, _)| shown(path)).collect();
    let looked_at = looked_at.join(" and ");
    if let Some(mount) = mounts.first() {
        return Verdict::warn(
            CHECK,
            format!(
                "{} is mounted, and {user} looks for {looked_at}, which are not there",
                shown(mount)
            ),
            "mount the directory where it looks, or name the files in AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE",
        );
    }
    match &documented.1 {
        State::Readable => Verdict::warn(
            CHECK,
            format!("{DOCUMENTED} is there, and {user} looks for {looked_at}, which are not"),
            format!("set HOME=/root, or AWS_SHARED_CREDENTIALS_FILE={DOCUMENTED}"),
        ),
        State::Unreadable(reason) => Verdict::ok(
            CHECK,
            format!(
                "there is no {looked_at}; whether there is a {DOCUMENTED}, {user} cannot see ({reason}), nor could it use \
                 that"
            ),
        ),
        State::Missing => Verdict::ok(
            CHECK,
            format!("there is no {looked_at}: credentials come from elsewhere"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    const USER: &str = "user 10001 (xray)";

    fn files(state: State) -> Vec<Seen> {
        vec![
            (PathBuf::from("/home/xray/.aws/credentials"), state),
            (PathBuf::from("/home/xray/.aws/config"), State::Missing),
        ]
    }

    fn said(has_keys: bool, state: State, mounts: &[&str], documented: State) -> (Level, String) {
        let mounts: Vec<PathBuf> = mounts.iter().map(PathBuf::from).collect();
        let documented = (PathBuf::from(DOCUMENTED), documented);
        let verdict = of_seen(USER, has_keys, &files(state), &mounts, &documented);
        (verdict.level, verdict.message)
    }

    #[test]
    fn files_that_are_there_and_can_not_be_read_are_named_with_user_and_reason() {
        let denied = State::Unreadable("permission denied".to_owned());
        assert_eq!(
            said(false, denied.clone(), &["/home/xray/.aws"], State::Missing),
            (
                Level::Fail,
                "/home/xray/.aws/credentials cannot be read by user 10001 (xray): permission denied"
                    .to_owned()
            )
        );
        assert_eq!(said(true, denied, &[], State::Missing).0, Level::Warn);
    }

    #[test]
    fn files_that_are_mounted_where_nobody_looks_are_told_with_where_it_looks() {
        let (level, message) = said(false, State::Missing, &["/root/.aws"], State::Missing);
        assert_eq!(level, Level::Warn);
        assert!(
            message.starts_with(
                "/root/.aws is mounted, and user 10001 (xray) looks for /home/xray/.aws/credentials"
            ),
            "{message}"
        );
        assert_eq!(said(false, State::Missing, &[], State::Readable).0, Level::Warn);
    }

    #[test]
    fn files_that_are_there_or_not_meant_to_be_are_well() {
        assert_eq!(said(false, State::Readable, &[], State::Missing).0, Level::Ok);
        assert_eq!(said(false, State::Missing, &[], State::Missing).0, Level::Ok);
        let closed = State::Unreadable("permission denied".to_owned());
        assert_eq!(said(false, State::Missing, &[], closed).0, Level::Ok);
    }

    #[test]
    fn mounts_below_a_directory_of_credentials_are_found() {
        let mountinfo = "1 0 0:1 / / rw - overlay x rw\n2 1 8:1 /a /root/.aws ro - ext4 /dev/a rw\n\
                         3 1 8:1 /b /home/a\\040b/.aws/credentials ro - ext4 /dev/a rw\n4 1 8:1 /c /x.aws rw\n";
        assert_eq!(
            mounts_of_credentials(mountinfo),
            [
                PathBuf::from("/root/.aws"),
                PathBuf::from("/home/a b/.aws/credentials")
            ]
        );
    }

    #[test]
    fn the_files_are_where_the_sdk_looks() {
        let environment = |variables: &[(&str, &str)]| {
            let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            Environment(variables.iter().map(owned).collect())
        };
        let paths = profile_files(&environment(&[("HOME", "/h"), ("AWS_CONFIG_FILE", "~/c")]));
        assert_eq!(
            paths,
            [PathBuf::from("/h/.aws/credentials"), PathBuf::from("/h/c")]
        );
    }
}
