//! The signature of a `PutTraceSegments` call: SigV4, of a request that has the same form each time.
//!
//! The SDK's signer signs any request: it takes the URL apart, normalizes its path, sorts and trims the headers, derives a
//! key. That is a third of what a call cost. Here method, path, query and names of headers are known when the process
//! starts and the key of a day is kept, so that what is to be signed is one text with some values in it. The key and the
//! HMAC are aws-sigv4's; the tests below compare the whole with what it signs, and those of calls with a verifier that
//! shares nothing with either (docs/adr/0004-independent-verifier.md).

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
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Uri};
use sha2::{Digest as _, Sha256};

use super::clock::Clock;
use super::request::{PATH, TIMESTAMP};

/// The service's name in a signature.
pub(super) const SERVICE: &str = "xray";

const SECONDS_OF_A_DAY: u64 = 24 * 3600;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Signs calls at one endpoint, in one region.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    /// As in the header.
    host: String,
    /// The endpoint's, with that of the call.
    path: String,
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
    signing_key: Vec<u8>,
    token: Option<HeaderValue>,
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
    pub(super) fn new(endpoint: &str, region: &str, clock: Arc<Clock>) -> Option<Self> {
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
        Some(Self {
            region: region.to_owned(),
            host: match uri.port_u16() {
                Some(port) if port != default_port => format!("{host}:{port}"),
                _ => host.to_owned(),
            },
            path: format!("{path}{PATH}"),
            clock,
            key: Mutex::default(),
        })
    }

    /// The key for a call with `credentials` on `day`.
    fn key(&self, credentials: &Credentials, day: u64) -> Arc<DayKey> {
        let mut last = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*last
            && key.day == day
            && key.credentials.access_key_id() == credentials.access_key_id()
            && key.credentials.secret_access_key() == credentials.secret_access_key()
            && key.credentials.session_token() == credentials.session_token()
        {
            return Arc::clone(key);
        }
        let key = Arc::new(DayKey::new(credentials, day, &self.region));
        *last = Some(Arc::clone(&key));
        key
    }

    /// Signs `request`, a complete one, as sent at `now`.
    fn sign(
        &self,
        request: &mut HttpRequest,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), BoxError> {
        let since = now.duration_since(UNIX_EPOCH)?.as_secs();
        let key = self.key(credentials, since / SECONDS_OF_A_DAY);
        let date = key.date_time(since % SECONDS_OF_A_DAY);
        let (signed, token) = match credentials.session_token() {
            Some(token) => (
                "content-length;content-type;host;x-amz-date;x-amz-security-token;x-amzn-xray-timestamp",
                token,
            ),
            None => (
                "content-length;content-type;host;x-amz-date;x-amzn-xray-timestamp",
                "",
            ),
        };
        let body = request.body().bytes().ok_or("the body of a call is in memory")?;
        let mut hash = [0; 64];
        hex::encode_to_slice(Sha256::digest(body), &mut hash)?;
        let header = |name: HeaderName| {
            let value = request.headers().get(name.as_str());
            value.ok_or_else(|| BoxError::from(format!("a call without {name}")))
        };
        let mut text = String::with_capacity(512 + token.len());
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
        add(&[
            "POST\n",
            &self.path,
            "\n\ncontent-length:",
            header(CONTENT_LENGTH)?,
        ]);
        add(&[
            "\ncontent-type:",
            header(CONTENT_TYPE)?,
            "\nhost:",
            &self.host,
            "\nx-amz-date:",
            &date,
        ]);
        if key.token.is_some() {
            add(&["\nx-amz-security-token:", token]);
        }
        add(&[
            "\nx-amzn-xray-timestamp:",
            header(TIMESTAMP)?,
            "\n\n",
            signed,
            "\n",
        ]);
        add(&[std::str::from_utf8(&hash)?]);
        hex::encode_to_slice(Sha256::digest(&text), &mut hash)?;
        text.clear();
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
        add(&[
            "AWS4-HMAC-SHA256\n",
            &date,
            "\n",
            &key.scope,
            "\n",
            std::str::from_utf8(&hash)?,
        ]);
        let signature = v4::calculate_signature(&key.signing_key, text.as_bytes());
        text.clear();
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
        add(&[
            "AWS4-HMAC-SHA256 Credential=",
            credentials.access_key_id(),
            "/",
            &key.scope,
        ]);
        add(&[", SignedHeaders=", signed, ", Signature=", &signature]);

        let headers = request.headers_mut();
        headers.try_insert(DATE, date)?;
        if let Some(token) = &key.token {
            headers.try_insert(TOKEN, token.clone())?;
        }
        let mut authorization = HeaderValue::try_from(text)?;
        authorization.set_sensitive(true);
        headers.try_insert(AUTHORIZATION, authorization)?;
        Ok(())
    }
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
    fn new(credentials: &Credentials, day: u64, region: &str) -> Self {
        let midnight = UNIX_EPOCH + Duration::from_secs(day * SECONDS_OF_A_DAY);
        // The format fails for years beyond 9999 alone; a signature of no day is refused.
        let date: String = DateTime::from(midnight)
            .fmt(Format::DateTime)
            .unwrap_or_default()
            .chars()
            .take_while(|&character| character != 'T')
            .filter(char::is_ascii_digit)
            .collect();
        let signing_key =
            v4::generate_signing_key(credentials.secret_access_key(), midnight, region, SERVICE);
        let token = credentials.session_token().and_then(|token| {
            let mut token = HeaderValue::try_from(token).ok()?;
            token.set_sensitive(true);
            Some(token)
        });
        Self {
            day,
            credentials: credentials.clone(),
            scope: format!("{date}/{region}/{SERVICE}/aws4_request"),
            date,
            signing_key: signing_key.as_ref().to_vec(),
            token,
        }
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
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        _endpoint_config: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        _config: &ConfigBag,
    ) -> Result<(), BoxError> {
        let credentials = identity.data::<Credentials>().ok_or("keys are AWS credentials")?;
        let clock = components.time_source().ok_or("there is a clock")?;
        self.sign(request, credentials, self.clock.corrected(clock.now()))
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
    use aws_smithy_types::body::SdkBody;
    use proptest::prelude::*;

    use super::*;

    fn signer(endpoint: &str) -> Signer {
        Signer::new(endpoint, "eu-central-1", Arc::default()).unwrap()
    }

    fn request(url: &str, body: &[u8]) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").unwrap();
        request.set_uri(url).unwrap();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, "application/json");
        headers.insert(CONTENT_LENGTH, body.len().to_string());
        headers.insert("user-agent", "not signed");
        headers.insert(TIMESTAMP, "1795227595.034205914");
        request
    }

    /// The three headers of a signature, by aws-sigv4.
    fn expected(request: &HttpRequest, credentials: &Credentials, now: SystemTime) -> Vec<(String, String)> {
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
        let body = SignableBody::Bytes(request.body().bytes().unwrap());
        let signable = SignableRequest::new("POST", request.uri(), request.headers().iter(), body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut headers: Vec<_> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort();
        headers
    }

    fn found(request: &HttpRequest) -> Vec<(String, String)> {
        let names = ["authorization", "x-amz-date", "x-amz-security-token"];
        let found = names.iter().filter_map(|name| {
            let value = request.headers().get(*name)?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        found.collect()
    }

    proptest! {
        #[test]
        fn signatures_are_those_of_aws_sigv4(
            seconds in 0..4_102_444_800_u64,
            body in prop::collection::vec(any::<u8>(), 0..200),
            access_key_id in "[A-Z0-9]{16,20}",
            secret in "[ -~]{1,60}",
            token in prop::option::of("[A-Za-z0-9+/=]{1,900}"),
            endpoint in "https?://[a-z]{1,9}(\\.[a-z]{2,5}){0,2}(:(80|443|[1-9][0-9]{3}))?(/[a-zA-Z0-9._~-]{3,9}){0,2}",
        ) {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            let credentials = Credentials::new(access_key_id, secret, token, None, "test");
            let mut request = request(&format!("{endpoint}{PATH}"), &body);
            let expected = expected(&request, &credentials, now);
            let signer = signer(&endpoint);
            // The key of another day and of other keys is not taken for this one.
            let other = Credentials::new("AKID", "secret", None, None, "test");
            signer.key(&other, seconds / SECONDS_OF_A_DAY);
            signer.sign(&mut request, &credentials, now).unwrap();
            prop_assert_eq!(found(&request), expected);
        }
    }

    #[test]
    fn the_key_is_made_anew_on_another_day_and_for_other_credentials() {
        let signer = signer("http://127.0.0.1:1");
        let credentials = |secret| Credentials::new("AKID", secret, None, None, "test");
        let first = signer.key(&credentials("a"), 20_000);
        assert!(Arc::ptr_eq(&first, &signer.key(&credentials("a"), 20_000)));
        assert_eq!(first.scope, "20241004/eu-central-1/xray/aws4_request");
        let next = signer.key(&credentials("a"), 20_001);
        assert_eq!(next.scope, "20241005/eu-central-1/xray/aws4_request");
        assert_ne!(
            next.signing_key,
            signer.key(&credentials("b"), 20_001).signing_key
        );
    }

    #[test]
    fn an_endpoint_whose_path_would_change_in_what_is_signed_is_left_to_the_sdk() {
        for endpoint in [
            "https://host/a%20b",
            "https://host/a//b",
            "https://host/a/../b",
            "https://host/a+b",
            "https://host/?x=1",
        ] {
            assert!(Signer::new(endpoint, "r", Arc::default()).is_none(), "{endpoint}");
        }
        assert_eq!(signer("https://host/base").path, "/base/TraceSegments");
        assert_eq!(signer("https://host:443").host, "host");
        assert_eq!(signer("http://[::1]:8080").host, "[::1]:8080");
    }

    #[test]
    fn no_key_shows_in_debug() {
        let signer = signer("http://127.0.0.1:1");
        signer.key(
            &Credentials::new("AKID", "geheim", Some("marke".into()), None, "test"),
            1,
        );
        let shown = format!("{signer:?}");
        assert!(!shown.contains("geheim") && !shown.contains("marke"), "{shown}");
    }
}
