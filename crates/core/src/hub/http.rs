//! Requests to the hub: who gets the token, which redirects are followed, what a status means.

use std::time::Duration;

use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body};

use super::error::HubError;
use crate::http::{Secret, header_text, server_address};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// A body that gives nothing for so long has stalled.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 10;

/// What a request is about, for the errors that it may end in.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) repo: &'a str,
    pub(super) revision: &'a str,
    pub(super) file: &'a str,
}

/// Which redirects a request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// Those on the same server: the hub answers for a large file with its tag and length, and an address elsewhere.
    SameServer,
    /// All but those from https to http.
    All,
}

/// A status that says that the server, not the request, is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {0}")]
struct ServerStatus(StatusCode);

/// The connection to one hub.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    endpoint: String,
    server: Uri,
    token: Option<Secret>,
}

impl Http {
    /// A connection to an endpoint such as `https://huggingface.co`; nothing is sent yet.
    pub(super) fn new(
        endpoint: &str,
        token: Option<Secret>,
        proxy: Option<ureq::Proxy>,
    ) -> Result<Self, HubError> {
        let invalid = |reason| HubError::InvalidEndpoint {
            endpoint: endpoint.to_owned(),
            reason,
        };
        let server = server_address(endpoint, token.is_some()).map_err(invalid)?;
        if token.as_ref().is_some_and(|token| token.bearer().is_none()) {
            return Err(invalid("the token has characters that no header can carry"));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(concat!("ragtune/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build();
        Ok(Self {
            agent: config.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            server,
            token,
        })
    }

    /// The address without a `/` at its end.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Asks for the headers of a path of the endpoint.
    pub(super) fn head(&self, path: &str, about: About<'_>) -> Result<Response<Body>, HubError> {
        self.request(path, about, Follow::SameServer, |url| self.agent.head(url))
    }

    /// Asks for a path of the endpoint, from byte `start` on.
    pub(super) fn get(&self, path: &str, start: u64, about: About<'_>) -> Result<Response<Body>, HubError> {
        self.request(path, about, Follow::All, |url| {
            let request = self.agent.get(url);
            match start {
                0 => request,
                start => request.header(header::RANGE, format!("bytes={start}-")),
            }
        })
    }

    fn request(
        &self,
        path: &str,
        about: About<'_>,
        follow: Follow,
        build: impl Fn(&str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody>,
    ) -> Result<Response<Body>, HubError> {
        let protocol = |reason: String| HubError::Protocol {
            repo: about.repo.to_owned(),
            file: about.file.to_owned(),
            reason,
        };
        let mut url = format!("{}{path}", self.endpoint);
        for _ in 0..MAX_REDIRECTS {
            let here: Uri = url
                .parse()
                .map_err(|_| protocol(format!("{url:?} is no address")))?;
            let mut request = build(&url);
            if same_server(&here, &self.server)
                && let Some(token) = self.token.as_ref().and_then(Secret::bearer)
            {
                request = request.header(header::AUTHORIZATION, token);
            }
            let response = request.call().map_err(|source| self.network(about, source))?;
            if !response.status().is_redirection() {
                return self.check_status(response, about);
            }
            let location = header_text(response.headers(), header::LOCATION.as_str())
                .ok_or_else(|| protocol("a redirect without an address".to_owned()))?;
            let next = resolve(&here, location)
                .ok_or_else(|| protocol(format!("a redirect to the unusable address {location:?}")))?;
            if follow == Follow::SameServer && !same_server(&next, &here) {
                return Ok(response);
            }
            if here.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(protocol(
                    "a redirect from https to an unprotected address".to_owned(),
                ));
            }
            url = next.to_string();
        }
        Err(protocol(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Lets a good answer pass. The hub explains refusals in the header `x-error-code`; without one, a missing file
    /// and a missing repository are told apart by what was asked for.
    fn check_status(&self, response: Response<Body>, about: About<'_>) -> Result<Response<Body>, HubError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let code = header_text(response.headers(), "x-error-code");
        let repo = about.repo.to_owned();
        let file = about.file.to_owned();
        Err(match (status.as_u16(), code) {
            (_, Some("RepoNotFound")) => self.not_found(about, status),
            (_, Some("RevisionNotFound")) => HubError::RevisionNotFound {
                repo,
                revision: about.revision.to_owned(),
            },
            (_, Some("EntryNotFound")) => HubError::FileNotFound { repo, file },
            (401 | 403, _) => HubError::AccessDenied {
                repo,
                file,
                status: status.as_u16(),
            },
            (404, _) if about.file == super::listing::WHAT => self.not_found(about, status),
            (404, _) => HubError::FileNotFound { repo, file },
            (408 | 429 | 500.., _) => HubError::Network {
                repo,
                file,
                endpoint: self.endpoint.clone(),
                source: Box::new(ServerStatus(status)),
            },
            _ => HubError::Protocol {
                repo,
                file,
                reason: format!("the server answered {status}"),
            },
        })
    }

    fn not_found(&self, about: About<'_>, status: StatusCode) -> HubError {
        HubError::RepositoryNotFound {
            repo: about.repo.to_owned(),
            endpoint: self.endpoint.clone(),
            status: status.as_u16(),
        }
    }

    fn network(&self, about: About<'_>, source: ureq::Error) -> HubError {
        HubError::Network {
            repo: about.repo.to_owned(),
            file: about.file.to_owned(),
            endpoint: self.endpoint.clone(),
            source: Box::new(source),
        }
    }
}

fn same_server(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority() == b.authority()
}

/// The address that a `Location` means, of the two forms that hubs use: whole, or a path on the same server.
fn resolve(here: &Uri, location: &str) -> Option<Uri> {
    let uri: Uri = if location.starts_with("//") {
        format!("{}:{location}", here.scheme_str()?).parse().ok()?
    } else if location.starts_with('/') {
        format!("{}://{}{location}", here.scheme_str()?, here.authority()?)
            .parse()
            .ok()?
    } else {
        location.parse().ok()?
    };
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_travels_unprotected_or_shows_in_debug() {
        let token = || Some(Secret::new("hf_very_secret"));
        let refused = Http::new("http://hub.example", token(), None).unwrap_err();
        assert!(matches!(refused, HubError::InvalidEndpoint { .. }), "{refused}");
        let http = Http::new("https://hub.example/", token(), None).unwrap();
        assert!(!format!("{http:?}").contains("very_secret"));
        assert_eq!(http.endpoint(), "https://hub.example");
    }

    #[test]
    fn locations_resolve_on_the_same_server_or_elsewhere() {
        let here: Uri = "https://hub.example/a/b".parse().unwrap();
        let resolved = |location| resolve(&here, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/x?y=1").as_deref(), Some("https://hub.example/x?y=1"));
        assert_eq!(
            resolved("https://cdn.example/x").as_deref(),
            Some("https://cdn.example/x")
        );
        assert_eq!(
            resolved("//cdn.example/x").as_deref(),
            Some("https://cdn.example/x")
        );
        assert_eq!(resolved("file:///etc/passwd"), None);
        assert_eq!(resolved("x/y"), None);
    }
}
