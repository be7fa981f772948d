//! Owns the judgement of issuers of access tokens: their keys, their claims, and what becomes of them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::backend::MILLISECOND;
use super::{Compiler, is_id, one_of, quoted};
use crate::claims::ClaimPath;
use crate::config::{document as doc, units};
use crate::issuer::{Introspection, Issuer, Keys, KnownBy, MOST_TRIES, NamesClaim, RemoteKeys, TierClaim, form_escape};
use crate::jwk::{self, Jwk, KeySet};
use crate::jws::{Algorithm, LONGEST_KEY_ID};
use crate::policy::Tokens;
use crate::secret::Secret;
use crate::time::SECOND;

/// The most issuers: a worker keeps a set of keys of each.
const MOST_ISSUERS: usize = 32;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 86_400 * SECOND;
const CLAIM: &str = "a claim's name, or a JSON pointer that starts with `/`, at most 256 characters and 8 levels";

impl Compiler<'_> {
    pub(super) fn tokens(&mut self, document: Option<&doc::Tokens>, tier_names: &[&str], backend: bool) -> Tokens {
        let default = doc::Tokens::default();
        let tokens = document.unwrap_or(&default);
        if document.is_some() && !(1..=MOST_ISSUERS).contains(&tokens.issuers.len()) {
            self.problem("tokens.issuers", format!("{} issuers", tokens.issuers.len()), format!("1 to {MOST_ISSUERS}"));
        }
        let names: Vec<&str> = tokens.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
        self.unique("tokens.issuers", "issuer", &names);
        let longest = tokens.longest.unwrap_or(8_192);
        if !(512..=65_536).contains(&longest) {
            self.problem("tokens.longest", longest.to_string(), "512 to 65536");
        }
        let issuers = tokens.issuers.iter().enumerate();
        let issuers =
            issuers.filter_map(|(position, issuer)| self.issuer(&format!("tokens.issuers[{position}]"), issuer, tier_names, backend));
        let issuers: Box<[Issuer]> = issuers.collect();
        if issuers.iter().filter(|issuer| matches!(issuer.keys, Keys::Asked(_))).count() > 1 {
            self.problem("tokens.issuers", "several with `keys.introspection`", "one: an opaque token does not say whose it is");
        }
        // A token may cost as many checks.
        let least = u32::try_from(MOST_TRIES).unwrap_or(u32::MAX);
        let per_address =
            document.and_then(|tokens| self.bound("tokens.failed_per_address", tokens.failed_per_address.unwrap_or(60), least, "60s"));
        Tokens { issuers, longest, per_address }
    }

    fn issuer(&mut self, path: &str, issuer: &doc::Issuer, tier_names: &[&str], backend: bool) -> Option<Issuer> {
        self.text(&format!("{path}.issuer"), &issuer.issuer, 1_024);
        for (position, audience) in issuer.audiences.iter().enumerate() {
            self.text(&format!("{path}.audiences[{position}]"), audience, 1_024);
        }
        let kinds = issuer.types.as_deref().map(|types| self.types(&format!("{path}.types"), types));
        let leeway = self.whole_seconds(&format!("{path}.leeway"), issuer.leeway.as_deref().unwrap_or("30s"), 0, 300);
        let longest_life = issuer.longest_life.as_deref();
        let longest_life = longest_life.map(|given| self.whole_seconds(&format!("{path}.longest_life"), given, 1, 365 * 86_400));
        let keys = self.keys(&format!("{path}.keys"), &issuer.keys);
        // Which algorithms fit, only the keys can say.
        let keys = keys.map(|(keys, fitting)| match issuer.algorithms.as_deref() {
            None => (keys, fitting),
            Some(names) => (keys, self.algorithms(&format!("{path}.algorithms"), names, &fitting)),
        });
        let consumer = issuer.consumer.claim.as_deref().unwrap_or("sub");
        let consumer = self.claim(&format!("{path}.consumer.claim"), consumer);
        let prefix = issuer.consumer.prefix.as_deref().unwrap_or_default();
        if !(prefix.is_empty() || is_id(prefix) && prefix.len() <= 64) {
            self.problem(
                format!("{path}.consumer.prefix"),
                quoted(prefix),
                "at most 64 visible ASCII characters, none of them `\"` or `\\`",
            );
        }
        let known_by = self.known_by(path, issuer, tier_names, backend);
        let scopes = self.names_claim(&format!("{path}.scopes"), &issuer.scopes, &["scope", "scp"]);
        let roles = self.names_claim(&format!("{path}.roles"), &issuer.roles, &["roles"]);
        let (keys, algorithms) = keys?;
        Some(Issuer {
            name: issuer.issuer.clone(),
            tag: Sha256::digest(issuer.issuer.as_bytes()).first_chunk().copied().unwrap_or_default(),
            audiences: (!issuer.audiences.is_empty()).then(|| issuer.audiences.clone().into()),
            algorithms,
            algorithms_named: issuer.algorithms.is_some(),
            kinds,
            leeway: leeway?,
            longest_life: match longest_life {
                Some(longest) => Some(longest?),
                None => None,
            },
            keys,
            consumer: consumer?,
            consumer_prefix: prefix.to_owned(),
            known_by: known_by?,
            scopes: scopes?,
            roles: roles?,
        })
    }

    fn known_by(&mut self, path: &str, issuer: &doc::Issuer, tier_names: &[&str], backend: bool) -> Option<KnownBy> {
        let tier = issuer.tier.as_ref();
        if issuer.consumer.known_by != doc::KnownBy::Token && tier.is_some() {
            self.problem(
                format!("{path}.tier"),
                "a tier for a consumer that others know",
                "nothing: whoever knows the consumer knows its tier",
            );
        }
        match issuer.consumer.known_by {
            doc::KnownBy::Configuration => Some(KnownBy::Configuration),
            known_by @ (doc::KnownBy::Backend | doc::KnownBy::Credential) => {
                let own = known_by == doc::KnownBy::Credential;
                if !backend {
                    let found = if own { "`credential` without a backend" } else { "`backend` without a backend" };
                    self.problem(format!("{path}.consumer.known_by"), found, "set `backend`, or name another");
                }
                if own && issuer.keys.introspection.is_some() {
                    self.problem(
                        format!("{path}.consumer.known_by"),
                        "`credential` with opaque tokens",
                        "another: the backend's own tokens are signed",
                    );
                }
                if own && issuer.consumer.prefix.is_some() {
                    self.problem(
                        format!("{path}.consumer.prefix"),
                        "a prefix",
                        "nothing: the backend's tokens name its consumers as they are",
                    );
                }
                Some(if own { KnownBy::Credential } else { KnownBy::Backend })
            }
            doc::KnownBy::Token => match tier {
                Some(tier) if tier.claim.is_some() || tier.default.is_some() => {
                    self.tier_claim(&format!("{path}.tier"), tier, tier_names).map(KnownBy::Token)
                }
                Some(_) | None => {
                    self.problem(format!("{path}.tier"), "nothing", "`claim`, `default`, or both: the token's consumer needs a tier");
                    None
                }
            },
        }
    }

    fn tier_claim(&mut self, path: &str, tier: &doc::TierClaim, tier_names: &[&str]) -> Option<TierClaim> {
        let default = self.tier_reference(&format!("{path}.default"), tier.default.as_deref(), tier_names);
        if tier.values.is_some() && tier.claim.is_none() {
            self.problem(format!("{path}.values"), "values without a claim", "also `claim`");
        }
        let Some(claim) = &tier.claim else {
            return Some(TierClaim { claim: None, tiers: Box::new([]), default });
        };
        let claim = self.claim(&format!("{path}.claim"), claim);
        let mut tiers = Vec::new();
        match &tier.values {
            None => tiers.extend(tier_names.iter().enumerate().map(|(position, name)| ((*name).to_owned(), position))),
            Some(values) => {
                for (value, name) in values {
                    let position = self.tier_reference(&format!("{path}.values.{value}"), Some(name), tier_names);
                    tiers.extend(position.map(|position| (value.clone(), position)));
                }
            }
        }
        Some(TierClaim { claim: Some(claim?), tiers: tiers.into(), default })
    }

    fn names_claim(&mut self, path: &str, names: &doc::NamesClaim, usual: &[&str]) -> Option<NamesClaim> {
        self.names(&format!("{path}.default"), &names.default);
        let claims = match &names.claim {
            Some(claim) => self.claim(&format!("{path}.claim"), claim).map(|claim| vec![claim]),
            None => usual.iter().map(|claim| ClaimPath::parse(claim)).collect(),
        };
        let strip_prefix = names.strip_prefix.clone().unwrap_or_default();
        if strip_prefix.len() > 256 {
            self.problem(format!("{path}.strip_prefix"), format!("{} bytes", strip_prefix.len()), "at most 256 bytes");
        }
        Some(NamesClaim { claims: claims?.into(), strip_prefix, default: names.default.clone().into() })
    }

    pub(super) fn claim(&mut self, path: &str, text: &str) -> Option<ClaimPath> {
        let claim = ClaimPath::parse(text);
        if claim.is_none() {
            self.problem(path, quoted(text), CLAIM);
        }
        claim
    }

    fn types(&mut self, path: &str, types: &[String]) -> Box<[String]> {
        if types.is_empty() {
            self.problem(path, "an empty list", "types; without the field `JWT`, `at+jwt` or none");
        }
        types
            .iter()
            .enumerate()
            .map(|(position, kind)| {
                self.text(&format!("{path}[{position}]"), kind, LONGEST_KEY_ID);
                let lower = kind.to_ascii_lowercase();
                lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
            })
            .collect()
    }

    fn algorithms(&mut self, path: &str, names: &[String], fitting: &[Algorithm]) -> Box<[Algorithm]> {
        if names.is_empty() {
            self.problem(path, "an empty list", "algorithms; without the field all that the keys fit");
        }
        let mut algorithms = Vec::new();
        for (position, name) in names.iter().enumerate() {
            match Algorithm::from_name(name).filter(|algorithm| fitting.contains(algorithm)) {
                Some(algorithm) => algorithms.push(algorithm),
                None => self.problem(
                    format!("{path}[{position}]"),
                    quoted(name),
                    format!("{}, which fit its keys", one_of(fitting.iter().map(|algorithm| algorithm.name()))),
                ),
            }
        }
        algorithms.into()
    }

    /// The keys, and the algorithms that they can be used with.
    fn keys(&mut self, path: &str, keys: &doc::Keys) -> Option<(Keys, Box<[Algorithm]>)> {
        let is_symmetric = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512);
        let fitting = |set: &KeySet| {
            let fits = |algorithm: &Algorithm| set.keys().iter().any(|key| key.may_verify(*algorithm));
            Algorithm::ALL.into_iter().filter(fits).collect()
        };
        match (&keys.jwks, &keys.remote, &keys.secrets, &keys.introspection) {
            (Some(jwks), None, None, None) => {
                let set = self.key_set(&format!("{path}.jwks"), &jwks.0)?;
                let fitting = fitting(&set);
                Some((Keys::Known(set), fitting))
            }
            (None, Some(remote), None, None) => {
                let remote = self.remote_keys(&format!("{path}.remote"), remote)?;
                // Whoever may read a published secret could sign with it.
                Some((Keys::Remote(remote), Algorithm::ALL.into_iter().filter(|algorithm| !is_symmetric(algorithm)).collect()))
            }
            (None, None, None, Some(introspection)) => {
                let asked = self.introspection(&format!("{path}.introspection"), introspection)?;
                Some((Keys::Asked(Box::new(asked)), Box::new([])))
            }
            (None, None, Some(secrets), None) => {
                let path = format!("{path}.secrets");
                if !(1..=8).contains(&secrets.len()) {
                    self.problem(path.clone(), format!("{} secrets", secrets.len()), "1 to 8");
                }
                let keys = secrets.iter().enumerate().map(|(position, secret)| self.token_secret(&format!("{path}[{position}]"), secret));
                let set = KeySet::new(keys.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?);
                let fitting = fitting(&set);
                Some((Keys::Known(set), fitting))
            }
            _ => {
                self.problem(path, "none or several of `jwks`, `remote`, `secrets` and `introspection`", "one of them");
                None
            }
        }
    }

    fn key_set(&mut self, path: &str, jwks: &serde_json::Value) -> Option<KeySet> {
        let entries = serde_json::to_vec(jwks).map_err(|_| jwk::NotASet::Form).and_then(|json| jwk::entries(&json));
        let entries = match entries {
            Ok(entries) if !entries.is_empty() => entries,
            Ok(_) => {
                self.problem(path, "no key", "a set of keys (RFC 7517)");
                return None;
            }
            Err(wrong) => {
                self.problem(path, "something else", format!("a set of keys (RFC 7517), but {wrong}"));
                return None;
            }
        };
        let mut keys = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            match Jwk::read(entry) {
                Ok(key) => keys.push(key),
                Err(wrong) => {
                    self.problem(format!("{path}.keys[{position}]"), "a key that cannot be used", format!("a public key, but {wrong}"))
                }
            }
        }
        (keys.len() == entries.len()).then(|| KeySet::new(keys))
    }

    fn token_secret(&mut self, path: &str, secret: &doc::TokenSecret) -> Option<Jwk> {
        if let Some(id) = &secret.kid {
            self.text(&format!("{path}.kid"), id, LONGEST_KEY_ID);
        }
        let written = self.secret(&format!("{path}.secret"), &secret.secret)?;
        let decoded = match secret.encoding {
            doc::Encoding::Text => Some(written),
            doc::Encoding::Base64url => URL_SAFE_NO_PAD.decode(written.expose()).ok().map(Secret::new),
        };
        let Some(decoded) = decoded else {
            self.problem(format!("{path}.secret"), "another text", "base64url without padding");
            return None;
        };
        let length = decoded.expose().len();
        let key = Jwk::secret(secret.kid.clone(), decoded);
        if key.is_none() {
            self.problem(format!("{path}.secret"), format!("{length} bytes"), "at least 32 bytes (48 for HS384, 64 for HS512)");
        }
        key
    }

    fn introspection(&mut self, path: &str, asked: &doc::Introspection) -> Option<Introspection> {
        let authority = self.authority(path, &asked.cluster, asked.authority.as_deref());
        self.text(&format!("{path}.client_id"), &asked.client_id, 1_024);
        if !asked.path.starts_with('/')
            || asked.path.len() > 1_024
            || !asked.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            self.problem(
                format!("{path}.path"),
                quoted(&asked.path),
                "a path such as `/token/introspection`, at most 1024 visible ASCII characters",
            );
        }
        let secret = self.secret(&format!("{path}.client_secret"), &asked.client_secret);
        let timeout = self.span(&format!("{path}.timeout"), asked.timeout.as_deref(), "2s", 50 * MILLISECOND, 30 * SECOND);
        let cache = self.span(&format!("{path}.cache"), asked.cache.as_deref(), "30s", SECOND, 60 * MINUTE);
        let cache_refused = self.span(&format!("{path}.cache_refused"), asked.cache_refused.as_deref(), "10s", SECOND, 10 * MINUTE);
        // RFC 6749, section 2.3.1.
        let pair = [form_escape(asked.client_id.as_bytes()).as_bytes(), b":", form_escape(secret?.expose()).as_bytes()].concat();
        Some(Introspection {
            cluster: asked.cluster.clone(),
            authority,
            path: asked.path.clone(),
            authorization: Secret::new(format!("Basic {}", STANDARD.encode(pair)).into_bytes()),
            timeout: timeout?,
            cache: cache?,
            cache_refused: cache_refused?,
        })
    }

    fn remote_keys(&mut self, path: &str, remote: &doc::RemoteKeys) -> Option<RemoteKeys> {
        let authority = self.authority(path, &remote.cluster, remote.authority.as_deref());
        let is_path = remote.path.starts_with('/')
            && remote.path.len() <= 1_024
            && remote.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !is_path {
            self.problem(
                format!("{path}.path"),
                quoted(&remote.path),
                "a path such as `/.well-known/jwks.json`, at most 1024 visible ASCII characters",
            );
        }
        let span = |compiler: &mut Self, field: &str, given: &Option<String>, default: &str, least, most| {
            compiler.span(&format!("{path}.{field}"), given.as_deref(), default, least, most)
        };
        let timeout = span(self, "timeout", &remote.timeout, "2s", 50 * MILLISECOND, 30 * SECOND);
        let refresh = span(self, "refresh", &remote.refresh, "10m", 10 * SECOND, DAY);
        let pause = span(self, "pause", &remote.pause, "1s", 100 * MILLISECOND, 10 * MINUTE);
        let max_staleness = span(self, "max_staleness", &remote.max_staleness, "1d", MINUTE, 30 * DAY);
        let remote = RemoteKeys {
            cluster: remote.cluster.clone(),
            authority,
            path: remote.path.clone(),
            timeout: timeout?,
            refresh: refresh?,
            pause: pause?,
            max_staleness: max_staleness?,
        };
        if remote.max_staleness < remote.refresh {
            self.problem(
                format!("{path}.max_staleness"),
                "less than `refresh`",
                "at least `refresh`: keys would not be trusted before they are due",
            );
        }
        Some(remote)
    }

    /// A duration in seconds, as the claims of tokens are counted.
    fn whole_seconds(&mut self, path: &str, text: &str, least: u64, most: u64) -> Option<u64> {
        let nanos = units::duration(text).filter(|nanos| nanos % SECOND == 0);
        let seconds = nanos.map(|nanos| nanos / SECOND).filter(|seconds| (least..=most).contains(seconds));
        if seconds.is_none() {
            self.problem(path, quoted(text), format!("a duration of whole seconds, from `{least}s` to `{most}s`"));
        }
        seconds
    }

    fn text(&mut self, path: &str, text: &str, longest: usize) {
        if text.is_empty() || text.len() > longest || text.chars().any(char::is_control) {
            self.problem(path, quoted(text), format!("1 to {longest} bytes of text without control characters"));
        }
    }
}
