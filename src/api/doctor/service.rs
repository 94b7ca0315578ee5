//! The way to X-Ray: region, credentials, endpoint, and each step of a connection and a call.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::call;
use super::files;
use super::report::{OF_XRAY, OTLP_TO_XRAY, Verdict};
use super::way::{self, CONNECT_LIMIT, Steps};
use crate::aws::region::{Attempt, RegionError};
use crate::aws::{self, Limits, region};
use crate::config::otlp::Routes;
use crate::config::{self, Config, Environment, OtlpConfig};
use crate::exporters::xray::XRay;
use crate::logs::sanitize;

/// The longest a call is waited for.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(3);

/// The region of a run that has none: credentials are looked for all the same.
const SOME_REGION: &str = "us-east-1";

/// Tells each verdict when it is found. All of it ends by `end`.
pub(super) async fn look(
    config: &Config,
    environment: &Environment,
    no_calls: bool,
    end: Instant,
    tell: &dyn Fn(Verdict),
) {
    let routes = config
        .otlp
        .as_ref()
        .map_or(Routes::WITHOUT_OTLP, OtlpConfig::routes);
    let spans = routes.spans_to_xray_as_they_are();
    let of_spans = spans.then_some(OTLP_TO_XRAY);
    let skip_but = |but: &[&str], reason: &str| {
        for check in OF_XRAY
            .into_iter()
            .chain(of_spans)
            .filter(|check| !but.contains(check))
        {
            tell(Verdict::skip(check, reason));
        }
    };
    let resolved = region::resolve(&config.xray, environment, &aws::metadata_client(environment)).await;
    let region = match &resolved {
        Ok(found) => {
            tell(Verdict::ok(
                "region",
                format!("{} (from {})", found.region, found.source),
            ));
            Some(found.region.as_str())
        }
        Err(error) => {
            let remedy = "give the region with -n, with Region in cfg.yaml or with AWS_REGION";
            tell(Verdict::fail("region", no_region(error), remedy));
            None
        }
    };
    let left = left_until(end);
    let limits = Limits {
        connect_timeout: config.xray.connect_timeout.min(CONNECT_LIMIT),
        attempt_timeout: CALL_LIMIT,
        credentials_timeout: left,
        // The rest is for a call with what was found.
        credentials_patience: tenths(left * 3 / 5),
        ..Limits::default()
    };
    let connected = XRay::connect_within(
        &config.xray,
        environment,
        region.unwrap_or(SOME_REGION),
        limits.clone(),
    )
    .await;
    let xray = match connected {
        Ok(xray) => xray,
        Err(error) => {
            tell(Verdict::fail(
                "endpoint",
                error.to_string(),
                "mend that setting: no call can be made with it",
            ));
            skip_but(&["region", "endpoint"], "needs settings that can be used");
            return;
        }
    };
    if region.is_none() {
        tell(credentials(&xray, environment).await.0);
        skip_but(&["region", "credentials"], "needs a region");
        return;
    }
    tell(endpoint(&xray));
    let ((found, has_credentials), reached) = tokio::join!(
        credentials(&xray, environment),
        way::look(
            &Steps::TO_XRAY,
            xray.resolved_endpoint().url(),
            xray.proxy_description(),
            xray.connect_once(),
            (limits.connect_timeout, end),
            tell,
        )
    );
    tell(found);
    if let Err(reason) = reached {
        for check in ["clock", "call"].into_iter().chain(of_spans) {
            tell(Verdict::skip(check, format!("needs {reason}")));
        }
        return;
    }
    let limit = CALL_LIMIT.min(left_until(end));
    if no_calls || !has_credentials {
        let reason = if no_calls {
            "not asked for (--no-calls)"
        } else {
            "needs credentials"
        };
        for check in std::iter::once("call").chain(of_spans) {
            tell(Verdict::skip(check, reason));
        }
        let asked = xray.ask_time(limit).await;
        tell(match asked {
            Ok(date) => call::clock(seconds_off(date)),
            Err(error) => Verdict::skip("clock", format!("the endpoint did not say its time: {error}")),
        });
        return;
    }
    let puts_segments = routes.segments.xray || routes.spans.xray && !spans;
    let put_nothing = async {
        match puts_segments {
            true => {
                let probed = xray.put_nothing(limit).await;
                (Some(probed.outcome), probed.date)
            }
            // The clock is looked at all the same.
            false => (None, xray.ask_time(limit).await.unwrap_or_default()),
        }
    };
    let put_no_spans = async {
        match spans {
            true => Some(xray.put_no_spans(limit).await),
            false => None,
        }
    };
    let ((segments, date), spans) = tokio::join!(put_nothing, put_no_spans);
    let off_s = seconds_off(date);
    tell(call::clock(off_s));
    tell(match segments {
        Some(outcome) => call::verdict(&outcome, off_s),
        None => Verdict::skip("call", "no segments go to X-Ray, but spans to its OTLP endpoint"),
    });
    if let Some(outcome) = spans {
        tell(call::of_spans(&outcome, off_s));
    }
}

