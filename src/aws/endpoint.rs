//! Where the calls go: one base URL, resolved once for everything the daemon calls on X-Ray.
//!
//! | order | source |
//! |---|---|
//! | 1 | `Endpoint` of cfg.yaml |
//! | 2 | `AWS_ENDPOINT_URL_XRAY` |
//! | 3 | `AWS_ENDPOINT_URL` |
//! | 4 | the profile: `endpoint_url` below `xray` in its `services` section, then its own `endpoint_url` |
//! | 5 | the service's endpoint rules for the region, `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` |
//!
//! `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` switches 2 to 4 off, as in every AWS SDK. Order and rules are the SDK's
//! own code; only the checks and the names of the sources are added here.

use aws_sdk_xray::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::config::{Environment, Sourced, Warning, url};
use crate::logs::sanitize_lines;
use crate::net::client::error::{SettingError, told};
use crate::net::client::proxy;

/// The longest name of a region that an error shows, in characters.
const SHOWN_SOURCE_MAX_CHARS: usize = 100;

/// The base URL of X-Ray and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    source: String,
}

impl Endpoint {
    /// An absolute `http://` or `https://` URL, perhaps with a path, without a trailing slash and a query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether what is sent there can be read on the way: plain HTTP to another machine.
    pub(crate) fn is_in_clear(&self) -> bool {
        let url = self.url.parse::<http::Uri>().ok();
        url.is_some_and(|url| url.scheme_str() == Some("http") && !url.host().is_some_and(proxy::is_loopback))
    }

    /// Where it was set, in words that a person can act on.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The endpoint for `region`, and what the user should know about it.
///
/// # Errors
/// [`SettingError::Endpoint`] when the URL in force cannot be used.
pub(crate) async fn resolve(
    configured: Option<&Sourced<String>>,
    environment: &Environment,
    sdk_config: &SdkConfig,
    region: &str,
) -> Result<(Endpoint, Vec<Warning>), SettingError> {
    let use_fips = sdk_config.use_fips().unwrap_or_default();
    let use_dual_stack = sdk_config.use_dual_stack().unwrap_or_default();
    let custom = match configured {
        Some(configured) => Some((configured.value.clone(), configured.source.clone())),
        None => from_sdk_settings(environment, sdk_config),
    };
    if let Some((value, source)) = custom {
        let endpoint = checked(&value, source)?;
        let warnings = ignored_flags(use_fips, use_dual_stack, &endpoint);
        return Ok((endpoint, warnings));
    }

    let source = match (use_fips, use_dual_stack) {
        (false, false) => format!("region {region}"),
        (true, false) => format!("region {region} with FIPS"),
        (false, true) => format!("region {region} with dual-stack"),
        (true, true) => format!("region {region} with FIPS and dual-stack"),
    };
    let unresolvable = |reason: String| SettingError::Endpoint {
        source: sanitize_lines(&source, SHOWN_SOURCE_MAX_CHARS),
        reason: format!("AWS has no X-Ray endpoint there: {reason}"),
    };
    let params = Params::builder()
        .region(region)
        .use_fips(use_fips)
        .use_dual_stack(use_dual_stack)
        .build()
        .map_err(|error| unresolvable(told(&error)))?;
    let resolved = DefaultResolver::new()
        .resolve_endpoint(&params)
        .await
        .map_err(|error| unresolvable(told(error.as_ref())))?;
    Ok((checked(resolved.url(), source)?, Vec::new()))
}

/// What the SDK would take from the environment and the profile, and the name of that place.
fn from_sdk_settings(environment: &Environment, sdk_config: &SdkConfig) -> Option<(String, String)> {
    let key = ServiceConfigKey::builder()
        .service_id("XRay")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let value = sdk_config.service_config()?.load_config(key)?;
    // The SDK does not say which of its places it took, so ask them in its order.
    let source = ["AWS_ENDPOINT_URL_XRAY", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find(|name| environment.get(name) == Some(&value))
        .unwrap_or("endpoint_url of the AWS profile");
    Some((value, source.to_owned()))
}

/// A custom endpoint has no FIPS or dual-stack variant. The SDK refuses each call with both; a daemon that calls
/// the endpoint it was given, and says what it leaves out, is more use.
fn ignored_flags(use_fips: bool, use_dual_stack: bool, endpoint: &Endpoint) -> Vec<Warning> {
    [
        (use_fips, "AWS_USE_FIPS_ENDPOINT"),
        (use_dual_stack, "AWS_USE_DUALSTACK_ENDPOINT"),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .map(|(_, variable)| {
        let text = format!(
            "{variable} has no effect on X-Ray calls: {} comes from {}",
            endpoint.url, endpoint.source
        );
        Warning::at(variable, text)
            .used(&endpoint.url)
            .used_source(&endpoint.source)
    })
    .collect()
}

/// `value` as an endpoint, by the same rules as cfg.yaml's.
fn checked(value: &str, source: String) -> Result<Endpoint, SettingError> {
    match url::endpoint(value) {
        Ok(url) => Ok(Endpoint { url, source }),
        Err(reason) => Err(SettingError::Endpoint { source, reason }),
    }
}
