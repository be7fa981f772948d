//! Owns `tollgate hash`: API keys in, hashes for configurations out, and new keys. Must not take a key as an argument or log one.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde::Serialize;
use tollgate_core::credential::{IssuerKey, KeyHash, LONGEST_CREDENTIAL, digest, is_prefix};
use tollgate_core::secret::{LEAST_SECRET_LEN, Secret};

use super::{UNUSABLE, WRONG};

/// Fewer characters than this are within reach of guessing, even random ones of a small alphabet.
const SHORTEST_KEY: usize = 20;
/// Bytes of a throw-away issuer key.
const ISSUER_KEY_LEN: usize = 32;

/// Print the hash of an API key, as the plugin configuration keeps it.
///
/// The key is read from standard input, one line; an argument would show in the process list and in the shell's history.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print `hmac-sha256:…` under the pepper in this environment variable, instead of `sha256:…`.
    #[arg(long, value_name = "NAME")]
    pepper_env: Option<String>,
    /// Accept a key of fewer than 20 characters: it can be guessed.
    #[arg(long, conflicts_with = "generate")]
    weak_key: bool,
    /// Make a new random key, print it once, and its hash.
    #[arg(long)]
    generate: bool,
    /// The prefix of the new key: 2 to 16 lower-case letters and digits, a letter first.
    #[arg(long, requires = "generate", default_value = "foil")]
    prefix: String,
    /// The environment variable with the issuer key that signs the new key's tag. Without one the tag is made with a random
    /// key that is thrown away: such a key works where no `issuer_keys` have its prefix, else it is refused as forged.
    #[arg(long, value_name = "NAME", requires = "generate", requires = "issuer_key_version")]
    issuer_key_env: Option<String>,
    /// The version of the issuer key, as in `credentials.issuer_keys`.
    #[arg(long, value_name = "N", requires = "issuer_key_env")]
    issuer_key_version: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    hash: String,
}

