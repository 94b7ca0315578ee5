//! The process that a profile names for its credentials (`credential_process`), run within bounds.
//!
//! The SDK reads all that such a process prints, however much that is, and leaves it running when its time is over. So it is
//! run here, in a process group of its own: what it prints is bounded, and when it prints too much, takes too long or is
//! not waited for any more, it is ended with all that it has started. The SDK gets its keys in the place of the process,
//! and does the rest of what the profile asks for.

use std::process::Stdio;
use std::time::SystemTime;

use aws_config::profile::ProfileSet;
use aws_credential_types::Credentials;
use aws_credential_types::attributes::AccountId;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::logs::{sanitize, sanitize_lines};

/// The most bytes that a process may print. Keys with a session token have some 2 KB.
const OUTPUT_MAX_BYTES: usize = 64 << 10;

/// The most bytes that it may say on stderr: some of them trace what they do.
const REMARKS_MAX_BYTES: usize = 1 << 20;

/// How many of those are kept for the message about one that fails.
const KEPT_REMARKS_BYTES: usize = 4 << 10;

/// The longest part of these that a message shows, in characters.
const SHOWN_MAX_CHARS: usize = 400;

/// The longest name of a profile that a message shows, in characters.
const SHOWN_NAME_MAX_CHARS: usize = 200;

/// What the SDK takes before a process, where a profile has several.
const BEFORE_A_PROCESS: [&str; 8] = [
    "credential_source",
    "web_identity_token_file",
    "sso_account_id",
    "sso_region",
    "sso_role_name",
    "sso_start_url",
    "sso_session",
    "login_session",
];

/// The profile that has the keys, for a role that a profile assumes with them.
const KEYS_PROFILE: &str = "xray-keys-of-the-credential-process";

/// The process that has the credentials of the selected profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CredentialProcess {
    profile: String,
    command: String,
    account_id: Option<String>,
    /// The profile that assumes a role with these credentials, if one does.
    role_of: Option<String>,
}

impl CredentialProcess {
    /// The one that the SDK would run, by its order of what stands in a profile; `None`: none. What is wrong with the profiles
    /// is the SDK's to say.
    pub(super) fn of(profiles: &ProfileSet) -> Option<Self> {
        let (mut visited, mut role_of) = (Vec::new(), None);
        let mut name = profiles.selected_profile();
        loop {
            if visited.contains(&name) {
                return None;
            }
            visited.push(name);
            let profile = profiles.get_profile(name)?;
            let has = |key: &str| profile.get(key).is_some();
            if visited.len() > 1 && has("aws_access_key_id") && has("aws_secret_access_key") {
                return None;
            }
            if has("role_arn") && !has("web_identity_token_file") {
                let source = profile.get("source_profile")?;
                role_of = Some(name.to_owned());
                if source != name {
                    name = source;
                    continue;
                }
            }
            if BEFORE_A_PROCESS.into_iter().any(has) {
                return None;
            }
            return Some(Self {
                profile: name.to_owned(),
                command: profile.get("credential_process")?.to_owned(),
                account_id: profile.get("aws_account_id").map(str::to_owned),
                role_of,
            });
        }
    }

    /// Whether its credentials are the selected profile's own, and not those of a role.
    pub(super) fn is_all(&self) -> bool {
        self.role_of.is_none()
    }

    /// The profile files with `keys` in place of this process.
    pub(super) fn replaced_by(&self, keys: &Credentials) -> EnvConfigFiles {
        let token = keys
            .session_token()
            .map(|token| format!("aws_session_token = {token}\n"));
        let account = self.account_id.as_ref();
        let account = account.map(|account| format!("aws_account_id = {account}\n"));
        let text = format!(
            "[{}]\nsource_profile = {KEYS_PROFILE}\n[{KEYS_PROFILE}]\naws_access_key_id = {}\naws_secret_access_key = {}\n{}{}",
            self.role_of.as_deref().unwrap_or(&self.profile),
            keys.access_key_id(),
            keys.secret_access_key(),
            token.unwrap_or_default(),
            account.unwrap_or_default()
        );
        EnvConfigFiles::builder()
            .include_default_config_file(true)
            .include_default_credentials_file(true)
            .with_contents(EnvConfigFileKind::Credentials, text)
            .build()
    }

