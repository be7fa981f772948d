//! Owns the reading of forms of the token service: each parameter once, and the client's secret in one place. Must not judge a secret.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::super::super::backend::Backend;
use super::super::super::document::whole;
use super::AUTHORIZATION;
use super::declined::Declined;

/// Parameters of a form: those that are empty count as not there (RFC 6749, section 3.2).
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

/// How a client proves itself (RFC 6749, section 2.3.1).
pub(super) struct Secret {
    /// Who it says it is.
    pub(super) id: Option<String>,
    /// Its API key.
    pub(super) key: Zeroizing<String>,
}

impl FromRequest<Arc<Backend>> for Form {
    type Rejection = Declined;

    async fn from_request(request: Request, _backend: &Arc<Backend>) -> Result<Self, Declined> {
        let (parts, body) = request.into_parts();
        if parts.uri.query().is_some() {
            return Err(Declined::request("parameters go into the body, and none into the path"));
        }
        let mut types = parts.headers.get_all(CONTENT_TYPE).iter();
        let (Some(given), None) = (types.next(), types.next()) else {
            return Err(Declined::request("Content-Type must be given once: application/x-www-form-urlencoded"));
        };
        let kind = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") || parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(Declined::request("the body must be a form: application/x-www-form-urlencoded"));
        }
        Self::read(&whole(&parts, body).await?)
    }
}

impl Form {
    fn read(body: &[u8]) -> Result<Self, Declined> {
        let mut parameters: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.iter().any(|(own, _)| *own == name) {
                return Err(Declined::request("a parameter is there twice"));
            }
            parameters.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(parameters))
    }

    /// A parameter, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Declined> {
        self.get(name).ok_or_else(|| Declined::request(format!("{name} is missing")))
    }

    /// How the client proves itself, if it does: in the header or in the body, not in both.
    pub(super) fn secret(&self, parts: &Parts) -> Result<Option<Secret>, Declined> {
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let header = match (given.next(), given.next()) {
            (None, _) => None,
            (Some(header), None) => Some(header.to_str().map_err(|_| Declined::client(parts))?),
            (Some(_), Some(_)) => return Err(Declined::request("more than one Authorization header")),
        };
        let basic = header.and_then(|header| header.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        match (basic, self.get("client_secret")) {
            (Some(_), Some(_)) => Err(Declined::request("the client's secret is in the header and in the body")),
            (Some((_, encoded)), None) => read_basic(encoded.trim_matches(' ')).map(Some).ok_or_else(|| Declined::client(parts)),
            (None, Some(key)) => Ok(Some(Secret { id: self.get("client_id").map(ToOwned::to_owned), key: Zeroizing::new(key.to_owned()) })),
            (None, None) => Ok(None),
        }
    }
}

/// Id and secret, each in the form of forms before they were joined.
fn read_basic(encoded: &str) -> Option<Secret> {
    let joined = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (id, key) = std::str::from_utf8(&joined).ok()?.split_once(':')?;
    let decoded = |text: &str| {
        // As a form of one parameter: what separates parameters is encoded.
        let encoded = Zeroizing::new(format!("v={text}"));
        let mut pairs = form_urlencoded::parse(encoded.as_bytes());
        match (pairs.next(), pairs.next()) {
            (Some((_, value)), None) => Some(Zeroizing::new(value.into_owned())),
            (_, _) => None,
        }
    };
    let id = decoded(id)?;
    Some(Secret { id: (!id.is_empty()).then(|| id.to_string()), key: decoded(key)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_there_once() {
        assert!(Form::read(b"a=1&a=1").is_err() && Form::read(b"a=&a=1").is_err() && Form::read(b"%61=1&a=2").is_err());
        let form = Form::read(b"a=&b=x+y%26").ok().unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (None, Some("x y&"), None));
    }

    #[test]
    fn id_and_secret_are_decoded_before_they_are_believed() {
        let read =
            |joined: &str| read_basic(&STANDARD.encode(joined)).map(|secret| (secret.id.unwrap_or_default(), secret.key.to_string()));
        assert_eq!(read("id:key"), Some(("id".to_owned(), "key".to_owned())));
        assert_eq!(read("i%3Ad:k%26e+y:z"), Some(("i:d".to_owned(), "k&e y:z".to_owned())));
        assert_eq!(read(":key"), Some((String::new(), "key".to_owned())));
        assert_eq!((read("key"), read("id:a&b"), read_basic("%%%").map(|_| ())), (None, None, None));
    }
}
