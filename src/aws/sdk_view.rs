//! What the AWS SDK gets to see of the environment: the run's variables, mended where the SDK would hang or not look.
//!
//! The SDK opens the files of profiles and tokens by itself, and reads whatever is there: from a pipe that nobody writes to
//! it never comes back. So they are looked at before, and those that can't be used are kept from it and named.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use sha1::{Digest as _, Sha1};

use crate::config::files::Kind;
use crate::config::user::this_user;
use crate::config::{Environment, SystemFiles};
use crate::logs::sanitize;

/// The longest path that a message shows, in characters.
const SHOWN_PATH_MAX_CHARS: usize = 300;

const PROFILE_FILE: Kind = Kind {
    name: "profile file",
    max_mib: 8,
};

const TOKEN_FILE: Kind = Kind {
    name: "token",
    max_mib: 1,
};

const SSO_FILE: Kind = Kind {
    name: "SSO token",
    max_mib: 1,
};

/// Where the SDK and `aws sso login` keep a token, in a file by the SHA-1 of the session's name or of its start URL.
const SSO_CACHE: &str = "~/.aws/sso/cache";

/// The files of profiles: the variable that names each, and where it is otherwise.
const PROFILE_FILES: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
];

/// The variables that name files with tokens.
const TOKEN_FILES: [&str; 2] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// The names that the official daemon's SDK takes besides, after those of today.
const OLD_NAMES: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
    ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
];

/// A file without lines, for a profile file that can't be used.
const NO_FILE: &str = "/dev/null";

/// A path that can be opened and not read, for a token that can't be used: the SDK must fail there, and not go on to the
/// next source, which may be somebody else.
const UNREADABLE_FILE: &str = "/";

/// The variables as the SDK takes them, and the files that it does not read.
#[derive(Debug)]
pub(super) struct SdkView {
    variables: HashMap<String, String>,
    /// The profile files that exist and can't be used.
    profiles: Vec<Unusable>,
    /// The same of files with tokens.
    tokens: Vec<Unusable>,
}

/// A file that exists and can't be used. Shows itself as one clause with its full path, the user where that is the matter,
/// and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    path: PathBuf,
    reason: String,
}

impl SdkView {
    /// Looks at the files that the SDK would open. On a thread that may wait for disks.
    pub(super) async fn of(environment: &Environment) -> Self {
        let environment = environment.clone();
        let looking = tokio::task::spawn_blocking(move || Self::look(&environment));
        // It does not panic; and when the runtime ends there is nobody left to tell.
        looking.await.unwrap_or_else(|_| Self::over(HashMap::new()))
    }

    /// The profiles, unless the environment has keys, which come first.
    pub(super) async fn profiles_in_force(&self) -> Option<ProfileSet> {
        if self.variables.contains_key("AWS_ACCESS_KEY_ID") {
            return None;
        }
        let files = EnvConfigFiles::default();
        // What is wrong with these files is told by who reads them next.
        profile::load(&Fs::real(), &self.env(), &files, None).await.ok()
    }

    /// The file that the selected one of `profiles`, or one along its `source_profile`, has its token in, if it can't be used:
    /// a token of a web identity, or one of SSO. The SDK would open it.
    pub(super) async fn unusable_token_of(&self, profiles: &ProfileSet) -> Option<Unusable> {
        let home = Environment(self.variables.clone().into_iter().collect());
        let files: Vec<(Kind, PathBuf)> = chain(profiles)
            .flat_map(|profile| {
                let web_identity = profile.get("web_identity_token_file");
                let sso = ["sso_session", "sso_start_url"].map(|key| profile.get(key));
                let sso = sso.into_iter().flatten();
                let sso = sso.map(|name| (SSO_FILE, sso_file(name, &home)));
                let web_identity = web_identity.map(|path| (TOKEN_FILE, PathBuf::from(path)));
                web_identity.into_iter().chain(sso).collect::<Vec<_>>()
            })
            .collect();
        let looking = tokio::task::spawn_blocking(move || {
            let mut unusable = files.iter().filter_map(|(kind, path)| unusable(*kind, path));
            unusable.next()
        });
        looking.await.ok().flatten()
    }

