//! Owns what of the environment a filter's VM will have. Must not print a value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tree::{descend, list};

/// Stands for a secret that is not set where the check runs. It is long enough for every rule, as the text it is and as the base64url it
/// is too: HS512 asks for 64 bytes.
const PLACEHOLDER: &str = "placeholder-placeholder-placeholder-placeholder-placeholder-placeholder-placeholder-0000";

/// The environment variables a VM gets.
#[derive(Debug)]
pub(super) enum Variables {
    /// Not known: the proxy's configuration is elsewhere.
    Any,
    /// Those the proxy's configuration names.
    Declared {
        /// Taken from the proxy's own environment.
        host: BTreeSet<String>,
        /// Written into the configuration.
        literal: BTreeMap<String, String>,
    },
}

impl Variables {
    /// Of Envoy's `vm_config.environment_variables`.
    pub(super) fn of_envoy(config: &Value) -> Self {
        let environment = ["vm_config", "environment_variables"];
        let host = list(config, &[&environment[..], &["host_env_keys"]].concat()).iter().filter_map(Value::as_str).map(str::to_owned);
        let literal = descend(config, &[&environment[..], &["key_values"]].concat()).and_then(Value::as_object);
        let literal = literal.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Self::Declared { host: host.collect(), literal: literal.collect() }
    }

    /// Whether the VM gets a variable of this name.
    pub(super) fn declare(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Declared { host, literal } => host.contains(name) || literal.contains_key(name),
        }
    }

    /// Whether the value is written into the proxy's configuration.
    pub(super) fn are_literal(&self, name: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Declared { literal, .. } => literal.contains_key(name),
        }
    }

    /// What to judge in place of the variable: its value where it is known, else a placeholder.
    pub(super) fn value(&self, name: &str) -> String {
        if let Self::Declared { literal, .. } = self
            && let Some(value) = literal.get(name)
        {
            return value.clone();
        }
        let own = if self.declare(name) { std::env::var(name).ok() } else { None };
        own.unwrap_or_else(|| PLACEHOLDER.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_secret_that_is_not_set_meets_every_rule_in_either_encoding() {
        let value = Variables::Any.value("TOLLGATE_A_VARIABLE_THAT_IS_NOT_SET");
        assert!(value.len() >= 64 && value.len() <= 512 && value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
        assert!(URL_SAFE_NO_PAD.decode(&value).unwrap().len() >= 64, "{value}");
    }
}