    /// Runs it. Dropping the future ends it with all that it has started.
    ///
    /// # Errors
    /// Why it has no credentials, without what it printed on stdout and without its command, which may have secrets.
    pub(super) async fn run(&self) -> Result<Credentials, String> {
        let told = |why: String| {
            let profile = sanitize_lines(&self.profile, SHOWN_NAME_MAX_CHARS);
            format!("the credential process of the AWS profile \"{profile}\" {why}")
        };
        let output = output(&self.command).await.map_err(told)?;
        credentials(&output, self.account_id.as_deref()).map_err(told)
    }
}

/// What `command` prints.
async fn output(command: &str) -> Result<Vec<u8>, String> {
    let mut group = Group::start(command)?;
    let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let (output, remarks) = tokio::try_join!(
        read(stdout, OUTPUT_MAX_BYTES, OUTPUT_MAX_BYTES, "printed"),
        read(stderr, REMARKS_MAX_BYTES, KEPT_REMARKS_BYTES, "said on stderr")
    )?;
    let status = group
        .0
        .wait()
        .await
        .map_err(|error| format!("was lost: {error}"))?;
    if status.success() {
        return Ok(output);
    }
    let remarks = sanitize(remarks.trim_ascii(), SHOWN_MAX_CHARS);
    Err(match remarks.is_empty() {
        true => format!("failed with {status}"),
        false => format!("failed with {status}: {remarks}"),
    })
}

/// All that comes from `pipe`, of which the first `kept_bytes` are kept.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    max_bytes: usize,
    kept_bytes: usize,
    what: &str,
) -> Result<Vec<u8>, String> {
    let Some(mut pipe) = pipe else {
        return Ok(Vec::new());
    };
    let (mut all_bytes, mut kept) = (0, Vec::new());
    let mut piece = [0; 4 << 10];
    loop {
        let bytes = match pipe.read(&mut piece).await {
            Ok(0) => return Ok(kept),
            Ok(bytes) => bytes,
            Err(error) => return Err(format!("can't be read: {error}")),
        };
        all_bytes += bytes;
        if all_bytes > max_bytes {
            return Err(format!("{what} more than {max_bytes} bytes and was ended"));
        }
        let room = kept_bytes - kept.len();
        kept.extend_from_slice(&piece[..bytes.min(room)]);
    }
}

/// A process with all that it starts; dropping it ends them, unless it has ended by itself.
struct Group(Child);

