//! TLS to a server, and how much of its certificate is looked at.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest::{self, SHA256, SHA384, SHA512};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Inner;

use crate::error::Error;

/// What two ends of a connection show to each other.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) verify: Verify,
    /// What a server may ask for.
    pub(super) own: Option<OwnCertificate>,
}

/// A certificate of the caller's own, and its key: files in PEM.
#[derive(Clone, Debug)]
pub(super) struct OwnCertificate {
    pub(super) certificate: PathBuf,
    pub(super) key: Option<PathBuf>,
}

/// What of a server's certificate is looked at.
#[derive(Clone, Debug, Default)]
pub(super) enum Verify {
    #[default]
    Nothing,
    /// Who signed it.
    Chain(Roots),
    /// That, and whether it is for the host.
    Full(Roots),
}

/// Whose signatures are trusted.
#[derive(Clone, Debug)]
pub(super) enum Roots {
    /// Those that the system trusts.
    System,
    File(PathBuf),
}

/// Makes connections with TLS.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    pub(super) fn new(peer: &Peer) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| no_tls(&error))?;
        let builder = match &peer.verify {
            Verify::Full(roots) => builder.with_root_certificates(store(roots)?),
            Verify::Chain(roots) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(store(roots)?),
                    Arc::clone(&provider),
                );
                let chain = Some(verifier.build().map_err(|error| no_tls(&error))?);
                (builder.dangerous())
                    .with_custom_certificate_verifier(Arc::new(AnyHost { chain, provider }))
            }
            Verify::Nothing => {
                let chain = None;
                (builder.dangerous())
                    .with_custom_certificate_verifier(Arc::new(AnyHost { chain, provider }))
            }
        };
        let config = match &peer.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own.read()?;
                (builder.with_client_auth_cert(chain, key)).map_err(|error| no_tls(&error))?
            }
        };
        Ok(Tls {
            config: Arc::new(config),
        })
    }
}

fn no_tls(error: &dyn std::fmt::Display) -> Error {
    Error::request(format!("no TLS: {error}"))
}

impl OwnCertificate {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain = certificates(&self.certificate)?;
        let key = self.key.as_deref().ok_or_else(|| {
            Error::request(
                "there is a certificate for the server, and no key: `sslkey=FILE` names it",
            )
        })?;
        check_private(key)?;
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::request(format!(
                "cannot read a private key that is not encrypted from `{}`: {error}",
                key.display()
            ))
        };
        let read = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(&error))?;
        Ok((chain, read))
    }
}

/// That nobody else can read a key, as libpq has it; a group may read one of root's.
#[cfg(unix)]
fn check_private(key: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(key).map_err(|error| {
        Error::request(format!("cannot read the key `{}`: {error}", key.display()))
    })?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & others != 0 {
        return Err(Error::request(format!(
            "others can read the key `{}`: its permissions have to be 0600 or less",
            key.display()
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// The certificates in a file.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::request(format!(
            "cannot read certificates from `{}`: {error}",
            file.display()
        ))
    };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    if found.is_empty() {
        return Err(unreadable(&"there is none in it"));
    }
    Ok(found)
}

fn store(roots: &Roots) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::File(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|error| {
                    Error::request(format!("a certificate in `{}`: {error}", file.display()))
                })?;
            }
        }
    }
    Ok(store)
}

/// Takes a certificate for any host, from anybody or from those who are trusted.
#[derive(Debug)]
struct AnyHost {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when all else is right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Connect> {
        Ok(Connect {
            config: Arc::clone(&self.config),
            // Over a socket in the file system there is none, and no TLS.
            domain: ServerName::try_from(domain.to_owned()).ok(),
        })
    }
}

/// There is a connection, and no TLS over it.
#[derive(Debug)]
pub(super) struct HandshakeFailed(io::Error);

impl HandshakeFailed {
    /// Whether it is for what one end shows to the other, which is the same the next time.
    pub(super) fn is_lasting(&self) -> bool {
        (self.0.get_ref()).is_some_and(|cause| cause.is::<rustls::Error>())
    }
}

impl fmt::Display for HandshakeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for HandshakeFailed {}

pub(super) struct Connect {
    config: Arc<ClientConfig>,
    domain: Option<ServerName<'static>>,
}

impl<S> TlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = HandshakeFailed;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, HandshakeFailed>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let failed = |error| HandshakeFailed(error);
            let domain = self.domain.ok_or(io::ErrorKind::InvalidInput.into());
            let connector = TlsConnector::from(self.config);
            let connected = connector.connect(domain.map_err(failed)?, stream).await;
            Ok(Encrypted(connected.map_err(failed)?))
        })
    }
}

/// A connection with TLS.
pub(crate) struct Encrypted<S>(Inner<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        match certificate.and_then(|certificate| end_point(certificate)) {
            Some(digest) => ChannelBinding::tls_server_end_point(digest),
            None => ChannelBinding::none(),
        }
    }
}

/// The digest of a certificate that the proof of a password is bound to (RFC 5929, section
/// 4.1); none where it is not known which one its signature has.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let (whole, _) = element(certificate)?;
    let (_, after_content) = element(whole)?;
    let (algorithm, _) = element(after_content)?;
    let (oid, _) = element(algorithm)?;
    let digest = match (oid.strip_prefix(&RSA), oid.strip_prefix(&ECDSA)) {
        // MD5 and SHA-1 are not used: SHA-256 takes their place.
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => &SHA256,
        (Some([12]), _) | (_, Some([3, 3])) => &SHA384,
        (Some([13]), _) | (_, Some([3, 4])) => &SHA512,
        _ => return None,
    };
    Some(digest::digest(digest, certificate).as_ref().to_vec())
}

/// What is in an element of DER, and what comes after it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let add = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
            (digits.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_bound_by_the_digest_of_its_signature() {
        // The signatures that certificates have, each in one without content.
        for (oid, length) in [
            (
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b][..],
                32,
            ),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], 32),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], 64),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], 32),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], 48),
        ] {
            let size = oid.len() as u8;
            let mut bytes = vec![0x30, 0x81, size + 6, 0x30, 0, 0x30, size + 2, 6, size];
            bytes.extend(oid);
            assert_eq!(end_point(&bytes).map(|digest| digest.len()), Some(length));
        }
        // Ed25519 has none of its own, and what is no certificate neither.
        let ed25519 = [0x30, 9, 0x30, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
        assert_eq!(end_point(&ed25519), None);
        for bytes in [&b""[..], &[0x30], &[0x30, 0x84, 1], &[0x30, 0x80, 0, 0]] {
            assert_eq!(end_point(bytes), None, "{bytes:?}");
        }
    }
}