/// Why there is no hash. Never carries the key.
#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error("standard input holds no key")]
    Empty,
    #[error("standard input holds more than one line: one key at a time")]
    MoreThanOneLine,
    #[error("the key has {0} characters; at least {SHORTEST_KEY}, or --weak-key")]
    Short(usize),
    #[error("the key is longer than {LONGEST_CREDENTIAL} bytes: it could never match, longer credentials are refused unread")]
    Long,
    #[error("the key's byte {0} is not visible ASCII: it could never match")]
    NotVisible(usize),
    #[error("the prefix is 2 to 16 lower-case letters and digits, a letter first")]
    Prefix,
    #[error("the environment variable {0} is not set to text")]
    Unset(String),
    #[error("the environment variable {0} holds {1} bytes; at least {LEAST_SECRET_LEN}")]
    ShortSecret(String, usize),
    #[error("no randomness: {0}")]
    Random(#[from] getrandom::Error),
    #[error("cannot read standard input: {0}")]
    Read(#[from] io::Error),
}

impl HashError {
    fn status(&self) -> u8 {
        match self {
            Self::Empty | Self::MoreThanOneLine | Self::Short(_) | Self::Long | Self::NotVisible(_) => WRONG,
            Self::Prefix | Self::Unset(_) | Self::ShortSecret(..) | Self::Random(_) | Self::Read(_) => UNUSABLE,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let answer = match answer(arguments) {
        Ok(answer) => answer,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(ExitCode::from(error.status()));
        }
    };
    let mut out = io::stdout().lock();
    match &answer.key {
        _ if arguments.json => writeln!(out, "{}", serde_json::to_string(&answer)?)?,
        Some(key) => writeln!(out, "key:  {key}\nhash: {}", answer.hash)?,
        None => writeln!(out, "{}", answer.hash)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn answer(arguments: &Arguments) -> Result<Answer, HashError> {
    let pepper = arguments.pepper_env.as_deref().map(secret).transpose()?;
    let hash = |key: &[u8]| KeyHash::of(&digest(key), pepper.as_ref()).to_string();
    if arguments.generate {
        let key = new_key(arguments)?;
        return Ok(Answer { hash: hash(key.as_bytes()), key: Some(key) });
    }
    // One byte more than the longest key and its line's end, so that a longer one is seen to be longer.
    let mut input = Vec::with_capacity(LONGEST_CREDENTIAL + 3);
    io::stdin().lock().take((LONGEST_CREDENTIAL + 3) as u64).read_to_end(&mut input)?;
    Ok(Answer { hash: hash(key_of(&input, arguments.weak_key)?), key: None })
}

/// The key on the one line of `input`.
fn key_of(input: &[u8], weak_key: bool) -> Result<&[u8], HashError> {
    let line = input.strip_suffix(b"\n").map_or(input, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() {
        return Err(HashError::Empty);
    }
    if line.contains(&b'\n') {
        return Err(HashError::MoreThanOneLine);
    }
    if line.len() > LONGEST_CREDENTIAL {
        return Err(HashError::Long);
    }
    if let Some(position) = line.iter().position(|byte| !byte.is_ascii_graphic()) {
        return Err(HashError::NotVisible(position + 1));
    }
    if line.len() < SHORTEST_KEY && !weak_key {
        return Err(HashError::Short(line.len()));
    }
    Ok(line)
}

fn new_key(arguments: &Arguments) -> Result<String, HashError> {
    if !is_prefix(&arguments.prefix) {
        return Err(HashError::Prefix);
    }
    let (version, issuer_secret) = match (&arguments.issuer_key_env, arguments.issuer_key_version) {
        (Some(name), Some(version)) => (version, secret(name)?),
        _ => {
            let mut bytes = vec![0; ISSUER_KEY_LEN];
            getrandom::fill(&mut bytes)?;
            (0, Secret::new(bytes))
        }
    };
    let issuer_key = IssuerKey::new(version, &arguments.prefix, issuer_secret).ok_or(HashError::Prefix)?;
    let mut random = Ok(());
    let key = issuer_key.issue(&mut |bytes| {
        if random.is_ok() {
            random = getrandom::fill(bytes);
        }
    });
    random?;
    Ok(key)
}

fn secret(name: &str) -> Result<Secret, HashError> {
    let text = std::env::var(name).map_err(|_| HashError::Unset(name.to_owned()))?;
    if text.len() < LEAST_SECRET_LEN {
        return Err(HashError::ShortSecret(name.to_owned(), text.len()));
    }
    Ok(Secret::new(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: &[u8]) -> Result<&[u8], String> {
        key_of(input, false).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_one_line_with_any_line_end() {
        let key = &b"a-key-of-twenty-chars"[..];
        for end in ["", "\n", "\r\n"] {
            assert_eq!(of(&[key, end.as_bytes()].concat()), Ok(key));
        }
    }

    #[test]
    fn refuses_what_could_never_match() {
        assert!(of(b"").is_err() && of(b"\n").is_err() && of(b"\r\n").is_err());
        assert!(of(&[b'k'; LONGEST_CREDENTIAL]).is_ok());
        assert!(of(&[b'k'; LONGEST_CREDENTIAL + 1]).unwrap_err().contains("longer"));
        assert!(of(b"a-key-of-twenty-chars\na-key-of-twenty-chars\n").unwrap_err().contains("one line"));
        assert!(of(b"a key of twenty characters").unwrap_err().contains("byte 2 "));
        assert!(of("a-schlüssel-of-many-bytes".as_bytes()).unwrap_err().contains("byte 7 "));
    }

    #[test]
    fn refuses_short_keys_unless_told() {
        assert!(of(b"nineteen-characters").unwrap_err().contains("19 characters"));
        assert_eq!(key_of(b"short", true).unwrap(), b"short");
    }
}
