//! The catalog of a running Backstage, by its catalog API (docs/features/software-catalog/api.md, `GET /entities/by-query`).
//!
//! It is asked over the client that talks to apiservers elsewhere in this program, of which only the transport is used:
//! the addresses, the token and the redirects are dealt with here.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use kube::client::Body;
use kube::{Client, Config};

use super::batch::Batch;
use super::files::bounded;
use super::page::{Item, Page};
use crate::cli::Fault;
use crate::runtime::causes::sentence;
use crate::runtime::destination::Destination;

/// Where a token is looked for that no file holds.
const TOKEN: &str = "LANDFALL_BACKSTAGE_TOKEN";
/// How many entities are asked for at once.
const PAGE: usize = 500;
/// The largest answer that is read.
const ANSWER: usize = 64 << 20;
/// The most that is read of all answers together: some 200,000 entities.
const ALL: usize = 512 << 20;
/// The most pages that are read.
const PAGES: usize = 10_000;
/// How many pages one after another may hold no entity.
const EMPTY_PAGES: usize = 10;
/// How many redirects are followed for one request.
const REDIRECTS: usize = 5;
/// How often a request is made again that a server puts off.
const RETRIES: u32 = 4;
/// How long is waited before the first of them where the server does not say; each time it is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest that is waited because a server says so.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How a catalog is reached.
pub struct Access {
    token: Option<HeaderValue>,
    authority: Option<String>,
    patience: Duration,
}

impl Access {
    /// Reads the token and the certificates.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no token.
    pub fn read(token_file: Option<&Path>, authority: Option<&Path>, seconds: u64) -> Result<Self, Fault> {
        let read = |path: &Path| {
            let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
            bounded(file, 1 << 20).map_err(|reason| format!("{}: {reason}", path.display()))
        };
        let token = match token_file {
            Some(path) => Some(read(path)?),
            None => std::env::var(TOKEN).ok().filter(|token| !token.is_empty()),
        };
        if token.as_deref().is_some_and(|token| token.trim().is_empty()) {
            return Err("--token-file holds no token; expected one line of printable ASCII".into());
        }
        let token = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| "the token has a character that no token has; expected one line of printable ASCII")?;
            value.set_sensitive(true);
            Ok::<_, &str>(value)
        });
        Ok(Self {
            token: token.transpose()?,
            authority: authority.map(read).transpose()?,
            patience: Duration::from_secs(seconds),
        })
    }
}

/// Every entity of the catalog at `url`.
///
/// # Errors
/// When not all of them can be had: then there are none.
pub async fn entities(url: &str, access: Access) -> Result<Vec<Item>, Fault> {
    let catalog = Catalog::at(url, access)?;
    let (mut entities, mut cursors, mut read, mut empty) = (Vec::new(), HashSet::new(), 0, 0);
    let mut query = format!("limit={PAGE}");
    let total = loop {
        let bytes = catalog.get(&query).await?;
        read += bytes.len();
        let page = Page::read(&bytes).map_err(|error| {
            format!("{url} does not answer as Backstage's catalog does: {error}; is it the address of the backend?")
        })?;
        empty = if page.items.is_empty() { empty + 1 } else { 0 };
        entities.extend(page.items);
        let Some(cursor) = page.next else {
            break page.total;
        };
        let endless = if read > ALL {
            format!(
                "has more than {} MiB of entities, which is the most that is read",
                ALL >> 20
            )
        } else if empty >= EMPTY_PAGES {
            format!("gives {EMPTY_PAGES} pages without an entity one after another, and always another to ask for")
        } else if cursors.len() >= PAGES {
            format!("has more than {PAGES} pages, which is the most that is read")
        } else if cursors.insert(cursor.clone()) {
            query = format!("limit={PAGE}&cursor={}", encoded(&cursor));
            continue;
        } else {
            "gives the same page again, and so has no end".to_owned()
        };
        return Err(format!("{url} {endless}; nothing was imported").into());
    };
    match total.filter(|total| *total > entities.len()) {
        Some(total) => Err(format!(
            "{url} says that it has {total} entities, and gave {} and no more to ask for; nothing was imported; if entities were removed meanwhile, import again",
            entities.len()
        )
        .into()),
        None => Ok(entities),
    }
}

/// Status, how long the server wants to be left alone, and the body or why there is none.
type Answer = (StatusCode, Option<Duration>, Result<Vec<u8>, String>);

struct Catalog {
    client: Client,
    origin: Uri,
    path: String,
    access: Access,
}