fn no_region(error: &RegionError) -> String {
    let RegionError::NotFound { tried } = error else {
        return error.to_string();
    };
    let tried = tried
        .iter()
        .map(|Attempt { source, said }| format!("{source} ({said})"));
    format!("no source has one: {}", tried.collect::<Vec<_>>().join(", "))
}

#[expect(clippy::disallowed_methods, reason = "what is left of ten seconds")]
pub(super) fn left_until(end: Instant) -> Duration {
    tenths(end.saturating_duration_since(Instant::now()))
}

/// In whole tenths of a second, since it may be in a message.
fn tenths(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
}

/// By how many seconds this machine's clock is ahead of `date`; below 0: behind it.
#[expect(
    clippy::disallowed_methods,
    reason = "this machine's clock is what is looked at"
)]
fn seconds_off(date: Option<SystemTime>) -> Option<i64> {
    let (date, now) = (date?, SystemTime::now());
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Some(match now.duration_since(date) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    })
}

fn endpoint(xray: &XRay) -> Verdict {
    let endpoint = xray.resolved_endpoint();
    let told = format!("{} (from {})", endpoint.url(), endpoint.source());
    match xray.warnings() {
        [] => Verdict::ok("endpoint", told),
        warnings => Verdict::warn(
            "endpoint",
            format!("{told}; {}", config::in_words(warnings, "; ")),
            "see whether that is meant",
        ),
    }
}

/// Looks for credentials; whether there are some.
async fn credentials(xray: &XRay, environment: &Environment) -> (Verdict, bool) {
    let looked_at = sources(environment);
    match xray.credentials_description().await {
        Ok(place) => (
            Verdict::ok("credentials", format!("from {place}; {looked_at}")),
            true,
        ),
        Err(reason) => {
            let remedy = "on AWS, give the instance, task or pod a role; elsewhere, set AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY, or a profile; where there is no EC2, AWS_EC2_METADATA_DISABLED=true saves \
                          the wait";
            (
                Verdict::fail("credentials", format!("{reason}; {looked_at}"), remedy),
                false,
            )
        }
    }
}

/// The sources of credentials in the order in which they are asked, and what is set up of each. No secrets.
fn sources(environment: &Environment) -> String {
    let is_set = |name: &str| match environment.get(name) {
        Some(_) => "set",
        None => "not set",
    };
    let files = files::profile_files(environment);
    let profile = environment.get("AWS_PROFILE").unwrap_or("default");
    let metadata = match environment.get("AWS_EC2_METADATA_DISABLED") {
        Some(off) if off.trim().eq_ignore_ascii_case("true") => "switched off by AWS_EC2_METADATA_DISABLED",
        _ => "asked last",
    };
    format!(
        "asked in this order: AWS_ACCESS_KEY_ID ({}), profile {} in {} ({}), AWS_WEB_IDENTITY_TOKEN_FILE ({}), \
         AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ({}), AWS_CONTAINER_CREDENTIALS_FULL_URI ({}), EC2 metadata ({metadata})",
        is_set("AWS_ACCESS_KEY_ID"),
        sanitize(profile, 80),
        sanitize(&*files[0].to_string_lossy(), 160),
        match files[0].try_exists() {
            Ok(true) => "there",
            Ok(false) => "not there",
            Err(_) => "closed to this user",
        },
        is_set("AWS_WEB_IDENTITY_TOKEN_FILE"),
        is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_credentials_are_listed_without_what_is_in_them() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIDSECRET"),
            ("AWS_SECRET_ACCESS_KEY", "SECRET"),
            ("AWS_PROFILE", "dev"),
            ("HOME", "/nonexistent"),
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = sources(&Environment(owned.into()));
        assert_eq!(
            told,
            "asked in this order: AWS_ACCESS_KEY_ID (set), profile dev in /nonexistent/.aws/credentials (not there), \
             AWS_WEB_IDENTITY_TOKEN_FILE (not set), AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (not set), \
             AWS_CONTAINER_CREDENTIALS_FULL_URI (not set), EC2 metadata (switched off by AWS_EC2_METADATA_DISABLED)"
        );
    }
}
