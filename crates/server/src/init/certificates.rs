//! Owns the certificates of the node API: an authority of this data directory, and what it signs for the server and its nodes. Must not be
//! used for what others are to trust.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use super::InitError;
use super::files::Directory;
use crate::clock::Time;

/// How long certificates are good. Nobody but our own nodes trusts them, and whoever has a key of theirs has the data directory; one that
/// ran out would stop all nodes at once.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How much earlier they begin, for nodes whose clocks are behind.
const LEEWAY: Duration = Duration::from_secs(86_400);

/// The names of the files of a certificate and its key.
struct Files {
    certificate: &'static str,
    key: &'static str,
}

const AUTHORITY: Files = Files { certificate: "tls/ca.pem", key: "tls/ca.key" };
const SERVER: Files = Files { certificate: "tls/server.pem", key: "tls/server.key" };
const CLIENT: Files = Files { certificate: "tls/client.pem", key: "tls/client.key" };

/// Makes the certificates that are missing. To have one made anew, say with other names, take it away and leave its key.
pub(super) fn make(directory: &mut Directory, names: &[String], now: Time) -> Result<(), InitError> {
    directory.make_directory("tls")?;
    if directory.keeps(AUTHORITY.certificate) {
        // It may have been put away: it signs and is not served with.
        directory.keeps(AUTHORITY.key);
    } else {
        // Another authority would not be the one that signed these.
        if !directory.has(AUTHORITY.key) && [SERVER, CLIENT].iter().any(|signed| directory.has(signed.certificate)) {
            return Err(InitError::Torn(directory.path(AUTHORITY.key)));
        }
        let mut parameters = parameters("Tollgate node API", Vec::new(), now)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key(directory, AUTHORITY.key)?)?;
        write(directory, AUTHORITY.certificate, certificate.pem())?;
    }
    let mut server_names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    for name in names {
        if !server_names.contains(name) {
            server_names.push(name.clone());
        }
    }
    for (files, common_name, names, usage) in [
        (SERVER, "Tollgate backend", server_names, ExtendedKeyUsagePurpose::ServerAuth),
        (CLIENT, "Tollgate node", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        if directory.keeps(files.certificate) {
            if !directory.keeps(files.key) {
                return Err(InitError::Torn(directory.path(files.key)));
            }
            continue;
        }
        let mut parameters = parameters(common_name, names, now)?;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![usage];
        let certificate = parameters.signed_by(&key(directory, files.key)?, &authority(directory)?)?;
        write(directory, files.certificate, certificate.pem())?;
    }
    Ok(())
}

fn parameters(common_name: &str, names: Vec<String>, now: Time) -> Result<CertificateParams, InitError> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    let time = |time: Time| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0));
    parameters.not_before = time(now.before(LEEWAY));
    parameters.not_after = time(now.after(LIFE));
    Ok(parameters)
}

/// The key in a file, or a new one. It is there before its certificate: a crash between the two leaves what the next call goes on with.
fn key(directory: &mut Directory, file: &str) -> Result<KeyPair, InitError> {
    if directory.keeps(file) {
        return Ok(KeyPair::from_pem(&read(directory, file)?)?);
    }
    let key = KeyPair::generate()?;
    directory.make_file(file, || Ok(Zeroizing::new(key.serialize_pem().into_bytes())))?;
    Ok(key)
}

fn authority(directory: &Directory) -> Result<Issuer<'static, KeyPair>, InitError> {
    if !directory.has(AUTHORITY.key) {
        return Err(InitError::Torn(directory.path(AUTHORITY.key)));
    }
    let key = KeyPair::from_pem(&read(directory, AUTHORITY.key)?)?;
    Ok(Issuer::from_ca_cert_pem(&read(directory, AUTHORITY.certificate)?, key)?)
}

fn read(directory: &Directory, file: &str) -> Result<Zeroizing<String>, InitError> {
    let path = directory.path(file);
    std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| InitError::Read { path, error })
}

fn write(directory: &mut Directory, file: &str, certificate: String) -> Result<(), InitError> {
    directory.make_file(file, || Ok(Zeroizing::new(certificate.into_bytes())))
}
