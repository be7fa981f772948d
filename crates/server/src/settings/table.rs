//! Owns the table of settings: names, shapes, defaults and their words. Must not know where a value comes from or what it does.

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in `tollgate.toml`; the others follow from it.
    pub name: &'static str,
    /// The shape of its value.
    pub kind: Kind,
    /// What stands for the value in help texts.
    pub value: &'static str,
    /// The value if none is given; `None`: there is none.
    pub default: Option<&'static str>,
    /// What it does: one sentence or two.
    pub help: &'static str,
}

/// The shape of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`; a flag alone means `true`.
    Switch,
    /// A whole number.
    Number,
    /// Texts; separated by commas in flags and variables, an array in the file.
    List,
}

impl Setting {
    /// Its flag, without the dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TOLLGATE_{}", self.name.to_ascii_uppercase())
    }
}

const fn setting(name: &'static str, kind: Kind, value: &'static str, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { name, kind, value, default, help }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting("data", Kind::Text, "DIR", None, "The directory with database, secrets and certificates that `tollgate init` made. Required."),
    setting("listen", Kind::Text, "ADDRESS", Some("127.0.0.1:8080"), "Where the public API listens; port 0 takes any free one."),
    setting("tls_certificate", Kind::Text, "FILE", None, "Certificate chain of the public API, PEM. With it the listener speaks TLS only."),
    setting("tls_key", Kind::Text, "FILE", None, "Private key of `tls_certificate`, PEM."),
    setting("node_listen", Kind::Text, "ADDRESS", Some("127.0.0.1:8443"), "Where the node API listens."),
    setting(
        "node_tls",
        Kind::Switch,
        "BOOL",
        None,
        "Whether the node API speaks TLS. Left out: if there is a certificate, its own or the one `tollgate init` made.",
    ),
    setting(
        "node_tls_certificate",
        Kind::Text,
        "FILE",
        None,
        "Certificate chain of the node API, PEM, instead of `tls/server.pem` in the data directory.",
    ),
    setting("node_tls_key", Kind::Text, "FILE", None, "Private key of `node_tls_certificate`, PEM."),
    setting("node_tls_client_ca", Kind::Text, "FILE", None, "Authorities, PEM: nodes must show a certificate from one of them (mTLS)."),
    setting(
        "operations_listen",
        Kind::Text,
        "ADDRESS",
        Some("127.0.0.1:8090"),
        "Where health and metrics listen. They ask for no credential: keep it inside.",
    ),
    setting("operations_tls_certificate", Kind::Text, "FILE", None, "Certificate chain of the operations listener, PEM."),
    setting("operations_tls_key", Kind::Text, "FILE", None, "Private key of `operations_tls_certificate`, PEM."),
    setting(
        "key_prefix",
        Kind::Text,
        "PREFIX",
        Some("foil"),
        "What issued keys start with: 2 to 16 lower-case letters and digits, a letter first.",
    ),
    setting(
        "key_hash",
        Kind::Text,
        "SCHEME",
        Some("hmac-sha256"),
        "How new keys are hashed: `hmac-sha256`, under the pepper, or `argon2id`.",
    ),
    setting(
        "self_service",
        Kind::Switch,
        "BOOL",
        Some("false"),
        "Whether `POST /api/auth/keys` gives anybody a key of a tier marked `self_service`.",
    ),
    setting(
        "public_url",
        Kind::Text,
        "URL",
        None,
        "Where people find this backend, such as https://tollgate.example.com. Default: where `listen` is. Sign-in through OpenID providers returns there.",
    ),
    setting(
        "registration",
        Kind::Switch,
        "BOOL",
        Some("false"),
        "Whether anybody may take an account, as a developer with a consumer of their own.",
    ),
    setting(
        "new_user_tier",
        Kind::Text,
        "TIER",
        Some("free"),
        "The tier of consumers of developers who take an account, or sign in for the first time.",
    ),
    setting(
        "token_algorithm",
        Kind::Text,
        "NAME",
        Some("ES256"),
        "How access tokens are signed: `EdDSA`, `ES256`, `RS256`, or `HS256` with the secrets `secrets/signing.N`, which nodes then need too.",
    ),
    setting("token_audience", Kind::Text, "NAME", Some("api"), "Whom access tokens are for: their `aud`."),
    setting("token_seconds", Kind::Number, "SECONDS", Some("600"), "How long an access token lasts, 10 to 3600."),
    setting("refresh_days", Kind::Number, "DAYS", Some("30"), "How long an exchanged key can be renewed by refresh tokens, 1 to 365."),
    setting(
        "signing_key_days",
        Kind::Number,
        "DAYS",
        Some("30"),
        "How long a key signs access tokens before another takes its place, 2 to 365.",
    ),
    setting(
        "mail",
        Kind::Text,
        "WAY",
        Some("file"),
        "How mail leaves: `file` (into `mail/` of the data directory), `console` (standard output) or `smtp`.",
    ),
    setting("mail_from", Kind::Text, "ADDRESS", Some("tollgate@localhost"), "Whom mail is from."),
    setting(
        "smtp_server",
        Kind::Text,
        "HOST[:PORT]",
        None,
        "The server that takes mail, where it leaves by `smtp`. Default of the port: 465, or 587 with `starttls`, or 25 with `none`.",
    ),
    setting(
        "smtp_tls",
        Kind::Text,
        "WAY",
        Some("tls"),
        "How it is spoken to: `tls` from the start, `starttls` before anything is said, or `none`.",
    ),
    setting(
        "smtp_user",
        Kind::Text,
        "NAME",
        None,
        "Who we are to it; the password is a secret: `secrets/smtp.password`, or TOLLGATE_SMTP_PASSWORD.",
    ),
    setting(
        "trusted_proxies",
        Kind::List,
        "NETWORKS",
        Some(""),
        "Networks or addresses of proxies whose `X-Forwarded-For` is believed; separated by commas.",
    ),
    setting(
        "outgoing_allow",
        Kind::List,
        "PLACES",
        Some(""),
        "What the backend may call although it is not public or speaks no TLS: networks, addresses, names, names with a port; separated by commas.",
    ),
    setting(
        "outgoing_ca",
        Kind::Text,
        "FILE",
        None,
        "Authorities, PEM, of servers that the backend calls, the mail server included, beside those of the web.",
    ),
    setting(
        "shutdown_seconds",
        Kind::Number,
        "SECONDS",
        Some("10"),
        "How long requests in flight may take after SIGTERM or SIGINT, 0 to 300; a second signal ends the process at once.",
    ),
    setting(
        "log",
        Kind::Text,
        "LEVELS",
        Some("info"),
        "What is logged: `error`, `warn`, `info`, `debug`, or by target: `info,access=off`.",
    ),
];
