//! Owns the settings of the backend: where they come from, which wins, and what they mean. Must not open, bind or read what they name.
//!
//! A flag wins over an environment variable, that over `tollgate.toml`, that over the default. Every setting has one name in all
//! four: `node_listen` is `--node-listen` and `TOLLGATE_NODE_LISTEN`. Whatever looks like a setting and is none is refused with its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use environment::CONFIG;
pub use flags::Flags;
pub use layers::{Given, Layers, Place};
pub use table::{Kind, SETTINGS, Setting};

use crate::outgoing::Allow;
use crate::secrets::KeyHashing;
use crate::signing_keys::Signing;

mod environment;
mod file;
mod flags;
mod layers;
mod table;
mod values;

/// What the backend is told before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory that holds everything the backend keeps.
    pub data: PathBuf,
    /// The public API.
    pub public: Listening,
    /// The node API.
    pub node: Listening,
    /// Health and metrics.
    pub operations: Listening,
    /// The prefix of issued keys.
    pub key_prefix: String,
    /// How keys are hashed.
    pub key_hash: KeyHashing,
    /// Whether anybody may get a key of a tier marked `self_service`.
    pub self_service: bool,
    /// Where people find this backend, without a slash at its end; `None`: where it listens.
    pub public_url: Option<String>,
    /// Whether anybody may take an account.
    pub registration: bool,
    /// The tier of consumers of new developers.
    pub new_user_tier: String,
    /// What access tokens are like.
    pub tokens: TokenSettings,
    /// How mail leaves.
    pub mail: MailSettings,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What may be called although it is not public or speaks no TLS.
    pub outgoing_allow: Vec<Allow>,
    /// Authorities of servers that are called, beside those of the web (PEM).
    pub outgoing_ca: Option<PathBuf>,
    /// How long requests in flight may take when the process is asked to end.
    pub shutdown: Duration,
    /// What is logged.
    pub log: tracing_subscriber::filter::Targets,
}

/// What access tokens are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// How they are signed, and how long they last.
    pub signing: Signing,
    /// Whom they are for.
    pub audience: String,
    /// How long an exchanged key can be renewed.
    pub family_life: Duration,
}

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// Whom it is from.
    pub from: lettre::Address,
    /// Which way.
    pub way: MailWay,
}

/// Which way mail leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailWay {
    /// Into files of the data directory.
    File,
    /// To standard output.
    Console,
    /// To a server.
    Smtp {
        /// Its name.
        host: String,
        /// Its port; `None`: the usual one.
        port: Option<u16>,
        /// How it is spoken to.
        tls: SmtpTls,
        /// Who we are to it.
        user: Option<String>,
    },
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the start.
    Tls,
    /// TLS before anything is said.
    StartTls,
    /// In the clear.
    None,
}

/// Where an API listens, and how.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address; port 0 takes any.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: Tls,
}

/// Whether a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It does not.
    Off,
    /// With the certificate that `tollgate init` left in the data directory, if there is one.
    FromData {
        /// The authority whose certificates clients must show, if they must.
        client_ca: Option<PathBuf>,
        /// Whether it is an error if there is none.
        required: bool,
    },
    /// With these files.
    Files(crate::tls::Files),
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: found {found}; allowed: {allowed}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What stands there.
    pub found: String,
    /// What may.
    pub allowed: String,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings in {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Some are wrong; never empty.
    #[error("{}", lines(.0))]
    Wrong(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Settings {
    /// Puts the settings together from the flags, the environment and the file they name.
    ///
    /// # Errors
    /// [`SettingsError`]: a file that cannot be read, or all that is wrong with what was given.
    pub fn read(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let mut layers = Layers::default();
        let environment = environment::read(environment, &mut layers.problems);
        let named = flags.config().or_else(|| environment.config.clone());
        if let Some((path, text)) = file::find(named)? {
            let layer = file::read(&path, &text, &mut layers.problems);
            layers.add(layer);
        }
        layers.add(environment.given);
        layers.add(flags.given());
        values::settings(&layers).map_err(SettingsError::Wrong)
    }

    /// All that is wrong with a `tollgate.toml` by itself; what it leaves out may be given elsewhere.
    #[must_use]
    pub fn check(path: &Path, text: &str) -> Vec<Problem> {
        let mut layers = Layers::default();
        let layer = file::read(path, text, &mut layers.problems);
        // The only setting without which there are none.
        layers.add([("data", Given::text(Place::Default("data"), Kind::Text, "elsewhere"))].into());
        layers.add(layer);
        values::settings(&layers).err().unwrap_or_default()
    }
}

/// The JSON Schema of `tollgate.toml`.
#[must_use]
pub fn schema() -> serde_json::Value {
    use serde_json::{Map, Value, json};
    let property = |setting: &Setting| {
        let (mut shape, default): (Map<String, Value>, Option<Value>) = match setting.kind {
            Kind::Text => (Map::from_iter([("type".to_owned(), json!("string"))]), setting.default.map(Into::into)),
            Kind::Switch => (Map::from_iter([("type".to_owned(), json!("boolean"))]), parsed(setting)),
            Kind::Number => (Map::from_iter([("type".to_owned(), json!("integer"))]), parsed(setting)),
            Kind::List => {
                let items = ("items".to_owned(), json!({"type": "string"}));
                (Map::from_iter([("type".to_owned(), json!("array")), items]), Some(json!([])))
            }
        };
        shape.insert("description".to_owned(), setting.help.into());
        shape.extend(default.map(|default| ("default".to_owned(), default)));
        (setting.name.to_owned(), Value::Object(shape))
    };
    let properties: Map<String, Value> = SETTINGS.iter().map(property).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tollgate's backend: tollgate.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A default that is written in JSON as in TOML.
fn parsed(setting: &Setting) -> Option<serde_json::Value> {
    serde_json::from_str(setting.default?).ok()
}

#[cfg(test)]
mod tests;
