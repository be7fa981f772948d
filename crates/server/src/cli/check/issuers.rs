//! Owns what is likely not meant in what a plugin configuration says of issuers of access tokens. Must not judge what the filter refuses itself.

use tollgate_core::config::{Problem, document as doc};

use super::finding::{Finding, Severity};

/// What a document's issuers are warned of.
pub(super) fn of_document(document: &doc::Plugin) -> Vec<Finding> {
    let issuers: &[doc::Issuer] = document.tokens.as_ref().map_or(&[], |tokens| &tokens.issuers);
    let problems = issuers.iter().enumerate().flat_map(|(position, issuer)| {
        let of_nobody = for_anybody(issuer).map(|problem| ("audiences", problem));
        let of_others = whom_others_name(document, issuers, position, issuer).map(|problem| ("consumer.prefix", problem));
        of_nobody.into_iter().chain(of_others).map(move |(field, (found, allowed))| {
            Finding::in_plugin(Severity::Warning, Problem::new(format!("tokens.issuers[{position}].{field}"), found, allowed))
        })
    });
    problems.collect()
}

/// Its tokens are accepted whoever they are meant for: what another service was given then passes here too.
fn for_anybody(issuer: &doc::Issuer) -> Option<(String, &'static str)> {
    let found = "an empty list: a token that was issued for another service passes here too";
    issuer.audiences.is_empty().then(|| (found.to_owned(), "what the issuer calls this API, unless that is meant"))
}

/// Its tokens may name consumers that others have. Limits tell these apart; the upstream, which is told the id alone, does not.
fn whom_others_name(document: &doc::Plugin, issuers: &[doc::Issuer], own: usize, issuer: &doc::Issuer) -> Option<(String, &'static str)> {
    let prefix = own_prefix(issuer)?;
    let others = issuers.iter().enumerate().filter(|(other, _)| *other != own);
    let like = |(_, other): &(usize, &doc::Issuer)| own_prefix(other).is_some_and(|other| other.starts_with(prefix));
    // A token's claim is not empty.
    let named = |consumer: &doc::Consumer| consumer.id.strip_prefix(prefix).is_some_and(|claim| !claim.is_empty());
    let other_issuer = others.into_iter().find(like).map(|(other, _)| format!("a consumer of `tokens.issuers[{other}]`"));
    let consumer = || document.consumers.iter().position(named).map(|other| format!("`consumers[{other}]`"));
    let of_backend = || (document.backend.is_some() && prefix.is_empty()).then(|| "a consumer of the backend".to_owned());
    let other = other_issuer.or_else(consumer).or_else(of_backend)?;
    let given =
        if prefix.is_empty() { "nothing".to_owned() } else { format!("`{}`", prefix.chars().take(64).collect::<String>().escape_debug()) };
    let found = format!("{given}: a token may give its consumer the id of {other}, and the upstream is told the id alone");
    Some((found, "a prefix that no other id starts with"))
}

/// What is before the id of each consumer that is known by the issuer's tokens alone; `None` if others know its consumers.
fn own_prefix(issuer: &doc::Issuer) -> Option<&str> {
    match issuer.consumer.known_by {
        doc::KnownBy::Token => Some(issuer.consumer.prefix.as_deref().unwrap_or_default()),
        doc::KnownBy::Configuration | doc::KnownBy::Backend | doc::KnownBy::Credential => None,
    }
}
