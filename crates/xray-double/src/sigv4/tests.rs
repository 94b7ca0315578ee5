use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::error::QUOTED_CHARS;
use super::*;

/// 2015-08-30T12:36:00Z, the time of AWS's published suite.
const SUITE_TIME: u64 = 1_440_938_160;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

const BODY: &[u8] = br#"{"TraceSegmentDocuments":["{}"]}"#;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// One case of the published suite: the request, its signed headers and its signature.
struct Vector {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    signed: &'static str,
    signature: &'static str,
}

const VANILLA: Vector = Vector {
    name: "get-vanilla",
    method: "GET",
    path: "/",
    query: None,
    headers: &[],
    body: "",
    signed: "host;x-amz-date",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};

const SUITE: &[Vector] = &[
    VANILLA,
    Vector {
        name: "get-relative",
        path: "/example/..",
        ..VANILLA
    },
    Vector {
        name: "get-relative-relative",
        path: "/example1/example2/../..",
        ..VANILLA
    },
    Vector {
        name: "get-slash-dot-slash",
        path: "/./",
        ..VANILLA
    },
    Vector {
        name: "get-slash-pointless-dot",
        path: "/./example",
        signature: "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        ..VANILLA
    },
    Vector {
        name: "get-slashes",
        path: "//example//",
        signature: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ..VANILLA
    },
    Vector {
        name: "get-utf8",
        path: "/ሴ",
        signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ..VANILLA
    },
    Vector {
        name: "get-space",
        path: "/example space/",
        signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ..VANILLA
    },
    Vector {
        name: "get-unreserved",
        path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ..VANILLA
    },
    Vector {
        name: "get-vanilla-query-order-key-case",
        query: Some("Param2=value2&Param1=value1"),
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ..VANILLA
    },
    Vector {
        name: "get-vanilla-query-order-encoded",
        query: Some("Param-3=Value3&Param=Value2&%E1%88%B4=Value1"),
        signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ..VANILLA
    },
    Vector {
        name: "get-vanilla-utf8-query",
        query: Some("ሴ=bar"),
        signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ..VANILLA
    },
    Vector {
        name: "get-header-key-duplicate",
        headers: &[
            ("My-Header1", "value2"),
            ("My-Header1", "value2"),
            ("My-Header1", "value1"),
        ],
        signed: "host;my-header1;x-amz-date",
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ..VANILLA
    },
    Vector {
        name: "get-header-value-order",
        headers: &[
            ("My-Header1", "value4"),
            ("My-Header1", "value1"),
            ("My-Header1", "value3"),
            ("My-Header1", "value2"),
        ],
        signed: "host;my-header1;x-amz-date",
        signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ..VANILLA
    },
    Vector {
        name: "get-header-value-trim",
        headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        signed: "host;my-header1;my-header2;x-amz-date",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ..VANILLA
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ..VANILLA
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        method: "POST",
        headers: &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            (
                "X-Amz-Content-Sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ],
        body: "Param1=value1",
        signed: "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ..VANILLA
    },
];

#[test]
fn every_vector_of_the_published_suite_verifies() {
    let verifier = Verifier::new("service", [Key::example()]);
    for vector in SUITE {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("example.amazonaws.com"));
        headers.insert("x-amz-date", HeaderValue::from_static("20150830T123600Z"));
        for (name, value) in vector.headers {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_static(value),
            );
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={}, Signature={}",
            vector.signed, vector.signature
        );
        headers.insert(AUTHORIZATION, HeaderValue::try_from(authorization).unwrap());
        let request = Received {
            method: vector.method,
            path: vector.path,
            query: vector.query,
            headers: &headers,
            body: vector.body.as_bytes(),
        };
        let verified = verifier.verify(&request, at(SUITE_TIME));
        assert_eq!(
            verified,
            Ok(Verified {
                access_key_id: "AKIDEXAMPLE".into(),
                region: "us-east-1".into(),
                signed_at: at(SUITE_TIME),
                signed_headers: vector.signed.split(';').map(str::to_owned).collect(),
            }),
            "{}",
            vector.name
        );
    }
}

