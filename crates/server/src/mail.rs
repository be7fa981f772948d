//! Owns how mail leaves: into files, to standard output, or to a mail server. Must not know what it says or whether it is tried again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncTransport, Tokio1Executor};

use crate::outbox::Mail;
use crate::secrets::Secrets;
use crate::settings::{MailSettings, MailWay, SmtpTls};

/// The directory of mail in the data directory.
const DIRECTORY: &str = "mail";
/// How long the server is waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// The way out for mail.
#[derive(Debug)]
pub struct Mailer {
    from: Address,
    way: Way,
}

#[derive(Debug)]
enum Way {
    File(PathBuf),
    Console,
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

/// Why mail cannot leave by these settings.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server cannot be spoken to.
    #[error("mail: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The authorities cannot be read.
    #[error("mail: outgoing_ca: {0}")]
    Authorities(String),
    /// There is a name and no password.
    #[error("mail: smtp_user is given, and there is no password: write it to secrets/smtp.password, or set TOLLGATE_SMTP_PASSWORD")]
    NoPassword,
}

impl Mailer {
    /// The way out as the settings have it; servers may also be known by these authorities, a file in PEM, beside those of the web.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(settings: &MailSettings, secrets: &Secrets, data: &Path, authorities: Option<&Path>) -> Result<Self, MailError> {
        let way = match &settings.way {
            MailWay::File => Way::File(data.join(DIRECTORY)),
            MailWay::Console => Way::Console,
            MailWay::Smtp { host, port, tls, user } => {
                let mut transport = match tls {
                    SmtpTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(host)?,
                    SmtpTls::StartTls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host)?,
                    SmtpTls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
                };
                if let (Some(path), true) = (authorities, *tls != SmtpTls::None) {
                    let unread = |error: std::io::Error| MailError::Authorities(format!("{}: {error}", path.display()));
                    let authority = Certificate::from_pem(&std::fs::read(path).map_err(unread)?)?;
                    let parameters = TlsParameters::builder(host.clone()).add_root_certificate(authority).build()?;
                    transport = transport.tls(if *tls == SmtpTls::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) });
                }
                if let Some(port) = port {
                    transport = transport.port(*port);
                }
                if let Some(user) = user {
                    let password = secrets.smtp_password().ok_or(MailError::NoPassword)?;
                    let password = String::from_utf8_lossy(password.expose()).into_owned();
                    transport = transport.credentials(Credentials::new(user.clone(), password));
                }
                Way::Smtp(Box::new(transport.timeout(Some(LONGEST)).build()))
            }
        };
        Ok(Self { from: settings.from.clone(), way })
    }

    /// Lets a mail leave under this id, by which its receiver tells a second copy.
    ///
    /// # Errors
    /// Why it did not, for operators.
    pub async fn send(&self, id: &str, mail: &Mail) -> Result<(), String> {
        let message = self.message(id, mail)?;
        match &self.way {
            Way::File(directory) => write(directory, id, &message.formatted()).map_err(|error| format!("{}: {error}", directory.display())),
            Way::Console => {
                let mut out = std::io::stdout().lock();
                out.write_all(&message.formatted()).and_then(|()| out.write_all(b"\n")).map_err(|error| error.to_string())
            }
            Way::Smtp(transport) => match transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    fn message(&self, id: &str, mail: &Mail) -> Result<Message, String> {
        let to: Address = mail.to.parse().map_err(|_| "its address is none that mail can be sent to".to_owned())?;
        let message = Message::builder()
            .message_id(Some(format!("<{id}@{}>", self.from.domain())))
            .from(Mailbox::new(Some("Tollgate".to_owned()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .subject(mail.subject.clone())
            .header(ContentType::TEXT_PLAIN);
        message.body(mail.text.clone()).map_err(|error| error.to_string())
    }
}

/// Writes a file of its own, which appears whole, for its owner alone.
fn write(directory: &Path, id: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let (half, path) = (directory.join(format!(".{id}")), directory.join(format!("{id}.eml")));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    std::fs::rename(half, path)
}
