//! Where an upstream is: `http://host:port` and nothing else. Looks nothing up.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::{Authority, PathAndQuery, Scheme};

/// `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Authority);

/// The text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes http://HOST:PORT without a path, a user or a query")]
pub struct BaseUrlError;

impl BaseUrl {
    /// The address of `path` there.
    pub(crate) fn at(&self, path: PathAndQuery) -> Result<Uri, axum::http::Error> {
        Uri::builder().scheme(Scheme::HTTP).authority(self.0.clone()).path_and_query(path).build()
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let parts = text.parse::<Uri>().map_err(|_| BaseUrlError)?.into_parts();
        let authority = parts.authority.ok_or(BaseUrlError)?;
        let is_bare = parts.path_and_query.is_none_or(|path| path == "/");
        let names_a_host = !authority.host().is_empty() && !authority.as_str().contains('@');
        // A port that is no number is left in the text by the parser.
        let has_good_port = authority.port_u16().is_some_and(|port| port != 0);
        if parts.scheme == Some(Scheme::HTTP) && is_bare && names_a_host && has_good_port {
            Ok(Self(authority))
        } else {
            Err(BaseUrlError)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:8081", "http://users:8081/", "http://[::1]:8081"] {
            let url: BaseUrl = good.parse().unwrap();
            assert_eq!(url.to_string(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "127.0.0.1:8081",
            "https://users:8081",
            "http://users",
            "http://users:0",
            "http://users:99999",
            "http://a:b@users:8081",
            "http://users:8081/api",
            "http://users:8081/?a",
            "http://:8081",
            "http://users:x",
        ] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(BaseUrlError), "{bad}");
        }
    }

    #[test]
    fn a_path_is_put_behind_it() {
        let url: BaseUrl = "http://users:8081".parse().unwrap();
        let uri = url.at("/api/v1/users?limit=2".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "http://users:8081/api/v1/users?limit=2");
    }
}
