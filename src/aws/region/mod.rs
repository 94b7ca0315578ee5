//! Which region the daemon sends to.
//!
//! The first source that has one decides, and none behind it is asked:
//!
//! | order | source | with `-o` (local mode) |
//! |---|---|---|
//! | 1 | `-n`, then `Region` of the configuration file | yes |
//! | 2 | `AWS_REGION` | yes |
//! | 3 | `AWS_DEFAULT_REGION` | yes |
//! | 4 | `region` of the profile (`AWS_PROFILE`, `AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE`) and of those it names as `source_profile` | yes |
//! | 5 | the ECS metadata file (`ECS_ENABLE_CONTAINER_METADATA` is `true`, `ECS_CONTAINER_METADATA_FILE`) | no |
//! | 6 | the ECS task metadata address (`ECS_CONTAINER_METADATA_URI_V4`) | no |
//! | 7 | the EC2 instance metadata (unless `AWS_EC2_METADATA_DISABLED` is `true`), of version 1 where there is no 2 | no |
//!
//! The official daemon asks 3 and 4 in local mode only and does not know 6. It loses what arrives while it waits for
//! 7, and asks it for the telemetry even when the region is known; here the two addresses, 6 and 7, are asked for at
//! most two seconds each, and only when nothing before them has an answer.

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::Fs;

use super::metadata::{self, Limits};
use super::sdk_view::{SdkView, chain};
use crate::config::{Environment, XRayConfig};
use crate::logs::sanitize;

#[cfg(test)]
mod tests;

/// The longest wrong region that an error shows, in characters.
const SHOWN_REGION_MAX_CHARS: usize = 80;

/// The longest label of a host name, in bytes: a region becomes one.
const REGION_MAX_BYTES: usize = 63;

/// A region and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRegion {
    /// Lower-case letters, digits and hyphens, such as `us-east-1`; fit for a host name.
    pub region: String,
    /// In words: `flag -n`, `AWS_REGION`, `profile default`, `EC2 instance metadata`, ...
    pub source: String,
}

/// Why the daemon does not know where to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// A setting that cannot be a region. It stands before the other sources, so they are not asked.
    #[error(
        "The region \"{value}\" from {source} is not a region: it becomes part of a host name and may hold lower-case \
         letters, digits and hyphens only, such as us-east-1."
    )]
    Invalid {
        /// The setting's value, escaped and shortened.
        value: String,
        /// Where it was set.
        r#source: String,
    },
    /// No source has one.
    #[error(
        "Cannot fetch region variable from config file, environment variables, ecs metadata, or ec2 metadata. \
         Tried: {}. Give the region with -n, with Region in the configuration file or with AWS_REGION.",
        listed(.tried)
    )]
    NotFound {
        /// Every source and what it said, in the order asked.
        tried: Vec<Attempt>,
    },
}

/// A source that has no region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source.
    pub source: String,
    /// Why it has none.
    pub said: String,
}

fn listed(tried: &[Attempt]) -> String {
    let shown: Vec<String> = tried
        .iter()
        .map(|Attempt { source, said }| format!("{source} ({said})"))
        .collect();
    shown.join(", ")
}

/// Finds the region, in the order above; within five seconds whatever the metadata addresses do.
///
/// `http` is for IMDS and must not use a proxy for it. The source that decides is logged at Debug, in the official
/// daemon's words.
///
/// # Errors
/// A setting is not a region, or no source has one.
pub async fn resolve(
    config: &XRayConfig,
    environment: &Environment,
    http: &SharedHttpClient,
) -> Result<ResolvedRegion, RegionError> {
    resolve_within(config, environment, http, Limits::DEFAULT).await
}

