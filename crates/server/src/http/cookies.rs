//! Owns cookies: reading one by its name, and setting one that only this host gets back, over TLS. Must not know what is in them.
//!
//! The prefix `__Host-` has the browser refuse a cookie that another host, a page without TLS or a path has set. Browsers take `localhost` for
//! as safe as TLS, so this works there as well.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// A cookie of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookie {
    name: &'static str,
    lasts: Duration,
}

/// Who is signed in with the browser.
pub(super) const SESSION: Cookie = Cookie { name: "__Host-tollgate_session", lasts: crate::sessions::LONGEST };
/// That the browser was used to sign in.
pub(super) const DEVICE: Cookie = Cookie { name: "__Host-tollgate_device", lasts: Duration::from_secs(365 * 86_400) };
/// Which sign-in through a provider the browser has begun.
pub(super) const SIGN_IN: Cookie = Cookie { name: "__Host-tollgate_sign_in", lasts: crate::openid::LONGEST_SIGN_IN };

/// A cookie is there twice: which one counts would be a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Twice;

impl Cookie {
    /// Its value, where the request has one.
    pub(super) fn read(self, headers: &HeaderMap) -> Result<Option<&str>, Twice> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            (_, Some(_)) => Err(Twice),
        }
    }

    /// Has the browser keep a value: letters, digits, `-`, `_` and `.`.
    pub(super) fn set(self, value: &str) -> HeaderValue {
        self.header(value, self.lasts)
    }

    /// Has the browser forget it.
    pub(super) fn clear(self) -> HeaderValue {
        self.header("", Duration::ZERO)
    }

    fn header(self, value: &str, lasts: Duration) -> HeaderValue {
        // Lax: a provider's page leads back here, and the cookie must come along.
        let text = format!("{}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}", self.name, lasts.as_secs());
        let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<String>, Twice> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        SESSION.read(&headers).map(|value| value.map(ToOwned::to_owned))
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_once() {
        let found = |value: &str| Ok(Some(value.to_owned()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a=b; __Host-tollgate_session=word; c=d"]), found("word"));
        assert_eq!(read(&["a=b", "__Host-tollgate_session=word"]), found("word"));
        assert_eq!(read(&["__Host-tollgate_session="]), Ok(None));
        for other in ["tollgate_session=word", "x__Host-tollgate_session=word", "__host-tollgate_session=word", "__Host-tollgate_session"] {
            assert_eq!(read(&[other]), Ok(None), "{other}");
        }
        assert_eq!(read(&["__Host-tollgate_session=a; __Host-tollgate_session=b"]), Err(Twice));
        assert_eq!(read(&["__Host-tollgate_session=a", "__Host-tollgate_session=a"]), Err(Twice));
    }

    #[test]
    fn a_cookie_is_for_this_host_over_tls_and_no_script() {
        let set = SESSION.set("word").to_str().unwrap().to_owned();
        assert_eq!(set, "__Host-tollgate_session=word; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=604800");
        assert!(SESSION.clear().to_str().unwrap().ends_with("Max-Age=0"));
    }
}
