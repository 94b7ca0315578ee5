//! Strict verification of AWS Signature Version 4 in its header form.
//!
//! It answers one question: would AWS have taken this request, from this key, at this time? Therefore it is a second
//! implementation beside the signer's (`aws-sigv4`): what both get wrong in the same way would stay unseen if the
//! verifier called the signer. No I/O and no clock: `now` is passed in.
//!
//! Stricter than AWS is known to be in two places, so that a sloppy signer shows: every `x-amz-*` header that arrives
//! must be signed (AWS documents it as a must and does not enforce it everywhere), and `SignedHeaders` must be
//! lower-case, sorted and name only headers that arrived.
//!
//! Sources: AWS's description of Signature Version 4 and its published test suite (service `service`, key
//! `AKIDEXAMPLE`); texts and codes of the refusals as seen in public reports of AWS services. AWS gives 5 or 15 minutes
//! of clock skew, depending on the service; for X-Ray 15 were seen.

mod authorization;
mod canonical;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

pub use error::SignatureError;

use authorization::{Authorization, Scope, single};
use error::quoted;

/// The only algorithm taken.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the signer's clock may be from ours, either way.
pub const MAX_SKEW: Duration = Duration::from_mins(15);

/// A key pair that may sign.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// `AKID…`.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// For temporary credentials: what `X-Amz-Security-Token` must carry. `None`: the header must be absent.
    pub session_token: Option<String>,
}

impl Key {
    /// A long-lived key, without a session token.
    #[must_use]
    pub fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
        }
    }

    /// The key of AWS's published examples: `AKIDEXAMPLE` / `wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY`.
    #[must_use]
    pub fn example() -> Self {
        Self::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    /// The same key as temporary credentials with this token.
    #[must_use]
    pub fn with_session_token(mut self, token: &str) -> Self {
        self.session_token = Some(token.to_owned());
        self
    }
}

/// Only the id: secrets are not printed.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as it stood in the request line, still percent-encoded, without the query.
    pub path: &'a str,
    /// What follows the `?`, if there is one.
    pub query: Option<&'a str>,
    /// All headers, in the order they came.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// What a valid signature tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed.
    pub access_key_id: String,
    /// The region of the credential scope.
    pub region: String,
    /// `X-Amz-Date`, at second resolution.
    pub signed_at: SystemTime,
    /// Names of the signed headers: lower-case, sorted.
    pub signed_headers: Vec<String>,
}

/// Checks signatures for one service.
#[derive(Debug, Clone)]
pub struct Verifier {
    service: String,
    region: Option<String>,
    keys: BTreeMap<String, Key>,
}

impl Verifier {
    /// For `service` (`xray`), any region, and these keys; with the same id twice, the last one counts.
    #[must_use]
    pub fn new(service: &str, keys: impl IntoIterator<Item = Key>) -> Self {
        Self {
            service: service.to_owned(),
            region: None,
            keys: keys
                .into_iter()
                .map(|key| (key.access_key_id.clone(), key))
                .collect(),
        }
    }

    /// Takes only this region in the credential scope.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Whether `request` is signed as AWS demands, at `now`.
    ///
    /// # Errors
    /// The first thing that is wrong, in this order: header absent, unreadable, scope, key, session token, headers
    /// not signed, time, hash of the body, signature.
    pub fn verify(&self, request: &Received<'_>, now: SystemTime) -> Result<Verified, SignatureError> {
        let authorization = Authorization::of(request.headers)?;
        let scope = &authorization.scope;
        let date = self.check_scope(scope, request.headers)?;
        let key = self
            .keys
            .get(scope.access_key_id)
            .ok_or_else(|| SignatureError::UnknownKey(quoted(scope.access_key_id)))?;
        check_token(key, request.headers)?;
        check_signed_headers(&authorization.signed_headers, request.headers)?;
        let signed_at = check_time(date, now)?;
        let body_hash = check_body_hash(request)?;

        let canonical = canonical::request(request, &authorization.signed_headers, &body_hash);
        let string_to_sign = format!(
            "{ALGORITHM}\n{date}\n{}/{}/{}/aws4_request\n{}",
            scope.date,
            scope.region,
            scope.service,
            hex::encode(Sha256::digest(&canonical))
        );
        let mac = hmac(
            &signing_key(&key.secret_access_key, scope),
            string_to_sign.as_bytes(),
        );
        // Upper-case hex, which AWS refuses, is no signature here either; the comparison is in constant time.
        let matches =
            lower_hex(authorization.signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok());
        if !matches {
            return Err(SignatureError::Mismatch {
                canonical_request: canonical::shown(request, &authorization.signed_headers, &body_hash),
                string_to_sign,
            });
        }
        Ok(Verified {
            access_key_id: key.access_key_id.clone(),
            region: scope.region.to_owned(),
            signed_at,
            signed_headers: authorization
                .signed_headers
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        })
    }

