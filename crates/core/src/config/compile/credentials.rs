//! Owns the judgement of what a request is recognised by: consumers, keys, secrets, and the headers that carry them.

use std::collections::HashSet;

use super::{Compiler, is_query_name, is_token, quoted, variable};
use crate::config::document as doc;
use crate::credential::{IssuerKey, KeyHash, is_prefix};
use crate::policy::{ApiKey, ApiKeys, Consumer, IdentityHeaders, Source};
use crate::requirement::{Granted, Met};
use crate::secret::{LEAST_SECRET_LEN, Secret};

impl Compiler<'_> {
    pub(super) fn consumers(&mut self, document: &doc::Plugin, tier_names: &[&str]) -> (Box<[Consumer]>, ApiKeys) {
        let pepper = document.credentials.pepper.as_ref().and_then(|pepper| self.secret("credentials.pepper", pepper));
        let mut api_keys = ApiKeys::new(pepper);
        let ids: Vec<&str> = document.consumers.iter().map(|consumer| consumer.id.as_str()).collect();
        self.unique("consumers", "id", &ids);
        let mut consumers = Vec::with_capacity(ids.len());
        let mut key_ids = HashSet::new();
        for (position, consumer) in document.consumers.iter().enumerate() {
            let path = format!("consumers[{position}]");
            self.id(&format!("{path}.id"), &consumer.id);
            let tier = self.tier_reference(&format!("{path}.tier"), Some(&consumer.tier), tier_names).unwrap_or(0);
            for (number, key) in consumer.keys.iter().enumerate() {
                let path = format!("{path}.keys[{number}]");
                let addresses = self.addresses(&format!("{path}.addresses"), &key.addresses);
                let signing = key.signing.as_ref().and_then(|signing| self.signing(&format!("{path}.signing"), signing));
                self.id(&format!("{path}.id"), &key.id);
                if !key_ids.insert(key.id.as_str()) {
                    self.problem(format!("{path}.id"), quoted(&key.id), "an id of its own: another key has this one");
                }
                self.names(&format!("{path}.scopes"), &key.scopes);
                self.names(&format!("{path}.roles"), &key.roles);
                match key.hash.parse::<KeyHash>() {
                    Err(error) => self.problem(format!("{path}.hash"), "something else", error.to_string()),
                    Ok(KeyHash::HmacSha256(_)) if document.credentials.pepper.is_none() => {
                        self.problem(format!("{path}.hash"), "`hmac-sha256:…` without a pepper", "`sha256:…`, or set `credentials.pepper`");
                    }
                    Ok(hash) => {
                        let granted = Granted { scopes: &key.scopes, roles: &key.roles, claims: None };
                        let met = Met::of(&self.requirements, granted);
                        if !api_keys.insert(hash, ApiKey { id: key.id.clone(), consumer: position, met, addresses, signing }) {
                            self.problem(format!("{path}.hash"), "a hash given before", "each key once");
                        }
                    }
                }
            }
            let addresses = self.addresses(&format!("{path}.addresses"), &consumer.addresses);
            consumers.push(Consumer { id: consumer.id.clone(), tier, addresses });
        }
        (consumers.into(), api_keys)
    }

    pub(super) fn secret(&mut self, path: &str, secret: &doc::Secret) -> Option<Secret> {
        let text = match (&secret.env, &secret.inline) {
            (Some(name), None) => {
                let text = self.environment.variable(name);
                if text.is_none() {
                    self.problem(
                        format!("{path}.env"),
                        format!("{}, which is not set", variable(name)),
                        "a variable of the VM's environment (`host_env_keys`)",
                    );
                }
                text
            }
            (None, Some(inline)) => Some(inline.clone()),
            (Some(_), Some(_)) | (None, None) => {
                self.problem(path, "both or neither of `env` and `inline`", "one of them");
                None
            }
        }?;
        if text.len() < LEAST_SECRET_LEN {
            self.problem(path, format!("{} bytes", text.len()), format!("at least {LEAST_SECRET_LEN} bytes"));
            return None;
        }
        Some(Secret::new(text.into_bytes()))
    }

    pub(super) fn issuer_keys(&mut self, keys: &[doc::IssuerKey]) -> Box<[IssuerKey]> {
        let mut compiled = Vec::with_capacity(keys.len());
        if keys.len() > 8 {
            self.problem("credentials.issuer_keys", format!("{} keys", keys.len()), "at most 8");
        }
        for (position, key) in keys.iter().enumerate() {
            let path = format!("credentials.issuer_keys[{position}]");
            if !is_prefix(&key.prefix) {
                self.problem(format!("{path}.prefix"), quoted(&key.prefix), "2 to 16 lower-case letters and digits, a letter first");
            }
            if keys.iter().take(position).any(|own| own.version == key.version && own.prefix == key.prefix) {
                self.problem(format!("{path}.version"), key.version.to_string(), "a version of its own for each prefix");
            }
            if let Some(secret) = self.secret(&format!("{path}.secret"), &key.secret) {
                compiled.extend(IssuerKey::new(key.version, &key.prefix, secret));
            }
        }
        compiled.into()
    }

    pub(super) fn sources(&mut self, sources: Option<&[doc::Source]>) -> Box<[Source]> {
        let header = |name: &str, scheme: Option<&str>| Source::Header { name: name.to_owned(), scheme: scheme.map(str::to_owned) };
        let Some(sources) = sources else {
            return Box::new([header("authorization", Some("Bearer")), header("x-api-key", None)]);
        };
        if !(1..=8).contains(&sources.len()) {
            self.problem("credentials.sources", format!("{} sources", sources.len()), "1 to 8");
        }
        let mut compiled = Vec::with_capacity(sources.len());
        for (position, source) in sources.iter().enumerate() {
            let path = format!("credentials.sources[{position}]");
            let place = match (&source.header, &source.query) {
                (Some(name), None) => {
                    let name = self.header_name(&format!("{path}.header"), name);
                    if let Some(scheme) = source.scheme.as_deref().filter(|scheme| !is_token(scheme)) {
                        self.problem(format!("{path}.scheme"), quoted(scheme), "an authentication scheme such as `Bearer`");
                    }
                    header(&name, source.scheme.as_deref())
                }
                (None, Some(name)) if source.scheme.is_none() => {
                    if !is_query_name(name) {
                        self.problem(format!("{path}.query"), quoted(name), "letters, digits and `-._~!$'*+`, written without escapes");
                    }
                    Source::Query(name.clone())
                }
                _ => {
                    self.problem(path, "another combination", "`header` with or without `scheme`, or `query` alone");
                    continue;
                }
            };
            let twin = |own: &Source| match (own, &place) {
                (Source::Header { name: own, .. }, Source::Header { name, .. }) => own == name,
                (own, place) => own == place,
            };
            if compiled.iter().any(twin) {
                self.problem(path, "a place given before", "each place once");
            }
            compiled.push(place);
        }
        compiled.into()
    }

    pub(super) fn header_name(&mut self, path: &str, name: &str) -> String {
        // They steer HTTP or the proxy, or mean something else to everybody.
        const RESERVED: [&str; 12] = [
            "host",
            "content-length",
            "content-type",
            "transfer-encoding",
            "connection",
            "te",
            "trailer",
            "upgrade",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "x-request-id",
        ];
        let lower = name.to_ascii_lowercase();
        if !is_token(name) || name.len() > 64 || RESERVED.contains(&lower.as_str()) {
            self.problem(path, quoted(name), "a header name of at most 64 characters that means nothing else to HTTP or the proxy");
        }
        lower
    }

    pub(super) fn identity_headers(&mut self, headers: &doc::IdentityHeaders, sources: &[Source]) -> IdentityHeaders {
        let mut name = |field: &str, own: &Option<String>, default: &str| match own {
            Some(own) => self.header_name(&format!("identity_headers.{field}"), own),
            None => default.to_owned(),
        };
        let names = IdentityHeaders {
            consumer: name("consumer", &headers.consumer, "x-consumer-id"),
            tier: name("tier", &headers.tier, "x-consumer-tier"),
            credential: name("credential", &headers.credential, "x-credential-id"),
        };
        // Many upstreams take `_` for `-`.
        let [consumer, tier, credential] = [&names.consumer, &names.tier, &names.credential].map(|name| name.replace('_', "-"));
        if consumer == tier || consumer == credential || tier == credential {
            self.problem("identity_headers", "one name for two headers", "three names that differ in more than `-` and `_`");
        }
        let is_source = |name: &str| {
            sources
                .iter()
                .any(|source| matches!(source, Source::Header { name: own, .. } if own.replace('_', "-") == name.replace('_', "-")))
        };
        for (field, name) in [("consumer", &names.consumer), ("tier", &names.tier), ("credential", &names.credential)] {
            if is_source(name) {
                self.problem(format!("identity_headers.{field}"), quoted(name), "a header that no credential is taken from");
            }
        }
        names
    }
}