async fn resolve_within(
    config: &XRayConfig,
    environment: &Environment,
    http: &SharedHttpClient,
    limits: Limits,
) -> Result<ResolvedRegion, RegionError> {
    let mut search = Search::default();

    let configured = config
        .region
        .as_ref()
        .map(|region| (region.value.as_str(), region.source.as_str()));
    let (value, source) = configured.unwrap_or(("", "flag -n and Region in the configuration file"));
    if let Some(found) = search.setting(value, source, "commandline/config file")? {
        return Ok(found);
    }
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let value = environment.get(variable).unwrap_or_default();
        if let Some(found) = search.setting(value, variable, "environment variables")? {
            return Ok(found);
        }
    }

    let (profiles, unusable) = load_profiles(environment).await;
    match &profiles {
        Ok(profiles) => match region_of_profile(profiles) {
            Some((region, name)) => {
                let source = format!("profile {}", sanitize(name, SHOWN_REGION_MAX_CHARS));
                if let Some(found) = search.setting(region, &source, &source)? {
                    return Ok(found);
                }
            }
            None if !unusable.is_empty() => search.failed("profile", unusable),
            None => search.failed("profile", no_region_in(profiles, environment)),
        },
        Err(said) => search.failed("profile", said.clone()),
    }

    if config.local_mode {
        search.failed("ECS and EC2 metadata", "not asked in local mode".to_owned());
        return Err(search.not_found());
    }
    let (source, answer) = ("ECS metadata file", metadata::region_of_ecs_file(environment));
    if let Some(found) = search.answer(answer, source, source) {
        return Ok(found);
    }
    let answer = metadata::region_of_ecs_task(environment, limits).await;
    if let Some(found) = search.answer(answer, "ECS task metadata", "ecs metadata") {
        return Ok(found);
    }
    let answer = metadata::region_of_ec2(environment, profiles.as_ref().ok(), http, limits).await;
    search
        .answer(answer, "EC2 instance metadata", "ec2 metadata")
        .ok_or_else(|| search.not_found())
}

/// What has been asked so far.
#[derive(Default)]
struct Search {
    tried: Vec<Attempt>,
}

impl Search {
    /// A value that somebody set. A wrong one is an error and not passed over: to send somewhere else instead would
    /// be worse.
    fn setting(
        &mut self,
        value: &str,
        source: &str,
        official: &str,
    ) -> Result<Option<ResolvedRegion>, RegionError> {
        // White space at the ends comes from env files and shells, and means nothing.
        let region = value.trim();
        if region.is_empty() {
            self.failed(source, "not set".to_owned());
            return Ok(None);
        }
        if !is_region(region) {
            return Err(RegionError::Invalid {
                value: sanitize(region, SHOWN_REGION_MAX_CHARS),
                source: source.to_owned(),
            });
        }
        Ok(Some(found(region, source, official)))
    }

    /// What the platform said.
    fn answer(
        &mut self,
        answer: Result<String, String>,
        source: &str,
        official: &str,
    ) -> Option<ResolvedRegion> {
        match answer {
            Ok(region) if is_region(region.trim()) => Some(found(region.trim(), source, official)),
            Ok(region) => {
                self.failed(
                    source,
                    format!(
                        "\"{}\" is not a region",
                        sanitize(&region, SHOWN_REGION_MAX_CHARS)
                    ),
                );
                None
            }
            Err(said) => {
                self.failed(source, said);
                None
            }
        }
    }

    fn failed(&mut self, source: &str, said: String) {
        self.tried.push(Attempt {
            source: source.to_owned(),
            said,
        });
    }

    fn not_found(&mut self) -> RegionError {
        RegionError::NotFound {
            tried: std::mem::take(&mut self.tried),
        }
    }
}

fn found(region: &str, source: &str, official: &str) -> ResolvedRegion {
    tracing::debug!(region, source, "Fetch region {region} from {official}");
    ResolvedRegion {
        region: region.to_owned(),
        source: source.to_owned(),
    }
}

/// Whether `text` can stand in a host name and in a signature's scope, which the service compares letter by letter.
fn is_region(text: &str) -> bool {
    (1..=REGION_MAX_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The profile files, found and read by the SDK's own rules, over the variables that are passed in; and what of them can't
/// be used.
async fn load_profiles(environment: &Environment) -> (Result<ProfileSet, String>, String) {
    let view = SdkView::of(environment).await;
    let loaded = profile::load(&Fs::real(), &view.env(), &EnvConfigFiles::default(), None)
        .await
        .map_err(|err| {
            let said = std::error::Error::source(&err).map_or_else(|| err.to_string(), ToString::to_string);
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            sanitize(said, 300)
        });
    (loaded, view.unusable_profiles())
}

/// The region of the selected profile or of the first that has one along `source_profile`, as in the SDK; and the
/// name of the profile that has it.
fn region_of_profile(profiles: &ProfileSet) -> Option<(&str, &str)> {
    chain(profiles).find_map(|profile| Some((profile.get("region")?, profile.name())))
}

fn no_region_in(profiles: &ProfileSet, environment: &Environment) -> String {
    let name = profiles.selected_profile();
    let file = environment.get("AWS_CONFIG_FILE").unwrap_or("~/.aws/config");
    let (shown_name, shown_file) = (sanitize(name, SHOWN_REGION_MAX_CHARS), sanitize(file, 200));
    match profiles.get_profile(name) {
        Some(_) => format!("no region in profile {shown_name} of {shown_file}"),
        None => format!("no profile {shown_name} in {shown_file}"),
    }
}