impl Catalog {
    fn at(url: &str, access: Access) -> Result<Self, Fault> {
        let wrong = || format!("{url:?} is not an address; write for example https://backstage.example.com");
        let address: Uri = url.parse().map_err(|_| wrong())?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.authority().is_none() {
            return Err(wrong().into());
        }
        if address
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err("the address holds a password; give a token with --token-file instead".into());
        }
        let local = address
            .host()
            .is_some_and(|host| host == "localhost" || host.starts_with("127."));
        if access.token.is_some() && address.scheme_str() == Some("http") && !local {
            Batch::note(url, "the token goes to this address in the open; https would hide it");
        }
        let path = address.path().trim_end_matches('/');
        let path = if path.ends_with("/api/catalog") {
            path.to_owned()
        } else {
            format!("{path}/api/catalog")
        };
        let origin = Uri::builder()
            .scheme(address.scheme_str().unwrap_or("https"))
            .authority(address.authority().map_or("", http::uri::Authority::as_str))
            .path_and_query("/")
            .build()?;
        let mut config = Config::new(origin.clone());
        config.connect_timeout = Some(access.patience.min(Duration::from_secs(10)));
        config.read_timeout = Some(access.patience);
        config.default_retry = false;
        config.root_cert = access.authority.as_deref().map(certificates).transpose()?;
        Ok(Self {
            client: Destination::at(config)?.client()?,
            origin,
            path: format!("{path}/entities/by-query"),
            access,
        })
    }

    /// The body of an answer. A server that puts the request off is asked again, some times.
    async fn get(&self, query: &str) -> Result<Vec<u8>, Fault> {
        let mut target = format!("{}?{query}", self.path);
        for retry in 0..RETRIES {
            let (status, retry_after, body) = self.follow(&mut target).await?;
            if !puts_off(status) {
                return self.taken(status, body);
            }
            let wait = retry_after.unwrap_or(FIRST_WAIT * 2_u32.pow(retry));
            if wait > LONGEST_WAIT {
                return Err(format!(
                    "{}; it asks to be left alone for {} s, and the longest that is waited is {} s",
                    self.refused(status, &body.unwrap_or_default()),
                    wait.as_secs(),
                    LONGEST_WAIT.as_secs()
                )
                .into());
            }
            let message = format!("it answers {status}; asking again in {:.1} s", wait.as_secs_f64());
            Batch::note(&self.origin.to_string(), &message);
            tokio::time::sleep(wait).await;
        }
        let (status, _, body) = self.follow(&mut target).await?;
        self.taken(status, body)
    }

    /// What an answer holds that is a good one.
    fn taken(&self, status: StatusCode, body: Result<Vec<u8>, String>) -> Result<Vec<u8>, Fault> {
        if status == StatusCode::OK {
            return Ok(body?);
        }
        Err(self.refused(status, &body.unwrap_or_default()).into())
    }

    /// An answer to `target`, for which redirects are followed that stay with the host: then `target` is where they led.
    async fn follow(&self, target: &mut String) -> Result<Answer, Fault> {
        for _ in 0..=REDIRECTS {
            let answer = tokio::time::timeout(self.access.patience, self.ask(target));
            let answer = answer.await.map_err(|_| self.late())??;
            let status = answer.status();
            if status.is_redirection() {
                *target = self.redirected(&answer)?;
                continue;
            }
            let retry_after = retry_after(answer.headers());
            // axum's reader of bodies is the one of those at hand that takes a limit.
            let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), ANSWER);
            let body = tokio::time::timeout(self.access.patience, body)
                .await
                .map_err(|_| self.late())?;
            let body = body.map(|bytes| bytes.to_vec()).map_err(|error| {
                format!(
                    "{} was cut off, or has more than {} MiB: {error}; nothing was imported",
                    self.origin,
                    ANSWER >> 20
                )
            });
            return Ok((status, retry_after, body));
        }
        Err(format!("{} redirects more than {REDIRECTS} times", self.origin).into())
    }

    async fn ask(&self, target: &str) -> Result<Response<Body>, Fault> {
        let mut request = Request::get(target).header(header::ACCEPT, "application/json").header(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("landfall/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(token) = &self.access.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let answer = self.client.send(request.body(Body::from(Vec::new()))?).await;
        answer.map_err(|error| format!("{} cannot be reached: {}", self.origin, sentence(&error)).into())
    }

    fn late(&self) -> String {
        format!(
            "{} did not answer within {} s; nothing was imported; --timeout gives it longer",
            self.origin,
            self.access.patience.as_secs()
        )
    }

    /// Where an answer sends us, if that is the same host: the token is for no other.
    fn redirected(&self, answer: &Response<Body>) -> Result<String, Fault> {
        let location = answer
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let target: Option<Uri> = location.and_then(|location| location.parse().ok());
        let Some(target) = target else {
            return Err(format!("{} redirects to nowhere", self.origin).into());
        };
        let same = target.authority().is_none()
            || target.scheme() == self.origin.scheme() && target.authority() == self.origin.authority();
        match target.path_and_query() {
            Some(path) if same && path.as_str().starts_with('/') => Ok(path.as_str().to_owned()),
            _ => Err(format!(
                "{} redirects to {:?}, another host, which was not asked; if that is right, name it with --from",
                self.origin,
                location.unwrap_or_default()
            )
            .into()),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> String {
        let text: String = String::from_utf8_lossy(body)
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(200)
            .collect();
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.access.token.is_none() => {
                format!("; give a token with --token-file or in {TOKEN}")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; the token is not good for this".to_owned(),
            StatusCode::NOT_FOUND => "; is it the address of the backend?".to_owned(),
            _ => String::new(),
        };
        format!(
            "{}{} answers {status}{advice}; nothing was imported. It says: {}",
            self.origin.to_string().trim_end_matches('/'),
            self.path,
            text.trim()
        )
    }
}

/// Whether the server, or what stands before it, may well answer in a moment (RFC 9110, sections 15.6.3 to 15.6.5; RFC 6585, section 4).
fn puts_off(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The seconds of `Retry-After`. What gives a date instead is waited for as if it gave nothing: clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The certificates of a PEM file.
fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Fault> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| format!("--certificate-authority: {error}"))?;
    if found.is_empty() {
        return Err("--certificate-authority holds no certificate; expected PEM".into());
    }
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// `text` as the value of a parameter in a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded + &char::from(byte).to_string()
        } else {
            encoded + &format!("%{byte:02X}")
        }
    })
}
