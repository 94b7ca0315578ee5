//! One run of the SDK's default chain, and of STS over it when a role is configured.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::os_shim_internal::{Env, Fs};

use super::process::CredentialProcess;
use super::reason::{NONE, SET_UP, is_without_metadata, reason};
use super::{CredentialsFailure, Found};
use crate::aws::Limits;
use crate::aws::imds_v1::WithVersion1;
use crate::aws::sdk_view::{SdkView, key_variables};
use crate::config::Environment;
use crate::logs::sanitize_lines;
use crate::net::client::error::told;
use crate::net::client::pooled::PooledClient;

/// The session name the official daemon gives to an assumed role; people find it in CloudTrail by that.
const SESSION_NAME: &str = "xray-daemon";

/// The limit of one call to STS or SSO, within that of the whole load.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest part of a profile's name or a role's ARN that a message shows, in characters.
const SHOWN_NAME_MAX_CHARS: usize = 200;

/// The variables that set a source of credentials up. None of them is a secret.
const SOURCE_VARIABLES: [&str; 8] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];

/// Everything needed to run the chain.
pub(crate) struct CredentialsSource {
    pub(crate) environment: Environment,
    pub(crate) region: Region,
    pub(crate) role_arn: Option<String>,
    pub(crate) client: PooledClient,
    pub(crate) limits: Limits,
}

impl CredentialsSource {
    /// The SDK's loader with this run's variables, region and HTTP client.
    pub(crate) async fn loader(&self) -> ConfigLoader {
        self.loader_with(SdkView::of(&self.environment).await.env())
    }

    fn loader_with(&self, variables: Env) -> ConfigLoader {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .env(variables)
            .region(self.region.clone())
            .http_client(WithVersion1::new(self.client.clone(), &self.environment))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(self.limits.connect_timeout)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .build(),
            )
    }

    /// Runs the chain, and over it the role.
    pub(crate) async fn load(&self) -> Result<Found, CredentialsFailure> {
        let view = SdkView::of(&self.environment).await;
        let failed = |why: String| CredentialsFailure(format!("cannot load AWS credentials: {why}"));
        let profiles = view.profiles_in_force().await;
        if let Some(profiles) = &profiles
            && let Some(unusable) = view.unusable_token_of(profiles).await
        {
            return Err(failed(unusable.to_string()));
        }
        let mut loader = self.loader_with(view.env());
        let process = profiles.as_ref().and_then(CredentialProcess::of);
        let keys = match &process {
            Some(process) => Some(process.run().await.map_err(failed)?),
            None => None,
        };
        let is_all = process.as_ref().is_some_and(CredentialProcess::is_all);
        if let (Some(process), Some(keys)) = (&process, &keys) {
            loader = loader.profile_files(process.replaced_by(keys));
        }
        let sdk_config = Box::pin(loader.load()).await;
        let base = match keys {
            Some(keys) if is_all => keys,
            of_source => {
                let Some(chain) = sdk_config.credentials_provider() else {
                    return Err(CredentialsFailure("the SDK has no credential chain".to_owned()));
                };
                let mut credentials = match chain.provide_credentials().await {
                    Ok(credentials) => credentials,
                    Err(error) => return Err(CredentialsFailure(self.explanation(&error, &view).await)),
                };
                if of_source.is_some() {
                    let features = credentials.get_property_mut_or_default::<Vec<AwsCredentialFeature>>();
                    features.push(AwsCredentialFeature::CredentialsProcess);
                }
                credentials
            }
        };
        let place = description(&base, self.profile_name(), key_variables(&self.environment));
        let Some(role) = &self.role_arn else {
            return Ok(Found::new(base, place));
        };
        let shown_role = sanitize_lines(role, SHOWN_NAME_MAX_CHARS);
        let provider = Box::pin(
            AssumeRoleProvider::builder(role)
                .session_name(SESSION_NAME)
                .configure(&sdk_config)
                .build_from_provider(base),
        )
        .await;
        match provider.provide_credentials().await {
            Ok(credentials) => Ok(Found::new(
                credentials,
                format!("the role {shown_role}, assumed with the credentials of {place}"),
            )),
            Err(error) => Err(CredentialsFailure(format!(
                "cannot assume the role {shown_role} with the credentials of {place}: {}",
                reason(&error)
            ))),
        }
    }

    /// Why the chain gave nothing, and what to do.
    async fn explanation(&self, error: &CredentialsError, view: &SdkView) -> String {
        let unusable = match view.unusable_profiles() {
            none if none.is_empty() => none,
            unusable => format!("{unusable}; "),
        };
        if matches!(error, CredentialsError::CredentialsNotLoaded(_)) || is_without_metadata(error) {
            return format!(
                "{NONE}{unusable}none in the environment variables AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, the AWS profile \"{}\", a web identity token, the container endpoint, or \
                 EC2 instance metadata{SET_UP}",
                sanitize_lines(self.profile_name(), SHOWN_NAME_MAX_CHARS)
            );
        }
        // The SDK's reason is only that it could not read what was put in their place.
        let tokens = view.unusable_tokens();
        if !tokens.is_empty() {
            return format!("cannot load AWS credentials: {unusable}{tokens}");
        }
        let said = match error {
            // The chain drops file and line of a mistake in a profile file, so that is read once more.
            CredentialsError::InvalidConfiguration(_) => {
                let files = EnvConfigFiles::default();
                match aws_config::profile::load(&Fs::real(), &view.env(), &files, None).await {
                    Err(mistake) => told(&mistake),
                    Ok(_) => reason(error),
                }
            }
            _ => reason(error),
        };
        // The chain does not say which of its sources failed. What is set up narrows it down.
        let set_up: Vec<String> = SOURCE_VARIABLES
            .iter()
            .filter_map(|name| Some((name, self.environment.get(name)?)))
            .map(|(name, value)| format!("{name}={}", sanitize_lines(value, SHOWN_NAME_MAX_CHARS)))
            .collect();
        match set_up.as_slice() {
            [] => format!("cannot load AWS credentials: {unusable}{said}"),
            set_up => format!(
                "cannot load AWS credentials: {unusable}{said} (set: {})",
                set_up.join(", ")
            ),
        }
    }

    fn profile_name(&self) -> &str {
        self.environment.get("AWS_PROFILE").unwrap_or("default")
    }
}

