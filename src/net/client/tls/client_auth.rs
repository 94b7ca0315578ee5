//! Who we are to a server that asks: a certificate and its key.

use std::fmt;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, Error};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Sourced;
use crate::config::files::Kind;
use crate::config::otlp::ClientIdentity;
use crate::net::client::error::SettingError;

/// A certificate with those between it and its authority is some KB.
const CERTIFICATE: Kind = Kind {
    name: "certificate",
    max_mib: 1,
};

/// A key is 4 KB at the most.
const KEY: Kind = Kind {
    name: "private key",
    max_mib: 1,
};

/// A certificate and its key, read and found to belong together. `Debug` shows neither.
#[derive(Clone)]
pub(crate) struct ClientAuth {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl ClientAuth {
    /// Those of the files of `identity`.
    ///
    /// # Errors
    /// [`SettingError::CertificateFile`] when a file cannot be read, has none in it, or they do not belong together.
    pub(crate) fn read(identity: &ClientIdentity) -> Result<Self, SettingError> {
        let unusable = |file: &Sourced<std::path::PathBuf>, reason: String| SettingError::CertificateFile {
            source: file.source.clone(),
            path: file.value.clone(),
            reason,
        };
        let certificate = &identity.certificate;
        let pem = CERTIFICATE
            .read(&certificate.value)
            .map_err(|error| unusable(certificate, error.to_string()))?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(certificate, format!("it is no PEM file: {error}")))?;
        if chain.is_empty() {
            let reason = "it has no certificate in PEM form (-----BEGIN CERTIFICATE-----)".to_owned();
            return Err(unusable(certificate, reason));
        }
        let key = &identity.key;
        let pem = KEY
            .read(&key.value)
            .map_err(|error| unusable(key, error.to_string()))?;
        // The parser's own words could quote the file.
        let private_key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            let reason =
                "it has no private key in PEM form, without a pass phrase (-----BEGIN PRIVATE KEY-----)";
            unusable(key, reason.to_owned())
        })?;
        let auth = Self {
            chain,
            key: Arc::new(private_key),
        };
        auth.check().map_err(|error| unusable(key, error.to_string()))?;
        Ok(auth)
    }

    /// Whether TLS takes the two, and the key is that of the certificate.
    fn check(&self) -> Result<(), Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty());
        self.used_by(builder).map(drop)
    }

    /// The configuration in which it is used.
    pub(super) fn used_by(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, Error> {
        builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key())
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn identity(directory: &tempfile::TempDir, certificate: &str, key: &str) -> ClientIdentity {
        let file = |name: &str, text: &str, source: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Sourced {
                value: path,
                source: source.to_owned(),
            }
        };
        ClientIdentity {
            certificate: file("c.pem", certificate, "CERTIFICATE"),
            key: file("k.pem", key, "KEY"),
        }
    }

    fn error_of(identity: &ClientIdentity) -> String {
        ClientAuth::read(identity).unwrap_err().to_string()
    }

    #[test]
    fn a_certificate_and_its_key_are_read_and_others_are_named_with_their_setting() {
        let directory = tempfile::tempdir().unwrap();
        let signed = || rcgen::generate_simple_self_signed(["app.example".to_owned()]).unwrap();
        let (mine, others) = (signed(), signed());
        let (certificate, key) = (mine.cert.pem(), mine.signing_key.serialize_pem());
        assert!(ClientAuth::read(&identity(&directory, &certificate, &key)).is_ok());

        let error = error_of(&identity(&directory, "text", &key));
        assert!(error.starts_with("CERTIFICATE: cannot use "), "{error}");
        assert!(
            error.ends_with("it has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
            "{error}"
        );
        let error = error_of(&identity(&directory, &certificate, "s3cret"));
        assert!(
            error.starts_with("KEY: cannot use ") && !error.contains("s3cret"),
            "{error}"
        );
        let error = error_of(&identity(
            &directory,
            &certificate,
            &others.signing_key.serialize_pem(),
        ));
        assert!(error.starts_with("KEY: cannot use "), "{error}");
        let mut missing = identity(&directory, &certificate, &key);
        missing.key.value = PathBuf::from("/nowhere/k.pem");
        let error = error_of(&missing);
        assert!(
            error.starts_with("KEY: cannot use \"/nowhere/k.pem\": "),
            "{error}"
        );
    }
}
