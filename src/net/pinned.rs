//! A connection that only two nodes of the cluster can use: TLS 1.3, in which each side accepts one public key and no
//! other. Keys are made for one connection and then forgotten; that each side knows the other's comes from the cluster,
//! whose members tell each other (raw public keys, RFC 7250). There are no certificates, no names and nothing to set up.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned,
};

use crate::deadline::Deadline;

/// How often it is looked whether somebody has connected.
const LOOK: Duration = Duration::from_millis(100);

/// What a handshake may take in all.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A public key, as it is told: the subject's public key info (RFC 5280) in hexadecimal digits. It is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads one that was told.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let is_hex =
            !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| (0..text.len()).step_by(2).filter_map(digits).collect()).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Who this side is, in one connection.
pub struct Identity {
    key: Arc<CertifiedKey>,
    public: PublicKey,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub fn new() -> Result<Self> {
        let provider = Arc::new(provider::default_provider());
        let secret = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok().context("cannot make a key")?;
        let secret = PrivatePkcs8KeyDer::from(secret.as_ref().to_vec()).into();
        let key = provider.key_provider.load_private_key(secret).context("cannot use a key")?;
        let public = key.public_key().context("a key without its public part")?;
        let certificate = CertificateDer::from(public.as_ref().to_vec());
        let public = PublicKey(public.as_ref().to_vec());
        Ok(Self { key: Arc::new(CertifiedKey::new(vec![certificate], key)), public, provider })
    }

    /// What the other side has to know.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn expect(&self, other: &PublicKey) -> Arc<Expected> {
        Arc::new(Expected { key: other.clone(), algorithms: self.provider.signature_verification_algorithms })
    }

    /// Connects to one who listens, and is `other`. `silence`: how long the other side may send or take nothing.
    ///
    /// # Errors
    /// When nobody listens there, or it is not `other`.
    pub fn connect(
        &self,
        place: (&str, u16),
        other: &PublicKey,
        silence: Duration,
    ) -> Result<impl Read + Write + use<>> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.expect(other))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.key))));
        let stream = connect(place, silence)?;
        set_silence(&stream, silence)?;
        // The name means nothing where the key is known.
        let name = ServerName::try_from("node").context("a name")?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream);
        stream
            .conn
            .complete_io(&mut stream.sock)
            .with_context(|| format!("no secure connection to {}:{}", place.0, place.1))?;
        Ok(stream)
    }

    /// Waits at `listener` until `other` has connected. Anybody else is sent away.
    ///
    /// # Errors
    /// When nobody came by the deadline who is `other`.
    pub fn accept(
        &self,
        listener: &TcpListener,
        other: &PublicKey,
        silence: Duration,
        deadline: Deadline,
    ) -> Result<impl Read + Write + use<>> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.expect(other))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.key))));
        let config = Arc::new(config);
        listener.set_nonblocking(true).context("cannot listen")?;
        loop {
            match listener.accept() {
                Ok((stream, from)) => match secure(&config, stream) {
                    Ok(stream) => {
                        set_silence(&stream.sock, silence)?;
                        return Ok(stream);
                    }
                    Err(error) => log::warn!("{from} was sent away: {error:#}"),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                Err(error) => return Err(error).context("cannot listen"),
            }
            if deadline.is_over() {
                bail!("the other node did not connect");
            }
        }
    }
}

/// Whoever says nothing, or little at a time, does not keep the one out that is waited for.
fn secure(config: &Arc<ServerConfig>, stream: TcpStream) -> Result<StreamOwned<ServerConnection, TcpStream>> {
    let deadline = Deadline::after(HANDSHAKE);
    stream.set_nonblocking(false)?;
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
    while stream.conn.is_handshaking() {
        set_silence(&stream.sock, deadline.remaining())?;
        if stream.conn.wants_write() {
            stream.conn.write_tls(&mut stream.sock)?;
        } else if stream.conn.read_tls(&mut stream.sock)? == 0 {
            bail!("it has gone away");
        } else {
            stream.conn.process_new_packets()?;
        }
        if deadline.is_over() {
            bail!("it took too long");
        }
    }
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock)?;
    }
    Ok(stream)
}

