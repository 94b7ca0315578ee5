//! The headers of a `PutTraceSegments` call with their signature: SigV4, of a request that has the same form each time.
//!
//! The SDK's signer signs any request: it takes the URL apart, normalizes its path, sorts and trims the headers, derives a
//! key. That is a third of what a call cost. Here method, path, query and names of headers are known when the process
//! starts and the key of a day is kept, so that what is to be signed is one text with some values in it. The key is
//! aws-sigv4's, the HMAC that of the crate which it uses; the tests below compare the whole with what it signs, and those
//! of calls with a verifier that shares nothing with either (docs/adr/0004-independent-verifier.md).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::SCHEME_ID;
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sha2::{Digest as _, Sha256};

use super::clock::Clock;
use super::request::{self, JSON, PATH, TIMESTAMP, timestamp};

/// The service's name in a signature.
pub(super) const SERVICE: &str = "xray";

const SECONDS_OF_A_DAY: u64 = 24 * 3600;

/// Headers of a call.
const HEADERS: usize = 8;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs calls at one endpoint, in one region.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    host: HeaderValue,
    /// What is signed before the first value that differs: method, path, query, and the name of that value.
    start: String,
    /// What is signed between the length and the date.
    middle: String,
    user_agent: HeaderValue,
    clock: Arc<Clock>,
    /// That of the last call.
    key: Mutex<Option<Arc<DayKey>>>,
}

/// What is the same in all signatures of a day with the same credentials.
struct DayKey {
    /// Days since 1970.
    day: u64,
    credentials: Credentials,
    /// `YYYYMMDD`.
    date: String,
    /// Date, region, service, and the word at the end.
    scope: String,
    /// Has taken its key in.
    mac: Hmac<Sha256>,
    token: Option<HeaderValue>,
    /// Names of the signed headers.
    signed: &'static str,
    /// The header's text before the signature.
    authorization: String,
}

impl std::fmt::Debug for DayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayKey")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// `None` for an endpoint whose path would have to be normalized or encoded: that is the SDK's to do.
    pub(super) fn new(
        endpoint: &str,
        region: &str,
        user_agent: &HeaderValue,
        clock: &Arc<Clock>,
    ) -> Option<Self> {
        let uri: Uri = endpoint.parse().ok()?;
        let path = uri.path().trim_end_matches('/');
        if uri.query().is_some() || !is_plain(path) {
            return None;
        }
        let default_port = match uri.scheme_str()? {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = uri.host()?;
        let host = match uri.port_u16() {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        Some(Self {
            region: region.to_owned(),
            start: format!("POST\n{path}{PATH}\n\ncontent-length:"),
            middle: format!("\ncontent-type:{JSON}\nhost:{host}\nx-amz-date:"),
            host: HeaderValue::try_from(host).ok()?,
            user_agent: user_agent.clone(),
            clock: Arc::clone(clock),
            key: Mutex::default(),
        })
    }

    /// The key for a call with `credentials` on `day`.
    fn key(&self, credentials: &Credentials, day: u64) -> Result<Arc<DayKey>, BoxError> {
        let mut last = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*last
            && key.day == day
            && key.credentials.access_key_id() == credentials.access_key_id()
            && key.credentials.secret_access_key() == credentials.secret_access_key()
            && key.credentials.session_token() == credentials.session_token()
        {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(DayKey::new(credentials, day, &self.region)?);
        *last = Some(Arc::clone(&key));
        Ok(key)
    }

    /// All headers of a call with `body`, as sent at `now`, signed for a service whose clock says `signed_at`.
    fn headers(
        &self,
        body: &[u8],
        credentials: &Credentials,
        now: SystemTime,
        signed_at: SystemTime,
    ) -> Result<HeaderMap, BoxError> {
        let since = signed_at.duration_since(UNIX_EPOCH)?.as_secs();
        let key = self.key(credentials, since / SECONDS_OF_A_DAY)?;
        let date = key.date_time(since % SECONDS_OF_A_DAY);
        let length = HeaderValue::from(body.len());
        let timestamp = timestamp(now);
        let (token_name, token_text) = match &key.token {
            Some(token) => ("\nx-amz-security-token:", token.as_bytes()),
            None => ("", &b""[..]),
        };
        let mut text = Vec::with_capacity(512 + token_text.len());
        for part in [
            self.start.as_bytes(),
            length.as_bytes(),
            self.middle.as_bytes(),
            date.as_bytes(),
            token_name.as_bytes(),
            token_text,
            b"\nx-amzn-xray-timestamp:",
            timestamp.as_bytes(),
            b"\n\n",
            key.signed.as_bytes(),
            b"\n",
            &hash(body)?,
        ] {
            text.extend_from_slice(part);
        }
        let mut mac = key.mac.clone();
        for part in [
            &b"AWS4-HMAC-SHA256\n"[..],
            date.as_bytes(),
            b"\n",
            key.scope.as_bytes(),
            b"\n",
            &hash(&text)?,
        ] {
            mac.update(part);
        }
        let mut signature = [0; 64];
        hex::encode_to_slice(mac.finalize().into_bytes(), &mut signature)?;
        text.clear();
        text.extend_from_slice(key.authorization.as_bytes());
        text.extend_from_slice(&signature);
        let mut authorization = HeaderValue::try_from(text)?;
        authorization.set_sensitive(true);

        let mut headers = HeaderMap::with_capacity(HEADERS);
        // In a loop, since the insertion of each is long.
        for (name, value) in [
            (HOST, Some(self.host.clone())),
            (USER_AGENT, Some(self.user_agent.clone())),
            (CONTENT_TYPE, Some(HeaderValue::from_static(JSON))),
            (CONTENT_LENGTH, Some(length)),
            (TIMESTAMP, Some(HeaderValue::try_from(timestamp)?)),
            (DATE, Some(HeaderValue::try_from(date)?)),
            (TOKEN, key.token.clone()),
            (AUTHORIZATION, Some(authorization)),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }
}

/// SHA-256, in hexadecimal digits.
#[inline(never)]
fn hash(bytes: &[u8]) -> Result<[u8; 64], BoxError> {
    let mut digits = [0; 64];
    hex::encode_to_slice(Sha256::digest(bytes), &mut digits)?;
    Ok(digits)
}

/// Whether `path` stands in what is signed as it is.
fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_~.".contains(&byte))
        && (path.is_empty() || path.starts_with('/'))
        && path
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "" | "." | ".."))
}

