//! The `Authorization` header, taken apart.

use http::HeaderMap;

use super::error::quoted;
use super::{ALGORITHM, SignatureError};

/// The fields of an `Authorization` header.
pub(super) struct Authorization<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: &'a str,
}

/// `AKID/20150830/us-east-1/xray/aws4_request`.
pub(super) struct Scope<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl<'a> Authorization<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, SignatureError> {
        let value = single(headers, "authorization")?.ok_or(SignatureError::Missing)?;
        let (algorithm, fields) = value.split_once(' ').unwrap_or((value, ""));
        if algorithm != ALGORITHM {
            return Err(SignatureError::Incomplete(format!(
                "Unsupported AWS 'algorithm': {}; only {ALGORITHM} is taken.",
                quoted(algorithm)
            )));
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',').map(str::trim) {
            let (name, text) = field.split_once('=').unwrap_or((field, ""));
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(SignatureError::Incomplete(format!(
                        "Authorization header has an unknown part: {}.",
                        quoted(field)
                    )));
                }
            };
            if slot.replace(text).is_some() {
                return Err(SignatureError::Incomplete(format!(
                    "Authorization header has '{name}' more than once."
                )));
            }
        }
        let required = |name: &str, slot: Option<&'a str>| {
            slot.filter(|text| !text.is_empty()).ok_or_else(|| {
                SignatureError::Incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let credential = required("Credential", credential)?;
        let signed_headers = required("SignedHeaders", signed_headers)?;
        let signature = required("Signature", signature)?;
        Ok(Self {
            scope: Scope::of(credential)?,
            signed_headers: signed_headers.split(';').collect(),
            signature,
        })
    }
}

impl<'a> Scope<'a> {
    fn of(credential: &'a str) -> Result<Self, SignatureError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts[..] else {
            return Err(SignatureError::Incomplete(format!(
                "Credential must be of the form KEY-ID/YYYYMMDD/REGION/SERVICE/aws4_request, not {}.",
                quoted(credential)
            )));
        };
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
        })
    }
}

/// The value of a header that must not come twice.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(SignatureError::Incomplete(format!(
            "Header '{name}' came more than once."
        )));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| SignatureError::Incomplete(format!("Header '{name}' is not ASCII.")))
}