    fn look(environment: &Environment) -> Self {
        let mut view = Self::over(variables(environment));
        for (variable, default) in PROFILE_FILES {
            let path = expanded(environment.get(variable).unwrap_or(default), environment);
            if let Some(unusable) = unusable(PROFILE_FILE, &path) {
                view.profiles.push(unusable);
                view.set(variable, NO_FILE);
            }
        }
        for variable in TOKEN_FILES {
            if let Some(path) = environment.get(variable)
                && let Some(unusable) = unusable(TOKEN_FILE, Path::new(path))
            {
                view.tokens.push(unusable);
                view.set(variable, UNREADABLE_FILE);
            }
        }
        view
    }

    fn over(variables: HashMap<String, String>) -> Self {
        Self {
            variables,
            profiles: Vec::new(),
            tokens: Vec::new(),
        }
    }

    fn set(&mut self, variable: &str, value: &str) {
        self.variables.insert(variable.to_owned(), value.to_owned());
    }

    /// The variables for the SDK.
    pub(super) fn env(&self) -> Env {
        Env::from(self.variables.clone())
    }

    /// The profile files that can't be used, in one clause; empty: all that exist can.
    pub(super) fn unusable_profiles(&self) -> String {
        told(&self.profiles)
    }

    /// The same of the files with tokens that variables name.
    pub(super) fn unusable_tokens(&self) -> String {
        told(&self.tokens)
    }
}

fn told(unusable: &[Unusable]) -> String {
    let told: Vec<String> = unusable.iter().map(ToString::to_string).collect();
    told.join("; ")
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        write!(f, "{} {}", sanitize(&*path, SHOWN_PATH_MAX_CHARS), self.reason)
    }
}

/// The file with the token of the SSO session of this name, or of this start URL.
fn sso_file(name: &str, environment: &Environment) -> PathBuf {
    let name = hex::encode(Sha1::digest(name));
    expanded(SSO_CACHE, environment).join(format!("{name}.json"))
}

/// What makes a file unusable; one that is not there is none.
fn unusable(kind: Kind, path: &Path) -> Option<Unusable> {
    let error = kind.check(path).err()?;
    let reason = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => return None,
        ErrorKind::PermissionDenied => {
            format!("cannot be read by {}: permission denied", this_user(&SystemFiles))
        }
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        ErrorKind::FileTooLarge => format!("is {error}"),
        // The reader's own words for a pipe and a device.
        ErrorKind::Other => error.to_string(),
        _ => format!("cannot be read: {error}"),
    };
    Some(Unusable {
        path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        reason,
    })
}

/// The selected profile and those that it names as `source_profile`.
pub(super) fn chain(profiles: &ProfileSet) -> impl Iterator<Item = &Profile> {
    // A chain that names a profile twice is a loop.
    let mut visited = Vec::new();
    let mut next = Some(profiles.selected_profile());
    std::iter::from_fn(move || {
        let name = next.take().filter(|name| !visited.contains(name))?;
        visited.push(name);
        let profile = profiles.get_profile(name)?;
        next = profile.get("source_profile");
        Some(profile)
    })
}