    /// Date, region and service of the scope; returns the text of `X-Amz-Date`.
    fn check_scope<'h>(&self, scope: &Scope<'_>, headers: &'h HeaderMap) -> Result<&'h str, SignatureError> {
        let date = single(headers, "x-amz-date")?.ok_or_else(|| {
            SignatureError::Incomplete(
                "Authorization header requires existence of an 'X-Amz-Date' header.".into(),
            )
        })?;
        if scope.service != self.service {
            return Err(SignatureError::Scope(format!(
                "Credential should be scoped to correct service: '{}', not {}.",
                self.service,
                quoted(scope.service)
            )));
        }
        let region_fits = match &self.region {
            Some(region) => scope.region == region,
            None => !scope.region.is_empty(),
        };
        if !region_fits {
            return Err(SignatureError::Scope(format!(
                "Credential should be scoped to a valid region, not {}.",
                quoted(scope.region)
            )));
        }
        if date.get(..8) != Some(scope.date) {
            return Err(SignatureError::Scope(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 {} != {}.",
                quoted(scope.date),
                quoted(date)
            )));
        }
        Ok(date)
    }
}

fn check_token(key: &Key, headers: &HeaderMap) -> Result<(), SignatureError> {
    match (&key.session_token, single(headers, "x-amz-security-token")?) {
        (None, None) => Ok(()),
        (Some(expected), Some(given)) if expected == given => Ok(()),
        _ => Err(SignatureError::InvalidToken),
    }
}

fn check_signed_headers(signed: &[&str], headers: &HeaderMap) -> Result<(), SignatureError> {
    let refuse = |text: String| Err(SignatureError::Headers(text));
    if let Some(pair) = signed.windows(2).find(|pair| pair[0] >= pair[1]) {
        return refuse(format!(
            "SignedHeaders must be sorted, each once: {} stands before {}.",
            quoted(pair[0]),
            quoted(pair[1])
        ));
    }
    for name in signed {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return refuse(format!("SignedHeaders must be lower-case: {}.", quoted(name)));
        }
        if !headers.contains_key(*name) {
            return refuse(format!("Signed header {} did not arrive.", quoted(name)));
        }
    }
    for name in ["host", "x-amz-date"] {
        if !signed.contains(&name) {
            return refuse(format!("'{name}' must be a signed header."));
        }
    }
    match headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-") && !signed.contains(&name.as_str()))
    {
        Some(name) => refuse(format!(
            "There were headers present in the request which were not signed: {}.",
            quoted(name.as_str())
        )),
        None => Ok(()),
    }
}

/// `20150830T123600Z` within [`MAX_SKEW`] of `now`.
fn check_time(date: &str, now: SystemTime) -> Result<SystemTime, SignatureError> {
    let signed_at = parse_date(date).ok_or_else(|| {
        SignatureError::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got {}.",
            quoted(date)
        ))
    })?;
    let texts = || (date.to_owned(), format_date(now));
    if now.duration_since(signed_at).is_ok_and(|age| age > MAX_SKEW) {
        let (signed, now) = texts();
        return Err(SignatureError::Expired { signed, now });
    }
    if signed_at.duration_since(now).is_ok_and(|lead| lead > MAX_SKEW) {
        let (signed, now) = texts();
        return Err(SignatureError::NotYetCurrent { signed, now });
    }
    Ok(signed_at)
}

/// `20150830T123600Z`, exactly; the calendar is checked too.
fn parse_date(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' || !digits(0..8) || !digits(9..15) {
        return None;
    }
    let extended = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &text[..4],
        &text[4..6],
        &text[6..8],
        &text[9..11],
        &text[11..13],
        &text[13..15]
    );
    SystemTime::try_from(DateTime::from_str(&extended, Format::DateTime).ok()?).ok()
}

/// `20150830T123600Z`.
pub(super) fn format_date(time: SystemTime) -> String {
    let whole = DateTime::from_secs(DateTime::from(time).secs());
    whole
        .fmt(Format::DateTime)
        .map(|text| text.replace(['-', ':'], ""))
        .unwrap_or_else(|_| "a time out of range".to_owned())
}

/// The hex hash of the body, which `X-Amz-Content-Sha256` must repeat when it is there.
fn check_body_hash(request: &Received<'_>) -> Result<String, SignatureError> {
    let actual = hex::encode(Sha256::digest(request.body));
    match single(request.headers, "x-amz-content-sha256")? {
        Some(declared) if declared != actual => Err(SignatureError::BodyHash {
            declared: quoted(declared),
            actual,
        }),
        _ => Ok(actual),
    }
}

/// The key of the day, region and service, derived from the secret.
fn signing_key(secret: &str, scope: &Scope<'_>) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [scope.date, scope.region, scope.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    key
}

fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

/// The 32 bytes of a signature in lower-case hex.
fn lower_hex(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
