//! TLS: which certificates are trusted, and the handshake.
//!
//! | setting | trusted |
//! |---|---|
//! | `NoVerifySSL` | any certificate, for X-Ray calls alone ([`no_verify`]) |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | the certificates of that PEM file, for the OTLP endpoint alone |
//! | `AWS_CA_BUNDLE` | the certificates of that PEM file, in place of the system's (as botocore does) |
//! | neither | the system's store; `SSL_CERT_FILE` and `SSL_CERT_DIR` point elsewhere |
//!
//! The system's store is read at the first `https://` connection: with a plain `http://` endpoint and credentials
//! from the environment it is never read. (145 certificates: 3 ms and 0.7 MB, release build, 2-core machine.)
//!
//! Who we are is said by a certificate of our own only where one is set ([`ClientAuth`]).

mod client_auth;
mod no_verify;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::OnceCell;

pub(crate) use self::client_auth::ClientAuth;
use super::error::SettingError;
use crate::config::files::Kind;
use crate::config::{Environment, Sourced};
use crate::logs::sanitize_lines;

/// The certificates of every authority that browsers know take a fifth of one.
const BUNDLE: Kind = Kind {
    name: "bundle of certificates",
    max_mib: 8,
};

/// Which server certificates are trusted.
#[derive(Clone)]
pub(crate) enum Trust {
    /// The system's certificate authorities; those of the file that `SSL_CERT_FILE` names, if it does.
    System(Option<PathBuf>),
    /// These and no others.
    Authorities(Arc<RootCertStore>),
    /// Any certificate, checked by nobody.
    Anything,
}

impl Trust {
    /// What `AWS_CA_BUNDLE` asks for.
    ///
    /// # Errors
    /// [`SettingError::CaBundle`] when the file cannot be read or has no usable certificate.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let Some(path) = environment.get("AWS_CA_BUNDLE").map(PathBuf::from) else {
            return Ok(Self::System(environment.get("SSL_CERT_FILE").map(PathBuf::from)));
        };
        match read_authorities(&path) {
            Ok(authorities) => Ok(Self::Authorities(Arc::new(authorities))),
            Err(reason) => Err(SettingError::CaBundle { path, reason }),
        }
    }

    /// The certificates of the PEM file that a setting names.
    ///
    /// # Errors
    /// [`SettingError::CertificateFile`] when the file cannot be read or has no usable certificate.
    pub(crate) fn from_file(file: &Sourced<PathBuf>) -> Result<Self, SettingError> {
        match read_authorities(&file.value) {
            Ok(authorities) => Ok(Self::Authorities(Arc::new(authorities))),
            Err(reason) => Err(SettingError::CertificateFile {
                source: file.source.clone(),
                path: file.value.clone(),
                reason,
            }),
        }
    }
}

/// The certificates of the PEM file at `path`.
fn read_authorities(path: &Path) -> Result<RootCertStore, String> {
    let pem = BUNDLE.read(path).map_err(|error| error.to_string())?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("it is no PEM file: {error}"))?;
        // One certificate that rustls cannot use must not make the others useless: bundles hold odd old ones.
        authorities.add_parsable_certificates([certificate]);
    }
    if authorities.is_empty() {
        return Err("it has no usable certificate in PEM form (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(authorities)
}

/// The TLS side of one kind of connection; its configuration is made when the first connection needs it.
pub(crate) struct Tls {
    trust: Trust,
    client: Option<ClientAuth>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            client: None,
            config: OnceCell::new(),
        }
    }

    /// The same, with a certificate of our own.
    pub(crate) fn with_client(trust: Trust, client: Option<ClientAuth>) -> Self {
        Self {
            client,
            ..Self::new(trust)
        }
    }

    /// The configuration; reads the system's certificates on the first call.
    ///
    /// # Errors
    /// A text that says why no certificate can be trusted. The next call tries again.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config
            .get_or_try_init(|| async {
                let (trust, client) = (self.trust.clone(), self.client.clone());
                // File access does not belong on a thread that moves packets.
                tokio::task::spawn_blocking(move || client_config(&trust, client.as_ref()))
                    .await
                    .map_err(|error| error.to_string())?
            })
            .await
            .cloned()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trust = match &self.trust {
            Trust::System(_) => "the system's authorities",
            Trust::Authorities(_) => "the authorities of a file",
            Trust::Anything => "any certificate",
        };
        f.debug_struct("Tls")
            .field("trust", &trust)
            .finish_non_exhaustive()
    }
}

fn client_config(trust: &Trust, client: Option<&ClientAuth>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match trust {
        Trust::System(file) => builder.with_root_certificates(system_authorities(file.as_deref())?),
        Trust::Authorities(authorities) => builder.with_root_certificates(Arc::clone(authorities)),
        Trust::Anything => builder
            .dangerous()
            .with_custom_certificate_verifier(no_verify::verifier(&provider)),
    };
    let mut config = match client {
        Some(client) => client.used_by(builder).map_err(|error| error.to_string())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// `file` is what `SSL_CERT_FILE` names, which is read below.
fn system_authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    // From what is no file that would never come back. One that is not there is told with the rest.
    if let Some(file) = file
        && let Err(error) = BUNDLE.check(file)
        && matches!(error.kind(), ErrorKind::Other | ErrorKind::FileTooLarge)
    {
        return Err(sanitize_lines(
            &format!("SSL_CERT_FILE: {}: {error}", file.display()),
            400,
        ));
    }
    let loaded = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(loaded.certs);
    if authorities.is_empty() {
        let reasons: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(sanitize_lines(
            &format!(
                "this system has no CA certificates ({}); install the ca-certificates package, or name a PEM file in \
                 AWS_CA_BUNDLE or SSL_CERT_FILE",
                if reasons.is_empty() {
                    "none found".to_owned()
                } else {
                    reasons.join("; ")
                }
            ),
            400,
        ));
    }
    Ok(authorities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(content: &[u8]) -> (tempfile::TempDir, Environment) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.pem");
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let environment = Environment([("AWS_CA_BUNDLE".to_owned(), path)].into());
        (directory, environment)
    }

    fn error_of(environment: &Environment) -> String {
        match Trust::from_environment(environment) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("accepted"),
        }
    }

    #[test]
    fn a_bundle_that_is_missing_or_empty_is_named_with_its_variable() {
        let missing = Environment([("AWS_CA_BUNDLE".to_owned(), "/nowhere/ca.pem".to_owned())].into());
        assert_eq!(
            error_of(&missing),
            "AWS_CA_BUNDLE: cannot use the CA certificates of \"/nowhere/ca.pem\": No such file or directory \
             (os error 2)"
        );
        let (_directory, empty) = bundle(b"no certificates here\n");
        let error = error_of(&empty);
        assert!(
            error.contains("AWS_CA_BUNDLE") && error.contains("no usable certificate"),
            "{error}"
        );
    }

    #[test]
    fn a_bundle_may_hold_a_broken_certificate_beside_good_ones() {
        let good = rcgen::generate_simple_self_signed(["ca.example".to_owned()])
            .unwrap()
            .cert
            .pem();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (_directory, environment) = bundle(format!("{broken}{good}").as_bytes());
        match Trust::from_environment(&environment) {
            Ok(Trust::Authorities(authorities)) => assert_eq!(authorities.len(), 1),
            _ => panic!("the good certificate is not used"),
        }
    }

    #[tokio::test]
    async fn only_http_1_1_is_offered() {
        let config = Tls::new(Trust::Anything).config().await.unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }
}