/// A request that can be changed after it was signed.
#[derive(Clone)]
struct Sample {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:18080"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(
            "x-amzn-xray-timestamp",
            HeaderValue::from_static("1795227595.034205914"),
        );
        headers.insert("user-agent", HeaderValue::from_static("not signed"));
        Self {
            method: "POST".into(),
            path: "/TraceSegments".into(),
            query: None,
            headers,
            body: BODY.to_vec(),
        }
    }

    fn uri(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        format!("http://127.0.0.1:18080{}{}", self.path, query.unwrap_or_default())
    }

    /// Signed by the SDK's own signer.
    fn signed(mut self, token: Option<&str>, checksum: PayloadChecksumKind) -> Self {
        let identity = Credentials::new("AKIDEXAMPLE", SECRET, token.map(str::to_owned), None, "test").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = checksum;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("xray")
            .time(at(SUITE_TIME))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = self.uri();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable =
            SignableRequest::new(&self.method, &uri, headers, SignableBody::Bytes(&self.body)).unwrap();
        let (instructions, _signature) = sign(signable, &params).unwrap().into_parts();
        let (added, _query) = instructions.into_parts();
        for header in added {
            self.headers.insert(
                HeaderName::from_static(header.name()),
                HeaderValue::from_str(header.value()).unwrap(),
            );
        }
        self
    }

    fn verify_with(&self, verifier: &Verifier, now: SystemTime) -> Result<Verified, SignatureError> {
        verifier.verify(
            &Received {
                method: &self.method,
                path: &self.path,
                query: self.query.as_deref(),
                headers: &self.headers,
                body: &self.body,
            },
            now,
        )
    }

    fn verify(&self) -> Result<Verified, SignatureError> {
        self.verify_with(&Verifier::new("xray", [Key::example()]), at(SUITE_TIME))
    }

    fn code(&self) -> &'static str {
        self.verify().unwrap_err().code()
    }

    fn with_authorization(&self, change: impl Fn(&str) -> String) -> Self {
        let mut changed = self.clone();
        let before = self.headers[AUTHORIZATION].to_str().unwrap();
        let after = change(before);
        assert_ne!(before, after, "the change must change something");
        changed
            .headers
            .insert(AUTHORIZATION, HeaderValue::try_from(after).unwrap());
        changed
    }

    fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed
            .headers
            .insert(name, HeaderValue::try_from(value).unwrap());
        changed
    }
}

fn signed() -> Sample {
    Sample::new().signed(None, PayloadChecksumKind::NoHeader)
}

#[test]
fn what_the_sdk_signer_signs_verifies() {
    for checksum in [PayloadChecksumKind::NoHeader, PayloadChecksumKind::XAmzSha256] {
        let verified = Sample::new().signed(None, checksum).verify().unwrap();
        assert_eq!(verified.region, "eu-west-1");
        assert!(verified.signed_headers.contains(&"content-type".to_owned()));
        assert!(!verified.signed_headers.contains(&"user-agent".to_owned()));
    }
}

#[test]
fn a_header_that_is_not_signed_may_change() {
    let sample = signed().with_header("user-agent", "another");
    assert!(sample.verify().is_ok());
}