/// The variables without the empty ones: compose files pass on `AWS_PROFILE: ${AWS_PROFILE}` without a value. Keys under
/// their old names are under today's.
fn variables(environment: &Environment) -> HashMap<String, String> {
    let mut variables: HashMap<String, String> = environment
        .0
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, old) in OLD_NAMES {
        if let (None, Some(value)) = (environment.get(name), environment.get(old)) {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}

/// The names of the variables that keys in the environment come from: today's before the old ones.
pub(super) fn key_variables(environment: &Environment) -> [&'static str; 2] {
    OLD_NAMES.map(
        |(name, old)| match (environment.get(name), environment.get(old)) {
            (None, Some(_)) => old,
            _ => name,
        },
    )
}

/// `path` with the home directory in place of `~`, as the SDK finds it.
fn expanded(path: &str, environment: &Environment) -> PathBuf {
    let home = environment.get("HOME").or_else(|| environment.get("USERPROFILE"));
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Environment(variables.iter().map(owned).collect())
    }

    #[test]
    fn keys_under_their_old_names_count_where_those_of_today_are_not_set() {
        let old = [("AWS_ACCESS_KEY", "old"), ("AWS_SECRET_KEY", "old secret")];
        let view = SdkView::look(&environment(&old));
        assert_eq!(view.env().get("AWS_ACCESS_KEY_ID").unwrap(), "old");
        assert_eq!(view.env().get("AWS_SECRET_ACCESS_KEY").unwrap(), "old secret");
        assert_eq!(
            key_variables(&environment(&old)),
            ["AWS_ACCESS_KEY", "AWS_SECRET_KEY"]
        );
        let both = [&old[..], &[("AWS_ACCESS_KEY_ID", "new")]].concat();
        let view = SdkView::look(&environment(&both));
        assert_eq!(view.env().get("AWS_ACCESS_KEY_ID").unwrap(), "new");
        assert_eq!(
            key_variables(&environment(&both)),
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY"]
        );
        assert_eq!(
            key_variables(&environment(&[])),
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        );
    }

    #[test]
    fn what_can_not_be_used_is_kept_from_the_sdk_and_named_and_what_is_missing_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        std::fs::create_dir_all(home.path().join(".aws/credentials")).unwrap();
        let token = path("token");
        std::fs::write(&token, vec![b'a'; (1 << 20) + 1]).unwrap();
        let view = SdkView::look(&environment(&[
            ("HOME", home.path().to_str().unwrap()),
            ("AWS_CONFIG_FILE", "/dev/zero"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/token"),
        ]));
        assert_eq!(
            view.unusable_profiles(),
            format!(
                "/dev/zero is a device, not a file; {} is a directory",
                path(".aws/credentials")
            )
        );
        assert_eq!(
            view.unusable_tokens(),
            format!("{token} is larger than 1 MiB, which no token is")
        );
        let of = |name| view.env().get(name).unwrap();
        assert_eq!(of("AWS_CONFIG_FILE"), "/dev/null");
        assert_eq!(of("AWS_SHARED_CREDENTIALS_FILE"), "/dev/null");
        assert_eq!(of("AWS_WEB_IDENTITY_TOKEN_FILE"), "/");
        assert_eq!(of("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), "/nonexistent/token");
    }

    #[tokio::test]
    async fn a_token_of_sso_that_is_no_file_or_too_large_is_named_and_the_sdk_not_asked() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join(".aws/sso/cache");
        std::fs::create_dir_all(&cache).unwrap();
        let config = "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n\
                      [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n";
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        let view = SdkView::look(&environment(&[("HOME", home.path().to_str().unwrap())]));
        let profiles = view.profiles_in_force().await.unwrap();
        assert_eq!(view.unusable_token_of(&profiles).await, None, "there is none yet");
        // The name that `aws sso login` gives it.
        let token = cache.join("ee0bfd2552fbd840c02cc48b6e823320543c450f.json");
        std::fs::write(&token, vec![b' '; (1 << 20) + 1]).unwrap();
        assert_eq!(
            view.unusable_token_of(&profiles).await.unwrap().to_string(),
            format!("{} is larger than 1 MiB, which no SSO token is", token.display())
        );
    }

    #[test]
    fn the_null_device_is_the_usual_way_to_say_none() {
        let view = SdkView::look(&environment(&[
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]));
        assert_eq!(view.unusable_profiles(), "");
        assert_eq!(view.env().get("AWS_CONFIG_FILE").unwrap(), "/dev/null");
    }
}