/// Where `credentials` come from, in the words of who has to configure them; `keys` are the variables that hold them if
/// the environment does.
fn description(credentials: &Credentials, profile: &str, keys: [&str; 2]) -> String {
    let features = credentials
        .get_property::<Vec<AwsCredentialFeature>>()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if features.contains(&AwsCredentialFeature::CredentialsEnvVars) {
        let [id, secret] = keys;
        return format!("the environment variables {id} and {secret}");
    }
    let mut places: Vec<&str> = features.iter().filter_map(place).collect();
    if features.contains(&AwsCredentialFeature::CredentialsProfile) {
        let profile = format!(
            "the AWS profile \"{}\"",
            sanitize_lines(profile, SHOWN_NAME_MAX_CHARS)
        );
        return match places.as_slice() {
            [] => profile,
            places => format!("{profile} ({})", places.join(", ")),
        };
    }
    if places.is_empty() {
        places.push("the AWS SDK's default chain");
    }
    places.join(", ")
}

/// The SDK marks credentials with where they have been; of its marks these occur in the default chain.
fn place(feature: &AwsCredentialFeature) -> Option<&'static str> {
    use AwsCredentialFeature as Feature;
    Some(match feature {
        // So marked whether the token is named by a profile or by the environment.
        Feature::CredentialsProfileStsWebIdToken => "a web identity token",
        Feature::CredentialsStsAssumeRole => "an assumed role",
        Feature::CredentialsSso => "an SSO session",
        Feature::CredentialsProcess => "a credential process",
        Feature::CredentialsHttp => "the container credentials endpoint",
        Feature::CredentialsImds => "EC2 instance metadata",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_goes_from_the_profile_to_what_it_uses_and_has_no_secret() {
        let described = |features: &[AwsCredentialFeature]| {
            let mut credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
            credentials.set_property(features.to_vec());
            description(&credentials, "dev", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY"])
        };
        use AwsCredentialFeature as Feature;
        assert_eq!(
            described(&[Feature::CredentialsProfile]),
            "the AWS profile \"dev\""
        );
        assert_eq!(
            described(&[
                Feature::CredentialsSso,
                Feature::CredentialsStsAssumeRole,
                Feature::CredentialsProfile
            ]),
            "the AWS profile \"dev\" (an SSO session, an assumed role)"
        );
        assert_eq!(described(&[Feature::CredentialsImds]), "EC2 instance metadata");
        assert_eq!(described(&[]), "the AWS SDK's default chain");
        assert_eq!(
            described(&[Feature::CredentialsEnvVars]),
            "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_KEY"
        );
    }
}