fn connect(place: (&str, u16), time: Duration) -> Result<TcpStream> {
    let (host, port) = place;
    let addresses: Vec<SocketAddr> =
        place.to_socket_addrs().with_context(|| format!("the address of {host} is not known"))?.collect();
    let mut last = None;
    for address in &addresses {
        match TcpStream::connect_timeout(address, time) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(error).with_context(|| format!("cannot connect to {host}, port {port}"))
}

fn set_silence(stream: &TcpStream, silence: Duration) -> Result<()> {
    let silence = Some(silence.max(Duration::from_millis(1)));
    stream.set_read_timeout(silence)?;
    stream.set_write_timeout(silence).context("cannot limit a connection's time")
}

/// The one that is expected.
#[derive(Debug)]
struct Expected {
    key: PublicKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Expected {
    fn check(&self, key: &CertificateDer<'_>) -> Result<(), Error> {
        if key.as_ref() == self.key.0 { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) }
    }
}

/// Both roles look at the other side's signature in the same way; rustls has a trait for each.
macro_rules! what_both_sides_check {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not used".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            key: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let key = SubjectPublicKeyInfoDer::from(key.as_ref());
            verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    what_both_sides_check!();
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    what_both_sides_check!();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, port)
    }

    #[test]
    fn two_that_know_each_other_speak() {
        let (donor, joiner) = (Identity::new().expect("made"), Identity::new().expect("made"));
        let (listener, port) = listen();
        let keys = (donor.public_key().clone(), joiner.public_key().clone());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream =
                    donor.accept(&listener, &keys.1, SOON, Deadline::after(SOON)).expect("the one that is expected");
                stream.write_all(&[7; 100_000]).and_then(|()| stream.flush()).expect("sent");
            });
            let mut stream = joiner.connect(("127.0.0.1", port), &keys.0, SOON).expect("connected");
            let mut bytes = vec![0; 100_000];
            stream.read_exact(&mut bytes).expect("received");
            assert!(bytes.iter().all(|byte| *byte == 7));
        });
    }

    #[test]
    fn a_stranger_is_sent_away_and_the_one_that_is_expected_comes_in_after_it() {
        let (donor, joiner, stranger) =
            (Identity::new().expect("made"), Identity::new().expect("made"), Identity::new().expect("made"));
        let (listener, port) = listen();
        let keys = (donor.public_key().clone(), joiner.public_key().clone());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream =
                    donor.accept(&listener, &keys.1, SOON, Deadline::after(SOON)).expect("the one that is expected");
                stream.write_all(b"x").and_then(|()| stream.flush()).expect("sent");
            });
            let read = |identity: &Identity| {
                let mut stream = identity.connect(("127.0.0.1", port), &keys.0, SOON).ok()?;
                let mut letter = [0];
                stream.read_exact(&mut letter).ok().map(|()| letter)
            };
            assert_eq!(read(&stranger), None);
            assert_eq!(read(&joiner), Some([b'x']));
        });
    }

    #[test]
    fn a_donor_that_is_not_the_one_that_was_told_gets_nothing() {
        let (donor, other, joiner) =
            (Identity::new().expect("made"), Identity::new().expect("made"), Identity::new().expect("made"));
        let (listener, port) = listen();
        let (told, joining) = (other.public_key().clone(), joiner.public_key().clone());
        std::thread::scope(|scope| {
            scope.spawn(|| donor.accept(&listener, &joining, SOON, Deadline::after(SOON / 10)).map(drop));
            assert!(joiner.connect(("127.0.0.1", port), &told, SOON).is_err());
        });
    }

    #[test]
    fn a_key_is_read_as_it_was_told_and_nothing_else_is_one() {
        let key = Identity::new().expect("made").public_key().clone();
        assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        assert!(["", "0", "xy", "é0"].iter().all(|text| PublicKey::parse(text).is_none()));
    }
}
