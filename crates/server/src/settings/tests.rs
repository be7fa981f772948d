use std::collections::HashSet;

use super::*;

const DATA: (&str, &str) = ("data", "/nowhere");

fn variables(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// The settings from a file (in a directory of its own), variables and flags.
fn read(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, String> {
    let mut layers = Layers::default();
    let environment = environment::read(variables(environment), &mut layers.problems);
    let layer = file::read("conf/tollgate.toml".as_ref(), file, &mut layers.problems);
    layers.add(layer);
    layers.add(environment.given);
    layers.add(Flags::of(flags).given());
    values::settings(&layers).map_err(|problems| SettingsError::Wrong(problems).to_string())
}

#[test]
fn every_default_is_right() {
    let settings = read("", &[], &[DATA]).unwrap();
    assert_eq!(settings.data, PathBuf::from("/nowhere"));
    assert_eq!(settings.public.address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.node.address.to_string(), "127.0.0.1:8443");
    assert_eq!(settings.operations.address.to_string(), "127.0.0.1:8090");
    assert_eq!(settings.public.tls, Tls::Off);
    assert_eq!(settings.node.tls, Tls::FromData { client_ca: None, required: false });
    assert_eq!((settings.key_prefix.as_str(), settings.key_hash), ("foil", KeyHashing::HmacSha256));
    assert!(!settings.self_service && settings.trusted_proxies.is_empty());
    assert_eq!(settings.shutdown, Duration::from_secs(10));
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let prefix = |file: &str, environment: &[_], flags: &[_]| read(file, environment, &[&[DATA], flags].concat()).unwrap().key_prefix;
    let (file, variable, flag) = ("key_prefix = \"infile\"", ("TOLLGATE_KEY_PREFIX", "invariable"), ("key_prefix", "inflag"));
    assert_eq!(prefix(file, &[variable], &[flag]), "inflag");
    assert_eq!(prefix(file, &[variable], &[]), "invariable");
    assert_eq!(prefix(file, &[], &[]), "infile");
    assert_eq!(prefix("", &[], &[]), "foil");
}

#[test]
fn every_setting_can_be_given_in_all_three_places_and_means_the_same() {
    let example = |setting: &Setting| match setting.kind {
        Kind::Switch => "true",
        Kind::Number => "11",
        Kind::List => "10.0.0.0/8, 192.0.2.1",
        Kind::Text => match setting.name {
            "listen" | "node_listen" | "operations_listen" => "[::1]:1",
            "key_prefix" => "acme",
            "key_hash" => "argon2id",
            "token_algorithm" => "ES256",
            "log" => "warn,access=off",
            "public_url" => "https://tollgate.example.com",
            "mail" => "smtp",
            "mail_from" => "tollgate@example.com",
            "smtp_server" => "smtp.example.com:587",
            "smtp_tls" => "starttls",
            _ => "/some/path",
        },
    };
    // Every certificate has its key, so all of them go together.
    let toml: String = SETTINGS
        .iter()
        .map(|setting| match (setting.kind, example(setting)) {
            (Kind::Text, text) => format!("{} = \"{text}\"\n", setting.name),
            (Kind::List, _) => format!("{} = [\"10.0.0.0/8\", \"192.0.2.1\"]\n", setting.name),
            (_, text) => format!("{} = {text}\n", setting.name),
        })
        .collect();
    let names: Vec<_> = SETTINGS.iter().map(|setting| (setting.variable(), example(setting).to_owned())).collect();
    let names: Vec<_> = names.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let flags: Vec<_> = SETTINGS.iter().map(|setting| (setting.name, example(setting))).collect();
    let shown = |settings: Result<Settings, String>| format!("{:?}", settings.unwrap());
    let by_file = shown(read(&toml, &[], &[]));
    assert_eq!(by_file, shown(read("", &names, &[])));
    assert_eq!(by_file, shown(read("", &[], &flags)));
    assert_ne!(by_file, shown(read("", &[], &[DATA])));
}

#[test]
fn a_wrong_value_is_named_with_its_place_wherever_it_was_given() {
    let error = read("data = \"d\"\n\nlisten = \"here\"\n", &[], &[]).unwrap_err();
    assert_eq!(error, "conf/tollgate.toml:3: listen: found `here`; allowed: an address and a port, such as 127.0.0.1:8080 or [::]:8080");
    let error = read("", &[("TOLLGATE_SHUTDOWN_SECONDS", "301")], &[DATA]).unwrap_err();
    assert_eq!(error, "TOLLGATE_SHUTDOWN_SECONDS: found `301`; allowed: a whole number from 0 to 300");
    let error = read("", &[], &[DATA, ("key_hash", "md5")]).unwrap_err();
    assert_eq!(error, "--key-hash: found `md5`; allowed: hmac-sha256 or argon2id");
    let error = read("", &[], &[DATA, ("trusted_proxies", "10.0.0.0/8,somewhere")]).unwrap_err();
    assert_eq!(error, "--trusted-proxies: found `somewhere`; allowed: networks such as 10.0.0.0/8, or addresses");
}

#[test]
fn a_wrong_type_in_the_file_is_named_without_its_value() {
    for (wrong, expected) in [
        ("listen = 8080", "listen: found a number; allowed: text, in quotes"),
        ("self_service = \"true\"", "self_service: found text; allowed: true or false"),
        ("shutdown_seconds = \"10\"", "shutdown_seconds: found text; allowed: a whole number"),
        ("trusted_proxies = \"10.0.0.0/8\"", "trusted_proxies: found text; allowed: an array of texts"),
        ("trusted_proxies = [1]", "trusted_proxies: found an array; allowed: an array of texts"),
    ] {
        assert_eq!(read(wrong, &[], &[DATA]).unwrap_err(), format!("conf/tollgate.toml:1: {expected}"));
    }
    assert!(read("data = \"d\"\nlisten = ", &[], &[]).unwrap_err().starts_with("conf/tollgate.toml:2: document: found "));
}

#[test]
fn what_is_no_setting_is_refused_with_its_place_and_not_its_value() {
    let error = read("data = \"d\"\nlissten = \"hunter2\"\n", &[], &[]).unwrap_err();
    assert!(error.starts_with("conf/tollgate.toml:2: lissten: found no setting") && !error.contains("hunter2"), "{error}");
    let error = read("", &[("TOLLGATE_PEPER_1", "hunter2")], &[DATA]).unwrap_err();
    assert!(error.starts_with("TOLLGATE_PEPER_1: ") && !error.contains("hunter2"), "{error}");
}

#[test]
fn all_problems_are_told_at_once() {
    let error = read("lissten = 1\nkey_hash = \"md5\"", &[("TOLLGATE_LOG", "loud=very")], &[("listen", "x")]).unwrap_err();
    let places = ["tollgate.toml:1: lissten", "data: ", "--listen", "tollgate.toml:2: key_hash", "TOLLGATE_LOG"];
    assert_eq!(error.lines().count(), places.len(), "{error}");
    assert!(places.iter().all(|place| error.contains(place)), "{error}");
}

#[test]
fn variables_of_secrets_and_of_kubernetes_are_none_of_ours() {
    let others = [
        ("TOLLGATE_PEPPER_1", "x"),
        ("TOLLGATE_ISSUER_KEY_12", "x"),
        ("TOLLGATE_ENCRYPTION_KEY_3", "x"),
        ("TOLLGATE_TOKEN_KEY", "x"),
        ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
        ("TOLLGATE_SERVICE_PORT", "8080"),
        ("TOLLGATE_SERVICE_PORT_HTTP", "8080"),
        ("TOLLGATE_PORT", "tcp://10.0.0.1:8080"),
        ("TOLLGATE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert!(read("", &others, &[DATA]).is_ok());
    assert!(read("", &[("TOLLGATE_PORT", "8080")], &[DATA]).is_err(), "without a Service it is a mistake");
}

#[test]
fn a_certificate_needs_its_key_and_a_key_its_certificate() {
    for (certificate, key) in
        [("tls_certificate", "tls_key"), ("node_tls_certificate", "node_tls_key"), ("operations_tls_certificate", "operations_tls_key")]
    {
        let error = read("", &[], &[DATA, (certificate, "c.pem")]).unwrap_err();
        assert!(error.starts_with(key) && error.contains(&certificate.replace('_', "-")), "{error}");
        let error = read("", &[], &[DATA, (key, "k.pem")]).unwrap_err();
        assert!(error.starts_with(certificate) && error.contains(&key.replace('_', "-")), "{error}");
        assert!(read("", &[], &[DATA, (certificate, "c.pem"), (key, "k.pem")]).is_ok());
    }
}

#[test]
fn client_certificates_are_never_asked_for_without_tls() {
    let node = |flags: &[_]| read("", &[], &[&[DATA], flags].concat()).map(|settings| settings.node.tls);
    let (off, ca) = (("node_tls", "false"), ("node_tls_client_ca", "ca.pem"));
    assert_eq!(node(&[off]).unwrap(), Tls::Off);
    assert_eq!(node(&[ca]).unwrap(), Tls::FromData { client_ca: Some("ca.pem".into()), required: true });
    assert!(node(&[off, ca]).unwrap_err().starts_with("--node-tls: found false"));
    assert!(node(&[off, ("node_tls_certificate", "c"), ("node_tls_key", "k")]).unwrap_err().starts_with("--node-tls: found false"));
    assert_eq!(node(&[("node_tls", "true")]).unwrap(), Tls::FromData { client_ca: None, required: true });
}

#[test]
fn nothing_runs_without_a_data_directory() {
    let error = read("", &[], &[]).unwrap_err();
    assert_eq!(error, "data: found nothing; allowed: a directory, by --data, TOLLGATE_DATA or `data` in tollgate.toml");
}

#[test]
fn a_named_file_must_be_there() {
    let error = Settings::read(&Flags::default(), variables(&[(CONFIG, "/nowhere/tollgate.toml")])).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the settings in /nowhere/tollgate.toml: "), "{error}");
}

#[test]
fn names_are_unique_and_follow_one_rule() {
    let names: HashSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
}