#[test]
fn every_single_mutation_is_refused() {
    let good = signed();
    assert!(good.verify().is_ok());

    let mut mutations: Vec<(&str, Sample)> = vec![
        ("host", good.with_header("host", "127.0.0.1:18081")),
        (
            "content-type",
            good.with_header("content-type", "application/jsonx"),
        ),
        (
            "timestamp header",
            good.with_header("x-amzn-xray-timestamp", "1795227595.034205915"),
        ),
        ("time", good.with_header("x-amz-date", "20150830T123601Z")),
        (
            "region",
            good.with_authorization(|text| text.replace("/eu-west-1/", "/eu-west-2/")),
        ),
        (
            "a signed header taken off the list",
            good.with_authorization(|text| text.replace("content-type;", "")),
        ),
        (
            "signature",
            good.with_authorization(|text| {
                let flipped = if text.ends_with('0') { "1" } else { "0" };
                format!("{}{flipped}", &text[..text.len() - 1])
            }),
        ),
        (
            "signature in upper case",
            good.with_authorization(|text| {
                let (head, signature) = text.split_once("Signature=").unwrap();
                format!("{head}Signature={}", signature.to_uppercase())
            }),
        ),
        (
            "signature cut short",
            good.with_authorization(|text| text[..text.len() - 2].to_owned()),
        ),
        (
            "a second value of a signed header",
            Sample {
                headers: {
                    let mut headers = good.headers.clone();
                    headers.append("content-type", HeaderValue::from_static("application/json"));
                    headers
                },
                ..good.clone()
            },
        ),
    ];
    for path in ["/TraceSegmentt", "/TraceSegments/", "/tracesegments", "/"] {
        mutations.push((
            "path",
            Sample {
                path: path.into(),
                ..good.clone()
            },
        ));
    }
    mutations.push((
        "query",
        Sample {
            query: Some("a=b".into()),
            ..good.clone()
        },
    ));
    mutations.push((
        "method",
        Sample {
            method: "PUT".into(),
            ..good.clone()
        },
    ));
    for at in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[at] ^= 1;
        mutations.push(("a byte of the body", Sample { body, ..good.clone() }));
    }
    for body in [Vec::new(), BODY[1..].to_vec(), [BODY, b"\n"].concat()] {
        mutations.push(("the body's length", Sample { body, ..good.clone() }));
    }
    for (what, mutation) in mutations {
        assert_eq!(mutation.code(), "InvalidSignatureException", "{what}");
    }
}

#[test]
fn another_secret_is_a_mismatch_and_another_id_is_unknown() {
    let wrong = Verifier::new("xray", [Key::new("AKIDEXAMPLE", "another")]);
    let error = signed().verify_with(&wrong, at(SUITE_TIME)).unwrap_err();
    assert!(matches!(error, SignatureError::Mismatch { .. }), "{error:?}");

    let other = Verifier::new("xray", [Key::new("AKIDOTHER", SECRET)]);
    let error = signed().verify_with(&other, at(SUITE_TIME)).unwrap_err();
    assert_eq!(error, SignatureError::UnknownKey("'AKIDEXAMPLE'".into()));
    assert_eq!(error.code(), "UnrecognizedClientException");
}

#[test]
fn a_request_without_authorization_lacks_its_token() {
    let error = Sample::new().verify().unwrap_err();
    assert_eq!(error, SignatureError::Missing);
    assert_eq!(error.code(), "MissingAuthenticationTokenException");
    assert_eq!(error.to_string(), "Missing Authentication Token");
}

#[test]
fn the_clock_may_be_off_by_fifteen_minutes_and_not_a_second_more() {
    let verifier = Verifier::new("xray", [Key::example()]);
    let skew = MAX_SKEW.as_secs();
    assert_eq!(skew, 900);
    for now in [SUITE_TIME - skew, SUITE_TIME, SUITE_TIME + skew] {
        assert!(signed().verify_with(&verifier, at(now)).is_ok());
    }
    assert_eq!(
        signed()
            .verify_with(&verifier, at(SUITE_TIME + skew + 1))
            .unwrap_err(),
        SignatureError::Expired {
            signed: "20150830T123600Z".into(),
            now: "20150830T125101Z".into()
        }
    );
    assert_eq!(
        signed()
            .verify_with(&verifier, at(SUITE_TIME - skew - 1))
            .unwrap_err(),
        SignatureError::NotYetCurrent {
            signed: "20150830T123600Z".into(),
            now: "20150830T122059Z".into()
        }
    );
}

