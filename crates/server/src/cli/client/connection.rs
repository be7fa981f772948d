//! Owns how a command is told which backend to ask and with which admin key. Must not take the key as an argument, or show it.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::{Client, ClientError};

/// The variable that holds the admin key itself.
const KEY_VARIABLE: &str = "TOLLGATE_ADMIN_KEY";
/// What `tollgate init` leaves in a data directory.
const KEY_FILE: &str = "admin.key";
/// Longer than any admin key.
const LONGEST_KEY: u64 = 512;

/// Which backend is asked, and by whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the backend's public API is.
    #[arg(long, global = true, env = "TOLLGATE_URL", default_value = "http://127.0.0.1:8080", hide_env_values = true)]
    url: String,
    /// The authorities to trust for https, in PEM, such as DIR/tls/ca.pem. Default: those of the web.
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_CA", hide_env_values = true)]
    ca: Option<PathBuf>,
    /// The file with the admin key; `-` is standard input. Default: the key in TOLLGATE_ADMIN_KEY, else DIR/admin.key of --data.
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_ADMIN_KEY_FILE", hide_env_values = true)]
    admin_key_file: Option<PathBuf>,
    /// The backend's data directory, where this is its machine.
    #[arg(long, global = true, value_name = "DIR", env = "TOLLGATE_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Send the admin key unencrypted to a host that is not this one.
    #[arg(long, global = true)]
    plain_http: bool,
    /// How long a request may take, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

impl Connection {
    /// The way to the backend; nothing is sent yet.
    pub(crate) fn open(&self) -> Result<Client, ClientError> {
        let base = self.base()?;
        let admin_key = self.admin_key(std::env::var(KEY_VARIABLE).ok().map(Zeroizing::new))?;
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Wherever a redirect leads, the admin key does not belong there.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(self.timeout)))
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        if base.starts_with("http:") {
            // A proxy would read the admin key. With https it sees but a tunnel.
            config = config.proxy(None);
        }
        if let Some(path) = &self.ca {
            config = config.tls_config(TlsConfig::builder().root_certs(authorities(path)?).build());
        }
        Ok(Client { agent: config.build().into(), base, admin_key })
    }

    /// The URL without a slash at its end.
    fn base(&self) -> Result<String, ClientError> {
        // A URL with user information may hold a secret: it is not shown.
        let shown = || if self.url.contains('@') { "a URL with `@`".to_owned() } else { crate::cli::table::plain(&self.url) };
        let wrong = || ClientError::Url(shown());
        let uri: Uri = self.url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || uri.query().is_some() || self.url.contains('#') {
            return Err(wrong());
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.plain_http || is_this_machine(host) => {}
            Some("http") => return Err(ClientError::PlainHttp),
            _ => return Err(wrong()),
        }
        Ok(self.url.trim_end_matches('/').to_owned())
    }

    fn admin_key(&self, variable: Option<Zeroizing<String>>) -> Result<Zeroizing<String>, ClientError> {
        let text = match (&self.admin_key_file, variable, &self.data) {
            (Some(path), ..) => read(path)?,
            (None, Some(text), _) => text,
            (None, None, Some(data)) => read(&data.join(KEY_FILE))?,
            (None, None, None) => return Err(ClientError::NoKey),
        };
        let key = Zeroizing::new(text.trim().to_owned());
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) { Err(ClientError::BadKey) } else { Ok(key) }
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn read(path: &Path) -> Result<Zeroizing<String>, ClientError> {
    let mut text = Zeroizing::new(String::new());
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(LONGEST_KEY + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST_KEY + 1).read_to_string(&mut text))
    };
    match read {
        Ok(length) if length as u64 > LONGEST_KEY => Err(ClientError::BadKey),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(ClientError::BadKey),
        Err(error) => Err(ClientError::File { path: path.to_owned(), error }),
    }
}

fn authorities(path: &Path) -> Result<RootCerts, ClientError> {
    let pem = std::fs::read(path).map_err(|error| ClientError::File { path: path.to_owned(), error })?;
    let wrong = |reason: String| ClientError::Ca { path: path.to_owned(), reason };
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(url: &str) -> Connection {
        Connection { url: url.to_owned(), ca: None, admin_key_file: None, data: None, plain_http: false, timeout: 1 }
    }

    #[test]
    fn the_admin_key_is_not_sent_in_the_clear_to_other_machines() {
        for url in ["http://127.0.0.1:8080", "http://[::1]:8080/", "http://LOCALHOST", "https://api.example.com/tollgate/"] {
            assert_eq!(to(url).base().unwrap(), url.trim_end_matches('/'));
        }
        for url in ["http://api.example.com", "http://localhost.example.com", "http://10.0.0.1:8080", "http://127.0.0.1.example.com"] {
            assert!(matches!(to(url).base(), Err(ClientError::PlainHttp)), "{url}");
            assert!(Connection { plain_http: true, ..to(url) }.base().is_ok());
        }
    }

    #[test]
    fn what_is_no_place_of_an_api_is_refused() {
        for url in
            ["", "api.example.com", "ftp://api.example.com", "https://", "https://a.example/?x=1", "https://a.example/#x", "https:///x"]
        {
            assert!(matches!(to(url).base(), Err(ClientError::Url(_))), "{url}");
        }
        let error = to("https://user:hunter2@a.example").base().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_file_wins_over_the_variable_and_that_over_the_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a-key");
        std::fs::write(&file, "tga_of_the_file\n").unwrap();
        std::fs::write(directory.path().join(KEY_FILE), "tga_of_the_directory\n").unwrap();
        let variable = || Some(Zeroizing::new("tga_of_the_variable".to_owned()));
        let mut connection = to("http://127.0.0.1");
        assert!(matches!(connection.admin_key(None), Err(ClientError::NoKey)));
        connection.data = Some(directory.path().to_owned());
        assert_eq!(*connection.admin_key(None).unwrap(), "tga_of_the_directory");
        assert_eq!(*connection.admin_key(variable()).unwrap(), "tga_of_the_variable");
        connection.admin_key_file = Some(file.clone());
        assert_eq!(*connection.admin_key(variable()).unwrap(), "tga_of_the_file");

        for wrong in [&b"a b"[..], b"", b"\n", "schlüssel".as_bytes(), b"\xff", &[b'a'; 513]] {
            std::fs::write(&file, wrong).unwrap();
            assert!(matches!(connection.admin_key(None), Err(ClientError::BadKey)), "{wrong:?}");
        }
        connection.admin_key_file = Some(directory.path().join("absent"));
        assert!(connection.admin_key(variable()).unwrap_err().to_string().contains("absent"));
    }
}
