//! Owns what the settings mean: from texts to values that cannot be wrong. Must not know which layer a text came from.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_core::access::parse_network;
use tollgate_core::credential::is_prefix;

use super::layers::{Given, Layers, named};
use super::{Listening, MailSettings, MailWay, Place, Problem, Settings, SmtpTls, Tls, TokenSettings};
use crate::secrets::KeyHashing;
use crate::signing_keys::{Signing, SigningAlgorithm};
use crate::tls::Files;

/// The longest a shutdown may take, in seconds: what orchestrators wait at most.
const LONGEST_SHUTDOWN: u64 = 300;
/// Seconds.
const DAY: u64 = 86_400;

pub(super) fn settings(layers: &Layers) -> Result<Settings, Vec<Problem>> {
    let mut reader = Reader { layers, problems: layers.problems.clone() };
    let settings = reader.settings();
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(reader.problems),
    }
}

struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// All settings; `None` if one is missing. Every problem is noted before the first `?`.
    fn settings(&mut self) -> Option<Settings> {
        let data = self.required("data", "a directory", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let public = self.listening("listen", "tls_certificate", "tls_key");
        let operations = self.listening("operations_listen", "operations_tls_certificate", "operations_tls_key");
        let node = self.node();
        let key_prefix = self.required("key_prefix", "2 to 16 lower-case letters and digits, a letter first", |text| {
            is_prefix(text).then(|| text.to_owned())
        });
        let key_hash = self.required("key_hash", "hmac-sha256 or argon2id", |text| match text {
            "hmac-sha256" => Some(KeyHashing::HmacSha256),
            "argon2id" => Some(KeyHashing::Argon2id),
            _ => None,
        });
        let self_service = self.required("self_service", "true or false", |text| text.parse().ok());
        let trusted_proxies = self.list("trusted_proxies", "networks such as 10.0.0.0/8, or addresses", parse_network);
        let public_url = self.optional("public_url", "https://host or http://host, with a port where it has one, and no path", origin);
        let registration = self.required("registration", "true or false", |text| text.parse().ok());
        let new_user_tier = self.required("new_user_tier", "a tier's name", |text| (!text.is_empty()).then(|| text.to_owned()));
        let tokens = self.tokens();
        let mail = self.mail();
        let outgoing_allow = self.list(
            "outgoing_allow",
            "networks such as 10.0.0.0/8, addresses, or names such as idp.internal or idp.internal:8080",
            |text| text.parse().ok(),
        );
        let outgoing_ca = self.path("outgoing_ca");
        let shutdown = self.span("shutdown_seconds", 0..=LONGEST_SHUTDOWN, 1);
        let log = self.required("log", "levels such as `info` or `info,access=off`", |text| {
            (!text.trim().is_empty()).then(|| text.parse().ok()).flatten()
        });
        Some(Settings {
            data: data?,
            public: public?,
            node: node?,
            operations: operations?,
            key_prefix: key_prefix?,
            key_hash: key_hash?,
            self_service: self_service?,
            public_url: public_url?,
            registration: registration?,
            new_user_tier: new_user_tier?,
            tokens: tokens?,
            mail: mail?,
            trusted_proxies: trusted_proxies?,
            outgoing_allow: outgoing_allow?,
            outgoing_ca,
            shutdown: shutdown?,
            log: log?,
        })
    }

    fn listening(&mut self, address: &'static str, certificate: &'static str, key: &'static str) -> Option<Listening> {
        let files = self.files(certificate, key);
        let address = self.address(address)?;
        Some(Listening {
            address,
            tls: files?.map_or(Tls::Off, |(certificate, key)| Tls::Files(Files { certificate, key, client_ca: None })),
        })
    }

    fn node(&mut self) -> Option<Listening> {
        let files = self.files("node_tls_certificate", "node_tls_key");
        let client_ca = self.path("node_tls_client_ca");
        let wanted = self.optional("node_tls", "true or false", |text| text.parse::<bool>().ok());
        let address = self.address("node_listen");
        let (files, wanted) = (files?, wanted?);
        let tls = match (wanted, files) {
            (Some(false), Some(_)) => return self.contradiction("node_tls", "node_tls_certificate"),
            (Some(false), None) if client_ca.is_some() => return self.contradiction("node_tls", "node_tls_client_ca"),
            (Some(false), None) => Tls::Off,
            (_, Some((certificate, key))) => Tls::Files(Files { certificate, key, client_ca }),
            // Whoever asks for client certificates must not be left without TLS.
            (wanted, None) => Tls::FromData { required: wanted == Some(true) || client_ca.is_some(), client_ca },
        };
        Some(Listening { address: address?, tls })
    }

    fn tokens(&mut self) -> Option<TokenSettings> {
        let algorithm = self.required("token_algorithm", "EdDSA, ES256, RS256 or HS256", SigningAlgorithm::of);
        let audience =
            self.required("token_audience", "1 to 256 characters", |text| (1..=256).contains(&text.len()).then(|| text.to_owned()));
        let token_life = self.span("token_seconds", 10..=3_600, 1);
        let family_life = self.span("refresh_days", 1..=365, DAY);
        let key_life = self.span("signing_key_days", 2..=365, DAY);
        let signing = Signing { algorithm: algorithm?, key_life: key_life?, token_life: token_life? };
        Some(TokenSettings { signing, audience: audience?, family_life: family_life? })
    }

    /// So many of a unit, which has so many seconds.
    fn span(&mut self, name: &'static str, allowed: RangeInclusive<u64>, unit: u64) -> Option<Duration> {
        let words = format!("a whole number from {} to {}", allowed.start(), allowed.end());
        self.required(name, &words, |text| {
            text.parse().ok().filter(|number| allowed.contains(number)).map(|number: u64| Duration::from_secs(number * unit))
        })
    }

    fn mail(&mut self) -> Option<MailSettings> {
        let from = self.required("mail_from", "an address such as tollgate@example.com", |text| text.parse().ok());
        let way = self.required("mail", "file, console or smtp", |text| ["file", "console", "smtp"].into_iter().find(|way| *way == text));
        let tls = self.required("smtp_tls", "tls, starttls or none", |text| match text {
            "tls" => Some(SmtpTls::Tls),
            "starttls" => Some(SmtpTls::StartTls),
            "none" => Some(SmtpTls::None),
            _ => None,
        });
        let server = self.optional("smtp_server", "a name, or a name with a port such as smtp.example.com:587", |text| {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
                None => (text, None),
            };
            (!host.is_empty()).then(|| (host.to_owned(), port))
        });
        let user = self.optional("smtp_user", "a name", |text| (!text.is_empty()).then(|| text.to_owned()));
        let (from, tls, server, user) = (from?, tls?, server?, user?);
        let way = match (way?, server) {
            ("console", None) => MailWay::Console,
            ("smtp", Some((host, port))) => MailWay::Smtp { host, port, tls, user },
            ("smtp", None) => return self.wrong(Place::Default("smtp_server"), "nothing", "the server, where `mail` is smtp"),
            (_, None) => MailWay::File,
            (way, Some(_)) => return self.wrong(self.layers.place("mail"), way, "smtp, where `smtp_server` is given"),
        };
        Some(MailSettings { from, way })
    }

    fn contradiction<T>(&mut self, off: &'static str, on: &'static str) -> Option<T> {
        let found = format!("false, while {} is given", self.layers.place(on));
        self.wrong(self.layers.place(off), &found, "one of the two")
    }

    /// A certificate and its key: both or none.
    #[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether it is there")]
    fn files(&mut self, certificate: &'static str, key: &'static str) -> Option<Option<(PathBuf, PathBuf)>> {
        match (self.path(certificate), self.path(key)) {
            (Some(certificate), Some(key)) => Some(Some((certificate, key))),
            (None, None) => Some(None),
            (Some(_), None) => {
                self.wrong(self.layers.place(key), "nothing", &format!("the private key of {}", self.layers.place(certificate)))
            }
            (None, Some(_)) => {
                self.wrong(self.layers.place(certificate), "nothing", &format!("the certificate of {}", self.layers.place(key)))
            }
        }
    }

    fn address(&mut self, name: &'static str) -> Option<std::net::SocketAddr> {
        self.required(name, "an address and a port, such as 127.0.0.1:8080 or [::]:8080", |text| text.parse().ok())
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.optional(name, "a file", |text| (!text.is_empty()).then(|| PathBuf::from(text))).flatten()
    }

    fn required<T>(&mut self, name: &'static str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        match self.optional(name, allowed, parse)? {
            Some(value) => Some(value),
            None => self.wrong(Place::Default(name), "nothing", &format!("{allowed}, by {}", ways(name))),
        }
    }

    #[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether it is there")]
    fn optional<T>(&mut self, name: &'static str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
        let Some(Given { place, values }) = self.given(name) else { return Some(None) };
        let text = values.concat();
        match parse(&text) {
            Some(value) => Some(Some(value)),
            None => self.wrong(place, &format!("`{}`", text.escape_debug()), allowed),
        }
    }

    fn list<T>(&mut self, name: &'static str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let Given { place, values } = self.given(name)?;
        let parsed: Vec<T> = values.iter().filter_map(|text| parse(text)).collect();
        match values.iter().find(|text| parse(text).is_none()) {
            None => Some(parsed),
            Some(text) => self.wrong(place, &format!("`{}`", text.escape_debug()), allowed),
        }
    }

    fn given(&self, name: &str) -> Option<Given> {
        named(name).and_then(|setting| self.layers.get(setting))
    }

    fn wrong<T>(&mut self, place: Place, found: &str, allowed: &str) -> Option<T> {
        self.problems.push(Problem { place, found: found.to_owned(), allowed: allowed.to_owned() });
        None
    }
}

fn ways(name: &str) -> String {
    named(name)
        .map_or_else(String::new, |setting| format!("--{}, {} or `{}` in tollgate.toml", setting.flag(), setting.variable(), setting.name))
}

/// A scheme and an authority, as browsers write an origin.
fn origin(text: &str) -> Option<String> {
    let (scheme, authority) = text.strip_suffix('/').unwrap_or(text).split_once("://")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    let right = ["http", "https"].contains(&scheme) && !authority.is_empty() && authority.bytes().all(plain);
    right.then(|| format!("{scheme}://{authority}"))
}
