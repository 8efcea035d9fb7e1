//! The certificate by which the apiserver knows a webhook: made here, kept in a Secret that all replicas share, and made anew in
//! time. What is made is asked of the clock and of chance; what is judged is given.
//!
//! Each certificate has an authority of its own, whose key is thrown away when it has signed: there is nothing else that it could
//! sign. The one before stays in the bundle, so that a replica that still serves its certificate is known meanwhile.

pub mod keep;
pub mod publish;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;

/// For how long a certificate holds, in days.
const DAYS: i64 = 90;
/// How long before its end another takes its place.
const RENEWED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// Where in the Secret the authorities are: the newest first, then the one before.
const AUTHORITIES: &str = "ca.crt";
/// Where the certificate is.
const CERTIFICATE: &str = "tls.crt";
/// Where its key is.
const KEY: &str = "tls.key";

/// What the Secret holds, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The authorities, the newest first.
    pub authorities: String,
    certificate: String,
    key: String,
}

/// The key is shown to nobody.
impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Kept")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// How what is kept stands.
#[derive(Debug)]
pub enum Standing {
    /// It can be served.
    Good(Arc<CertifiedKey>),
    /// It can be served, and ends soon.
    Ending(Arc<CertifiedKey>),
    /// It cannot be served, and why. Nothing of what is kept is in the words.
    Useless(String),
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum Unmade {
    /// The names or the keys.
    #[error("a certificate could not be made: {0}")]
    Signing(#[from] rcgen::Error),
    /// The clock.
    #[error("a certificate could not be made: the clock says {0}")]
    Clock(Timestamp),
}

impl Kept {
    /// What a Secret holds; none where it holds nothing.
    pub fn of(data: Option<&BTreeMap<String, ByteString>>) -> Option<Self> {
        let data = data.filter(|data| !data.is_empty())?;
        let text = |name: &str| {
            let bytes = data.get(name).map(|bytes| bytes.0.as_slice());
            String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
        };
        Some(Self {
            authorities: text(AUTHORITIES),
            certificate: text(CERTIFICATE),
            key: text(KEY),
        })
    }

    /// The same as a Secret holds it.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let parts = [
            (AUTHORITIES, &self.authorities),
            (CERTIFICATE, &self.certificate),
            (KEY, &self.key),
        ];
        parts
            .into_iter()
            .map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())))
            .collect()
    }

    /// A new certificate for `names`, with an authority of its own, that holds from the day before `now`: clocks differ.
    /// The authority of `before` stays beside it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(names: &[String], now: Timestamp, before: Option<&Self>) -> Result<Self, Unmade> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name = called(&format!("landfall webhook authority {}", now.as_second()));
        hold(&mut authority, now)?;
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut served = CertificateParams::new(names)?;
        served.distinguished_name = called("landfall webhook");
        served.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        served.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        served.use_authority_key_identifier_extension = true;
        hold(&mut served, now)?;
        let key = KeyPair::generate()?;
        let certificate = served.signed_by(&key, &authority)?.pem();
        let known = before.and_then(|before| first(&before.authorities));
        Ok(Self {
            authorities: format!("{}{}", authority.pem(), known.unwrap_or_default()),
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// How it stands at `now` for a server that is called by `names`, by the rules by which a client decides.
    pub fn standing(&self, names: &[String], now: Timestamp, provider: &Arc<CryptoProvider>) -> Standing {
        let served = match self.served(provider) {
            Ok(served) => Arc::new(served),
            Err(why) => return Standing::Useless(why),
        };
        let at = |moment: Duration| {
            let mut faults = names
                .iter()
                .filter_map(|name| self.known_as(name, moment, provider).err());
            faults.next().map_or(Ok(()), Err)
        };
        let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        match (at(now), at(now + RENEWED_BEFORE)) {
            (Err(why), _) => Standing::Useless(why),
            (Ok(()), Err(_)) => Standing::Ending(served),
            (Ok(()), Ok(())) => Standing::Good(served),
        }
    }

    /// The certificate with its key, if they belong together.
    fn served(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let chain = certificates(&self.certificate);
        if chain.is_empty() {
            return Err(format!("{CERTIFICATE} holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        let key = key.map_err(|_| format!("{KEY} holds no key that can be read"))?;
        let served = CertifiedKey::from_der(chain, key, provider);
        served.map_err(|_| format!("{KEY} is not the key of {CERTIFICATE}"))
    }

    /// Whether a client that is called to `name` at a time since 1970 and knows the authorities would go on.
    fn known_as(&self, name: &str, at: Duration, provider: &Arc<CryptoProvider>) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.authorities));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let verifier = verifier.map_err(|error| format!("{AUTHORITIES}: {error}"))?;
        let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no name of a server"))?;
        let chain = certificates(&self.certificate);
        let Some((served, between)) = chain.split_first() else {
            return Err(format!("{CERTIFICATE} holds no certificate"));
        };
        let known = verifier.verify_server_cert(served, between, &name, &[], UnixTime::since_unix_epoch(at));
        known.map(drop).map_err(|error| format!("{CERTIFICATE}: {error}"))
    }
}

/// The certificates of a text, as far as they can be read.
fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text.as_bytes())
        .filter_map(Result::ok)
        .collect()
}

/// The first certificate of a text.
fn first(text: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----";
    if certificates(text).is_empty() {
        return None;
    }
    let begin = text.find("-----BEGIN CERTIFICATE-----")?;
    let rest = text.get(begin..)?;
    let length = rest.find(END)? + END.len();
    Some(format!("{}\n", rest.get(..length)?))
}

/// Whether every authority of `wanted` is among those of `found`.
pub fn knows_all(found: &str, wanted: &str) -> bool {
    let found = certificates(found);
    let wanted = certificates(wanted);
    !wanted.is_empty() && wanted.iter().all(|one| found.contains(one))
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Lets a certificate hold from the day before `now`.
fn hold(certificate: &mut CertificateParams, now: Timestamp) -> Result<(), Unmade> {
    let midnight = |days: i64| {
        let moved = now.to_zoned(TimeZone::UTC).checked_add(days.days());
        let date = moved.map_err(|_| Unmade::Clock(now))?.date();
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        let (month, day) = (part(date.month()), part(date.day()));
        Ok::<_, Unmade>(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    certificate.not_before = midnight(-1)?;
    certificate.not_after = midnight(DAYS)?;
    Ok(())
}
