//! Owns how a command is told which backend to ask and with which admin key. Must not take the key as an argument, or show it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::{Client, ClientError};

/// The variable that names a file with the admin key.
const FILE_VARIABLE: &str = "TOLLGATE_ADMIN_KEY_FILE";
/// The variable that holds the admin key itself.
const KEY_VARIABLE: &str = "TOLLGATE_ADMIN_KEY";
/// The variable that names a data directory.
const DATA_VARIABLE: &str = "TOLLGATE_DATA";
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
    // Read from the environment by hand: a flag goes before each variable, the other flag's too.
    /// The file with the admin key; `-` is standard input. Default: DIR/admin.key of --data, else the first there is of the file in
    /// TOLLGATE_ADMIN_KEY_FILE, the key in TOLLGATE_ADMIN_KEY, and DIR/admin.key of TOLLGATE_DATA.
    #[arg(long, global = true, value_name = "FILE")]
    admin_key_file: Option<PathBuf>,
    /// The backend's data directory, where this is its machine.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Send the admin key unencrypted to a host that is not this one.
    #[arg(long, global = true)]
    plain_http: bool,
    /// How long a request may take, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

impl Connection {
    /// The data directory, where it is on this machine.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        self.data.clone().or_else(|| std::env::var_os(DATA_VARIABLE).map(PathBuf::from))
    }

    /// The way to the backend; nothing is sent yet.
    pub(crate) fn open(&self) -> Result<Client, ClientError> {
        let base = self.base()?;
        let admin_key = self.admin_key(|name| std::env::var_os(name))?;
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

    fn admin_key(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Zeroizing<String>, ClientError> {
        let text = if let Some(path) = &self.admin_key_file {
            read(path)?
        } else if let Some(directory) = &self.data {
            read(&directory.join(KEY_FILE))?
        } else if let Some(path) = variable(FILE_VARIABLE) {
            read(Path::new(&path))?
        } else if let Some(key) = variable(KEY_VARIABLE) {
            Zeroizing::new(key.into_string().map_err(|_| ClientError::BadKey)?)
        } else if let Some(directory) = variable(DATA_VARIABLE) {
            read(&Path::new(&directory).join(KEY_FILE))?
        } else {
            return Err(ClientError::NoKey);
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
    fn what_the_command_line_says_goes_before_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let written = |name: &str, key: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("tga_of_the_{key}\n")).unwrap();
            path
        };
        let file = written("a-key", "flag_of_a_file");
        let data = written("data/admin.key", "flag_of_a_directory").parent().unwrap().to_owned();
        let variables = [
            (DATA_VARIABLE, written("other/admin.key", "variable_of_a_directory").parent().unwrap().to_owned().into_os_string()),
            (KEY_VARIABLE, OsString::from("tga_of_the_variable")),
            (FILE_VARIABLE, written("other-key", "variable_of_a_file").into_os_string()),
        ];
        let given = |count: usize| {
            let variables = &variables[..count];
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
        };
        let mut connection = to("http://127.0.0.1");
        assert!(matches!(connection.admin_key(given(0)), Err(ClientError::NoKey)));
        for (count, key) in [(1, "tga_of_the_variable_of_a_directory"), (2, "tga_of_the_variable"), (3, "tga_of_the_variable_of_a_file")] {
            assert_eq!(*connection.admin_key(given(count)).unwrap(), key);
        }
        connection.data = Some(data);
        assert_eq!(*connection.admin_key(given(3)).unwrap(), "tga_of_the_flag_of_a_directory");
        connection.admin_key_file = Some(file.clone());
        assert_eq!(*connection.admin_key(given(3)).unwrap(), "tga_of_the_flag_of_a_file");

        for wrong in [&b"a b"[..], b"", b"\n", "schlüssel".as_bytes(), b"\xff", &[b'a'; 513]] {
            std::fs::write(&file, wrong).unwrap();
            assert!(matches!(connection.admin_key(given(3)), Err(ClientError::BadKey)), "{wrong:?}");
        }
        connection.admin_key_file = Some(directory.path().join("absent"));
        assert!(connection.admin_key(given(3)).unwrap_err().to_string().contains("absent"));
    }
}
