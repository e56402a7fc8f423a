//! Which addresses a request may be sent to.

use ureq::http::Uri;

/// Reads the address of a server, `https://host` or `http://host`, with a path or without.
///
/// With `has_secret`, an address without encryption is refused unless it is on this machine.
pub(crate) fn server_address(endpoint: &str, has_secret: bool) -> Result<Uri, &'static str> {
    let server: Uri = endpoint.parse().map_err(|_| "it is no address")?;
    if server.host().is_none_or(str::is_empty) {
        return Err("it names no host");
    }
    match server.scheme_str() {
        Some("https") => Ok(server),
        Some("http") if !has_secret || is_local(&server) => Ok(server),
        Some("http") => Err("a token is sent over https only"),
        _ => Err("it begins with neither https:// nor http://"),
    }
}

/// Whether an address is on this machine.
pub(crate) fn is_local(server: &Uri) -> bool {
    matches!(server.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_over_https_or_to_this_machine() {
        assert!(server_address("https://api.example/v1", true).is_ok());
        assert!(server_address("http://api.example/v1", false).is_ok());
        assert!(server_address("http://127.0.0.1:8000/v1", true).is_ok());
        assert!(server_address("http://[::1]:8000/v1", true).is_ok());
        assert_eq!(
            server_address("http://api.example/v1", true),
            Err("a token is sent over https only")
        );
        for endpoint in ["", "api.example", "/v1", "ftp://api.example", "https://"] {
            assert!(server_address(endpoint, false).is_err(), "{endpoint:?}");
        }
    }
}