impl DayKey {
    fn new(credentials: &Credentials, day: u64, region: &str) -> Result<Self, BoxError> {
        let midnight = UNIX_EPOCH + Duration::from_secs(day * SECONDS_OF_A_DAY);
        // The format fails for years beyond 9999 alone; a signature of no day is refused.
        let date: String = DateTime::from(midnight)
            .fmt(Format::DateTime)
            .unwrap_or_default()
            .chars()
            .take_while(|&character| character != 'T')
            .filter(char::is_ascii_digit)
            .collect();
        let key = v4::generate_signing_key(credentials.secret_access_key(), midnight, region, SERVICE);
        let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
        let token = credentials.session_token().and_then(|token| {
            let mut token = HeaderValue::try_from(token).ok()?;
            token.set_sensitive(true);
            Some(token)
        });
        let signed = if token.is_some() {
            "content-length;content-type;host;x-amz-date;x-amz-security-token;x-amzn-xray-timestamp"
        } else {
            "content-length;content-type;host;x-amz-date;x-amzn-xray-timestamp"
        };
        Ok(Self {
            day,
            credentials: credentials.clone(),
            authorization: format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature=",
                credentials.access_key_id()
            ),
            date,
            scope,
            mac: Hmac::new_from_slice(key.as_ref())?,
            token,
            signed,
        })
    }

    /// `YYYYMMDDTHHMMSSZ`, `seconds` after midnight.
    fn date_time(&self, seconds: u64) -> String {
        let mut text = String::with_capacity(16);
        text.push_str(&self.date);
        text.push('T');
        for number in [seconds / 3600, seconds / 60 % 60, seconds % 60] {
            for digit in [number / 10, number % 10] {
                text.push(char::from(b'0' + (digit as u8)));
            }
        }
        text.push('Z');
        text
    }
}

impl Sign for Signer {
    #[expect(clippy::disallowed_methods, reason = "a signature has a time")]
    fn sign_http_request(
        &self,
        _request: &mut HttpRequest,
        _identity: &Identity,
        _endpoint_config: AuthSchemeEndpointConfig<'_>,
        _components: &RuntimeComponents,
        _config: &ConfigBag,
    ) -> Result<(), BoxError> {
        let now = SystemTime::now();
        request::sign(|keys, body| self.headers(body, &keys.credentials, now, self.clock.corrected(now)))
    }
}

