//! Certificates for receivers and servers that speak TLS.
//!
//! Purpose: an authority of one test's own; the process under test trusts it when `SSL_CERT_FILE` of that process names
//! [`Authority::root_file`]. Failure: its folder goes with it, so it must outlive the process.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::process::TemporaryFolder;

/// Who issues them.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TemporaryFolder,
}

/// The files of a server that speaks TLS, PEM.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its private key, for its owner alone.
    pub key: PathBuf,
    /// The certificate of the authority.
    pub root: PathBuf,
}

/// What a certificate says.
#[derive(Clone, Copy, Debug)]
pub struct Says {
    /// The name or address that it is for.
    pub name: &'static str,
    /// Whether its time is over.
    pub expired: bool,
    /// What is agreed to by ALPN, in the order of preference.
    pub protocols: &'static [&'static [u8]],
}

impl Says {
    /// This machine, now.
    #[must_use]
    pub fn sound(protocols: &'static [&'static [u8]]) -> Self {
        Self { name: "127.0.0.1", expired: false, protocols }
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = TemporaryFolder::new("authority")?;
        std::fs::write(folder.path().join("root.pem"), issuer.pem())?;
        Ok(Self { issuer, folder })
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Writes a certificate for 127.0.0.1 and its key into a folder.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn server_files(&self, folder: &Path) -> anyhow::Result<ServerFiles> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = ServerFiles {
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
            root: folder.join("root.pem"),
        };
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600))?;
        fs::write(&files.root, self.issuer.pem())?;
        Ok(files)
    }

    /// The server's side of TLS, with a certificate of this authority.
    ///
    /// # Errors
    /// When `says` cannot be put in a certificate.
    pub fn issue(&self, says: Says) -> anyhow::Result<TlsAcceptor> {
        let mut params = CertificateParams::new([says.name.to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if says.expired { 2021 } else { 2120 }, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).ok().context("no key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = says.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
