//! Owns the settings in the environment. Must not read the process's own: it comes in as an argument.

use std::path::PathBuf;

use super::Problem;
use super::layers::{Given, Layer, Place};
use super::table::SETTINGS;

/// The variable that names the file.
pub const CONFIG: &str = "TOLLGATE_CONFIG";

/// Variables of the same prefix that other parts read: secrets, and what the client commands are told.
const OTHERS: &[&str] =
    &["TOLLGATE_TOKEN_KEY", "TOLLGATE_SMTP_PASSWORD", "TOLLGATE_URL", "TOLLGATE_CA", "TOLLGATE_ADMIN_KEY", "TOLLGATE_ADMIN_KEY_FILE"];
/// The same with a number behind them.
const NUMBERED: &[&str] =
    &["TOLLGATE_PEPPER_", "TOLLGATE_ISSUER_KEY_", "TOLLGATE_ENCRYPTION_KEY_", "TOLLGATE_TOKEN_KEY_", "TOLLGATE_SIGNING_SECRET_"];

pub(super) struct Environment {
    pub(super) config: Option<PathBuf>,
    pub(super) given: Layer,
}

pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>, problems: &mut Vec<Problem>) -> Environment {
    let variables: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with("TOLLGATE_")).collect();
    let services: Vec<_> = variables.iter().filter_map(|(name, _)| name.strip_suffix("_SERVICE_HOST").map(ToOwned::to_owned)).collect();
    let mut environment = Environment { config: None, given: Layer::new() };
    for (name, text) in variables {
        if is_elsewhere(&name) || services.iter().any(|service| is_service_link(service, &name)) {
            continue;
        }
        if name == CONFIG {
            environment.config = Some(text.into());
        } else if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
            environment.given.insert(setting.name, Given::text(Place::Variable(name), setting.kind, &text));
        } else {
            // Not its value: it may be a secret under a mistyped name.
            problems.push(Problem {
                place: Place::Variable(name),
                found: "a variable that is no setting".to_owned(),
                allowed: "the settings of docs/backend.md; other names must not start with TOLLGATE_".to_owned(),
            });
        }
    }
    environment
}

fn is_elsewhere(name: &str) -> bool {
    let numbered = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| rest.parse::<u32>().is_ok());
    OTHERS.contains(&name) || NUMBERED.iter().any(numbered)
}

/// Whether Kubernetes put it there for a Service called `tollgate` or `tollgate-…`: it tells every pod of the namespace where
/// its Services are, in variables that start with their names.
fn is_service_link(service: &str, name: &str) -> bool {
    name.strip_prefix(service)
        .is_some_and(|rest| rest.starts_with("_SERVICE_HOST") || rest.starts_with("_SERVICE_PORT") || rest.starts_with("_PORT"))
}
