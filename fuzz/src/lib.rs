//! Fuzz targets for everything in Tollgate that reads bytes of others: clients, hosts, configurations, other workers.
//!
//! They are ordinary tests: `cargo test -p tollgate-fuzz` gives each [`BRIEFLY`], and the variables of bolero give more
//! (`BOLERO_RANDOM_TEST_TIME_MS=20000`) or replay a failure, which names its seed (`BOLERO_RANDOM_SEED=…`). Files under
//! `src/__fuzz__/<module>__<test>/corpus` are tried first, each time: inputs worth keeping go there.
//!
//! A target asserts what must hold of any input, against a second and plainer reading of it where there is one.

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod credential;
#[cfg(test)]
mod der;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod input;
#[cfg(test)]
mod json;
#[cfg(test)]
mod key_set;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod mint;
#[cfg(test)]
mod nonces;
#[cfg(test)]
mod path;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod signature;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod token;

/// How long a target runs unless the environment says otherwise: some thousand inputs, and a few seconds for all targets.
#[cfg(test)]
const BRIEFLY: std::time::Duration = std::time::Duration::from_millis(300);