#[test]
fn the_scope_must_fit_date_service_and_region() {
    let good = signed();
    let other_day = good.with_authorization(|text| text.replace("/20150830/", "/20150831/"));
    assert!(matches!(other_day.verify(), Err(SignatureError::Scope(text)) if text.contains("20150831")));
    let other_service = good.with_authorization(|text| text.replace("/xray/", "/s3/"));
    assert!(
        matches!(other_service.verify(), Err(SignatureError::Scope(text)) if text.contains("correct service: 'xray'"))
    );
    let no_region = good.with_authorization(|text| text.replace("/eu-west-1/", "//"));
    assert!(matches!(no_region.verify(), Err(SignatureError::Scope(text)) if text.contains("valid region")));

    let here = Verifier::new("xray", [Key::example()]).in_region("eu-west-1");
    let elsewhere = Verifier::new("xray", [Key::example()]).in_region("us-east-1");
    assert!(good.verify_with(&here, at(SUITE_TIME)).is_ok());
    assert!(
        matches!(good.verify_with(&elsewhere, at(SUITE_TIME)), Err(SignatureError::Scope(text)) if text.contains("'eu-west-1'"))
    );
}

#[test]
fn headers_that_must_be_signed_are_missed() {
    let good = signed();
    for (list, complaint) in [
        ("content-type;x-amz-date;x-amzn-xray-timestamp", "'host' must be"),
        ("content-type;host;x-amzn-xray-timestamp", "'x-amz-date' must be"),
        ("host;content-type;x-amz-date", "must be sorted"),
        ("host;host;x-amz-date", "must be sorted"),
        ("Host;x-amz-date", "must be lower-case"),
        ("host;x-absent;x-amz-date", "'x-absent' did not arrive"),
    ] {
        let sample = good.with_authorization(|text| {
            let (head, tail) = text.split_once("SignedHeaders=").unwrap();
            let (_list, tail) = tail.split_once(',').unwrap();
            format!("{head}SignedHeaders={list},{tail}")
        });
        match sample.verify() {
            Err(SignatureError::Headers(text)) => assert!(text.contains(complaint), "{list}: {text}"),
            other => panic!("{list}: {other:?}"),
        }
    }
    let added = good.with_header("x-amz-target", "later");
    assert!(matches!(added.verify(), Err(SignatureError::Headers(text)) if text.contains("'x-amz-target'")));
}

#[test]
fn a_declared_body_hash_must_be_the_bodys() {
    let mut sample = Sample::new().signed(None, PayloadChecksumKind::XAmzSha256);
    sample.body.push(b' ');
    assert!(matches!(sample.verify(), Err(SignatureError::BodyHash { .. })));
    let unsigned = sample.with_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert!(
        matches!(unsigned.verify(), Err(SignatureError::BodyHash { declared, .. }) if declared == "'UNSIGNED-PAYLOAD'")
    );
}

#[test]
fn the_session_token_must_be_the_keys() {
    let temporary = Verifier::new("xray", [Key::example().with_session_token("token-1")]);
    let with = |token| Sample::new().signed(token, PayloadChecksumKind::NoHeader);
    assert!(
        with(Some("token-1"))
            .verify_with(&temporary, at(SUITE_TIME))
            .is_ok()
    );
    for sample in [with(Some("token-2")), with(None)] {
        assert_eq!(
            sample.verify_with(&temporary, at(SUITE_TIME)),
            Err(SignatureError::InvalidToken)
        );
    }
    assert_eq!(with(Some("token-1")).verify(), Err(SignatureError::InvalidToken));
}

#[test]
fn a_mismatch_shows_what_should_have_been_signed_but_no_token() {
    let temporary = Verifier::new("xray", [Key::example().with_session_token("token-1")]);
    let mut sample = Sample::new().signed(Some("token-1"), PayloadChecksumKind::NoHeader);
    sample.path = "/Other".into();
    let error = sample.verify_with(&temporary, at(SUITE_TIME)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("POST\n/Other\n\ncontent-type:application/json\nhost:127.0.0.1:18080\n"));
    assert!(text.contains("x-amz-security-token:(masked)\n"));
    assert!(text.contains("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/eu-west-1/xray/aws4_request\n"));
    assert!(!text.contains("token-1"));
    assert!(!text.contains(SECRET));
}