impl Group {
    fn start(command: &str) -> Result<Self, String> {
        let mut shell = shell(command);
        shell
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A group can be ended as a whole. Windows has none, and the shell alone is ended there.
        #[cfg(unix)]
        shell.process_group(0);
        let child = shell.spawn();
        child
            .map(Self)
            .map_err(|error| format!("can't be started: {error}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // As long as it was not waited for, its number is nobody else's.
        #[cfg(unix)]
        if let Some(leader) = self.0.id()
            && let Ok(leader) = i32::try_from(leader)
            && let Some(leader) = rustix::process::Pid::from_raw(leader)
        {
            // None of them may be there any more.
            let _: rustix::io::Result<()> =
                rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

/// As the SDK starts it.
#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// As the SDK starts it: the shell takes the quotes around the whole off.
#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd.exe");
    shell.arg("/C").raw_arg(format!("\"{command}\""));
    shell
}

/// The credentials in the `output` of a process; an account that it does not name is that of the profile.
fn credentials(output: &[u8], account_id: Option<&str>) -> Result<Credentials, String> {
    let object: Map<String, Value> = serde_json::from_slice(output).map_err(|error| {
        format!(
            "printed no JSON object: {}",
            sanitize(error.to_string(), SHOWN_MAX_CHARS)
        )
    })?;
    let member = |name: &str| {
        let mut members = object.iter();
        members
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    let text = |name: &str| match member(name) {
        None | Some(Value::Null) => Ok(None),
        // What is none stands in a line of a profile, or in a header.
        Some(Value::String(text)) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(text.as_str()))
        }
        Some(_) => Err(format!("printed something else for {name}")),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| format!("printed no {name}"));
    match member("Version").and_then(Value::as_u64) {
        Some(1) => {}
        Some(version) => return Err(format!("printed Version {version}, and only 1 is known")),
        None => return Err("printed no Version".to_owned()),
    }
    let mut builder = Credentials::builder()
        .access_key_id(needed("AccessKeyId")?)
        .secret_access_key(needed("SecretAccessKey")?)
        .provider_name("CredentialProcess");
    builder.set_session_token(text("SessionToken")?.map(str::to_owned));
    builder.set_expiry(text("Expiration")?.map(time).transpose()?);
    builder.set_account_id(text("AccountId")?.or(account_id).map(AccountId::from));
    let mut credentials = builder.build();
    credentials
        .get_property_mut_or_default::<Vec<AwsCredentialFeature>>()
        .extend([
            AwsCredentialFeature::CredentialsProfile,
            AwsCredentialFeature::CredentialsProcess,
        ]);
    Ok(credentials)
}

fn time(text: &str) -> Result<SystemTime, String> {
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok();
    time.and_then(|time| SystemTime::try_from(time).ok())
        .ok_or_else(|| "printed an Expiration that is no time, such as 2030-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_config::profile;
    use aws_types::os_shim_internal::{Env, Fs};

    use super::*;

    async fn profiles(text: &str, selected: &str) -> ProfileSet {
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, text)
            .build();
        let env = Env::from_slice(&[("AWS_PROFILE", selected)]);
        profile::load(&Fs::from_slice(&[]), &env, &files, None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_process_is_that_which_the_sdk_would_run() {
        let text = "
            [profile plain]\ncredential_process = a b\naws_account_id = 7\n[profile keys]\naws_access_key_id = x
            aws_secret_access_key = y\ncredential_process = k\n[profile role]\nrole_arn = r\nsource_profile = plain
            [profile role-of-keys]\nrole_arn = r\nsource_profile = keys\n[profile own]\nrole_arn = r
            source_profile = own\ncredential_process = o\n[profile loop]\nrole_arn = r\nsource_profile = pool
            [profile pool]\nrole_arn = r\nsource_profile = loop\n[profile sso]\nsso_session = s
            credential_process = s\n[profile web]\nrole_arn = r\nweb_identity_token_file = t\ncredential_process = w
            [profile environment]\nrole_arn = r\ncredential_source = Environment\ncredential_process = e
            [profile none]\nregion = x\n"
            .replace("            ", "");
        let of = async |selected: &str| {
            let process = CredentialProcess::of(&profiles(&text, selected).await)?;
            Some((process.profile, process.command, process.role_of))
        };
        let process = |profile: &str, command: &str, role_of: Option<&str>| {
            Some((profile.to_owned(), command.to_owned(), role_of.map(str::to_owned)))
        };
        assert_eq!(of("plain").await, process("plain", "a b", None));
        // In the first profile a process goes before keys, in those behind it keys do.
        assert_eq!(of("keys").await, process("keys", "k", None));
        assert_eq!(of("role-of-keys").await, None);
        assert_eq!(of("role").await, process("plain", "a b", Some("role")));
        assert_eq!(of("own").await, process("own", "o", Some("own")));
        for other in ["loop", "sso", "web", "environment", "none", "missing"] {
            assert_eq!(of(other).await, None, "{other}");
        }
    }

    #[test]
    fn what_a_process_prints_is_credentials_or_said_to_be_none_without_it() {
        let found = credentials(
            br#"{"version":1,"AccessKeyId":"AKID","SecretAccessKey":"s/+=","SessionToken":"t","Expiration":"2030-01-01T01:00:00+01:00","More":{}}"#,
            Some("7"),
        )
        .unwrap();
        assert_eq!(
            (
                found.access_key_id(),
                found.secret_access_key(),
                found.session_token()
            ),
            ("AKID", "s/+=", Some("t"))
        );
        assert_eq!(
            found.expiry(),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000))
        );
        assert_eq!(found.account_id().map(AccountId::as_str), Some("7"));
        let keys = r#""AccessKeyId":"AKID","SecretAccessKey":"secret""#;
        for (output, why) in [
            (
                "AKID secret",
                "printed no JSON object: expected value at line 1 column 1",
            ),
            (
                "",
                "printed no JSON object: EOF while parsing a value at line 1 column 0",
            ),
            (&format!("{{{keys}}}"), "printed no Version"),
            (
                &format!("{{\"Version\":2,{keys}}}"),
                "printed Version 2, and only 1 is known",
            ),
            (
                "{\"Version\":1,\"AccessKeyId\":\"AKID\"}",
                "printed no SecretAccessKey",
            ),
            (
                "{\"Version\":1,\"AccessKeyId\":\"AKID\\n[x]\",\"SecretAccessKey\":\"s\"}",
                "printed something else for AccessKeyId",
            ),
            (
                &format!("{{\"Version\":1,\"Expiration\":\"tomorrow\",{keys}}}"),
                "printed an Expiration that is no time, such as 2030-01-31T12:00:00Z",
            ),
        ] {
            assert_eq!(credentials(output.as_bytes(), None).unwrap_err(), why, "{output}");
        }
    }
}