impl AuthScheme for Signer {
    fn scheme_id(&self) -> AuthSchemeId {
        SCHEME_ID
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(self.scheme_id())
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

#[cfg(test)]
mod tests {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use proptest::prelude::*;

    use super::*;

    fn signer(endpoint: &str) -> Signer {
        let user_agent = HeaderValue::from_static("xray");
        Signer::new(endpoint, "eu-central-1", &user_agent, &Arc::default()).unwrap()
    }

    /// The three headers of a signature, by aws-sigv4.
    fn expected(
        url: &str,
        headers: &HeaderMap,
        body: &[u8],
        credentials: &Credentials,
        now: SystemTime,
    ) -> Vec<(String, String)> {
        let identity = Identity::from(credentials.clone());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let of_request = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .filter(|(name, _)| !SIGNATURE.contains(name));
        let signable = SignableRequest::new("POST", url, of_request, SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut headers: Vec<_> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort();
        headers
    }

    const SIGNATURE: [&str; 3] = ["authorization", "x-amz-date", "x-amz-security-token"];

    fn found(headers: &HeaderMap) -> Vec<(String, String)> {
        let found = SIGNATURE.iter().filter_map(|name| {
            let value = headers.get(*name)?.to_str().unwrap();
            Some(((*name).to_owned(), value.to_owned()))
        });
        found.collect()
    }

    proptest! {
        #[test]
        fn signatures_are_those_of_aws_sigv4(
            seconds in 0..4_102_444_800_u64,
            nanoseconds in 0..1_000_000_000_u32,
            ahead_seconds in 0..1000_u64,
            body in prop::collection::vec(any::<u8>(), 0..200),
            access_key_id in "[A-Z0-9]{16,20}",
            secret in "[ -~]{1,60}",
            token in prop::option::of("[A-Za-z0-9+/=]{1,900}"),
            endpoint in "https?://[a-z]{1,9}(\\.[a-z]{2,5}){0,2}(:(80|443|[1-9][0-9]{3}))?(/[a-zA-Z0-9._~-]{3,9}){0,2}",
        ) {
            let now = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            let signed_at = now + Duration::from_secs(ahead_seconds);
            let credentials = Credentials::new(access_key_id, secret, token, None, "test");
            let signer = signer(&endpoint);
            // The key of another day and of other keys is not taken for this one.
            let other = Credentials::new("AKID", "secret", None, None, "test");
            signer.key(&other, seconds / SECONDS_OF_A_DAY).unwrap();
            let headers = signer.headers(&body, &credentials, now, signed_at).unwrap();
            let url = format!("{endpoint}{PATH}");
            prop_assert_eq!(found(&headers), expected(&url, &headers, &body, &credentials, signed_at));
            prop_assert_eq!(&headers[TIMESTAMP], &format!("{seconds}.{nanoseconds:09}"));
            prop_assert_eq!(&headers[CONTENT_LENGTH], &body.len().to_string());
            // What HTTP clients make of the URL.
            let uri: Uri = url.parse().unwrap();
            let default = if url.starts_with("https") { 443 } else { 80 };
            let host = match uri.port_u16() {
                Some(port) if port != default => format!("{}:{port}", uri.host().unwrap()),
                _ => uri.host().unwrap().to_owned(),
            };
            prop_assert_eq!(&headers[HOST], &host);
        }
    }

    #[test]
    fn the_key_is_made_anew_on_another_day_and_for_other_credentials() {
        let signer = signer("http://127.0.0.1:1");
        let key = |secret, day| {
            let credentials = Credentials::new("AKID", secret, None, None, "test");
            signer.key(&credentials, day).unwrap()
        };
        let first = key("a", 20_000);
        assert!(Arc::ptr_eq(&first, &key("a", 20_000)));
        assert_eq!(first.scope, "20241004/eu-central-1/xray/aws4_request");
        let next = key("a", 20_001);
        assert_eq!(next.scope, "20241005/eu-central-1/xray/aws4_request");
        let signature = |key: &DayKey| key.mac.clone().finalize().into_bytes();
        assert_ne!(signature(&next), signature(&key("b", 20_001)));
    }

    #[test]
    fn an_endpoint_whose_path_would_change_in_what_is_signed_is_left_to_the_sdk() {
        let user_agent = HeaderValue::from_static("xray");
        for endpoint in [
            "https://host/a%20b",
            "https://host/a//b",
            "https://host/a/../b",
            "https://host/a+b",
            "https://host/?x=1",
        ] {
            let signer = Signer::new(endpoint, "r", &user_agent, &Arc::default());
            assert!(signer.is_none(), "{endpoint}");
        }
        assert!(
            signer("https://host/base")
                .start
                .contains("\n/base/TraceSegments\n")
        );
        assert_eq!(signer("https://host:443").host, "host");
        assert_eq!(signer("http://[::1]:8080").host, "[::1]:8080");
    }

    #[test]
    fn no_key_shows_in_debug() {
        let signer = signer("http://127.0.0.1:1");
        let credentials = Credentials::new("AKID", "geheim", Some("marke".into()), None, "test");
        signer.key(&credentials, 1).unwrap();
        let shown = format!("{signer:?}");
        assert!(!shown.contains("geheim") && !shown.contains("marke"), "{shown}");
    }
}