#[test]
fn an_unreadable_authorization_is_incomplete_and_says_why() {
    for (value, complaint) in [
        ("Basic YTpi", "Unsupported AWS 'algorithm': 'Basic'"),
        ("", "Unsupported AWS 'algorithm': ''"),
        ("AWS4-HMAC-SHA256", "unknown part: ''"),
        ("AWS4-HMAC-SHA256 Credential=a/b", "requires 'SignedHeaders'"),
        (
            "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00",
            "requires 'Credential'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
            "requires 'Signature'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
            "of the form",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00",
            "of the form",
        ),
        (
            "AWS4-HMAC-SHA256 Signature=00, Signature=00",
            "'Signature' more than once",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, Expires=1",
            "unknown part: 'Expires=1'",
        ),
    ] {
        let mut sample = Sample::new();
        sample
            .headers
            .insert(AUTHORIZATION, HeaderValue::from_static(value));
        let error = sample.verify().unwrap_err();
        assert!(error.to_string().contains(complaint), "{value}: {error}");
        // An incomplete signature is what AWS calls all of these but the missing header.
        assert_eq!(error.code(), "IncompleteSignatureException", "{value}");
    }
}

#[test]
fn a_doubled_authorization_or_date_is_refused() {
    for name in ["authorization", "x-amz-date"] {
        let mut sample = signed();
        let value = sample.headers[name].clone();
        sample.headers.append(name, value);
        assert!(
            matches!(sample.verify(), Err(SignatureError::Incomplete(text)) if text.contains("more than once"))
        );
    }
}

#[test]
fn a_date_in_another_form_or_not_in_the_calendar_is_refused() {
    for date in [
        "20150830T123600",
        "20150830 123600Z",
        "20150830T126000Z",
        "20151330T123600Z",
        "20150830T12360+Z",
        "20150830T1236000",
    ] {
        let sample = signed().with_header("x-amz-date", date);
        let day = date.get(..8).unwrap();
        let sample = match day {
            "20150830" => sample,
            _ => sample.with_authorization(|text| text.replace("/20150830/", &format!("/{day}/"))),
        };
        assert!(
            matches!(sample.verify(), Err(SignatureError::Incomplete(text)) if text.contains("ISO-8601")),
            "{date}"
        );
    }
}

#[test]
fn errors_quote_little_and_escaped() {
    let long = "x".repeat(QUOTED_CHARS + 1);
    assert_eq!(quoted(&long), format!("'{}…'", "x".repeat(QUOTED_CHARS)));
    assert_eq!(quoted("a\u{1b}[31m\n"), "'a\\u{1b}[31m\\n'");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever path, query, headers and body the SDK's signer signs, we canonicalise to the same.
    #[test]
    fn signer_and_verifier_agree(
        path in "(/[A-Za-z0-9._~%20-]{0,6}){1,4}",
        query in proptest::option::of("[a-z]{1,3}=[A-Za-z0-9~._-]{0,4}(&[a-z]{1,3}=[A-Za-z0-9]{0,4}){0,3}"),
        value in "[!-~]([ -~]{0,12}[!-~])?",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        token in proptest::option::of("[A-Za-z0-9/+=]{1,40}"),
    ) {
        // A lone `%` is no valid URI; the signer would refuse it before us.
        let path = path.replace('%', "%20");
        let mut sample = Sample { path, query, body, ..Sample::new() };
        sample.headers.insert("x-custom", HeaderValue::try_from(value).unwrap());
        let sample = sample.signed(token.as_deref(), PayloadChecksumKind::NoHeader);
        let mut key = Key::example();
        key.session_token = token;
        let verified = sample.verify_with(&Verifier::new("xray", [key]), at(SUITE_TIME));
        prop_assert!(verified.is_ok(), "{}", verified.unwrap_err());
    }

    /// No header text makes the verifier panic or accept.
    #[test]
    fn garbage_is_refused_without_a_panic(authorization in "(AWS4-HMAC-SHA256 )?[ -~]{0,80}", date in "[ -~]{0,20}") {
        let mut sample = Sample::new();
        sample.headers.insert(AUTHORIZATION, HeaderValue::try_from(authorization).unwrap());
        sample.headers.insert("x-amz-date", HeaderValue::try_from(date).unwrap());
        prop_assert!(sample.verify().is_err());
    }
}
