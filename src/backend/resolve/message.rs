//! Owns what the backend is asked about a key or a consumer, as it is written and its answer read. Must not know when it is sent.

use tollgate_core::credential::{digest, issued_id};
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Either, FirstAsk, Known, Resolve, ResolveConsumer, ResolveCredential};

use super::super::{Brought, Question, hex};
use crate::call::CallError;

/// What the backend is asked.
#[derive(Debug)]
pub(super) enum Message {
    Key(Resolve),
    Consumer(ResolveConsumer),
    Credential(ResolveCredential),
}

/// What came of the leases that were asked for.
#[derive(Debug)]
pub(super) enum First {
    /// Nothing more than this, if anything.
    Settled(Option<Brought>),
    /// That is not known: it must be asked again.
    Unsettled,
}

impl Message {
    pub(super) fn new(question: Question<'_>) -> Self {
        match question {
            Question::Key(presented) => Self::Key(Resolve {
                id: issued_id(presented).map(str::to_owned),
                sha256: hex(&digest(presented)),
                checks_signatures: true,
                limits_credentials: true,
                leases: None,
            }),
            Question::Credential(id) => Self::Credential(ResolveCredential {
                credential: id.to_owned(),
                checks_signatures: true,
                limits_credentials: true,
                leases: None,
            }),
            Question::Consumer(id) => Self::Consumer(ResolveConsumer { consumer: id.to_owned(), leases: None }),
        }
    }

    /// The leases that are asked for with it.
    pub(super) const fn leases(&mut self) -> &mut Option<FirstAsk> {
        match self {
            Self::Key(resolve) => &mut resolve.leases,
            Self::Consumer(resolve) => &mut resolve.leases,
            Self::Credential(resolve) => &mut resolve.leases,
        }
    }

    /// Whether it is about the credential that a token came from.
    pub(super) const fn is_of_token(&self) -> bool {
        matches!(self, Self::Credential(_))
    }

    /// Where it is sent, and as what.
    pub(super) fn encode(&self) -> (&'static str, Option<Vec<u8>>) {
        match self {
            Self::Key(resolve) => ("/internal/v1/resolve", wire::encode(resolve).ok()),
            Self::Credential(resolve) => ("/internal/v1/credentials", wire::encode(resolve).ok()),
            Self::Consumer(resolve) => ("/internal/v1/consumers", wire::encode(resolve).ok()),
        }
    }

    /// Reads the answer.
    pub(super) fn read(&self, body: &[u8]) -> Result<Either, CallError> {
        let mut said: Either = wire::decode(body).map_err(|_| CallError::Failed)?;
        match self {
            Self::Consumer(ResolveConsumer { consumer, .. }) => {
                let consumer_addresses = std::mem::take(&mut said.addresses);
                said.known = said.tier.take().map(|tier| Known { consumer_addresses, ..Known::new(consumer.clone(), tier) });
                Ok(said)
            }
            // Another credential's rights are not to be had.
            Self::Credential(asked) if said.known.as_ref().is_some_and(|known| known.credential != asked.credential) => {
                Err(CallError::Failed)
            }
            Self::Credential(_) | Self::Key(_) => Ok(said),
        }
    }

    /// What came of the leases, by an answer to a message that was sent at `sent`. They are not asked for again: the same answer would
    /// be taken twice.
    pub(super) fn settle(&mut self, said: &mut Either, sent: Instant) -> First {
        let (Some(asked), Some(known), false) = (self.leases().take(), &said.known, said.limits.is_empty()) else {
            return First::Settled(None);
        };
        let Some(settled) = said.settled.take() else {
            *self.leases() = Some(asked);
            return First::Unsettled;
        };
        let limits = std::mem::take(&mut said.limits);
        First::Settled(Some(Brought { consumer: known.consumer.clone(), asked, limits, settled, sent }))
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::config::document::Addresses;
    use tollgate_core::wire::{LeaseAnswer, ResolvedConsumer, Settled};

    use super::*;

    #[test]
    fn a_consumer_that_a_token_names_is_asked_for_and_brings_leases_as_a_key_does() {
        let asked = FirstAsk { lease: 7, need: 2, route: "search".to_owned() };
        let mut message = Message::new(Question::Consumer("acme"));
        *message.leases() = Some(asked.clone());
        let (path, body) = message.encode();
        let sent: ResolveConsumer = wire::decode(&body.unwrap()).unwrap();
        assert_eq!((path, sent.consumer.as_str(), sent.leases), ("/internal/v1/consumers", "acme", Some(asked.clone())));
        let tier = serde_json::from_value(serde_json::json!({"name": "free", "limits": []})).unwrap();
        let settled = Settled { revision: 3, answers: vec![LeaseAnswer { lease: 7, number: 1, granted: 5, ..LeaseAnswer::default() }] };
        let answer = ResolvedConsumer {
            revision: 4,
            tier: Some(tier),
            addresses: Addresses::default(),
            limits: vec!["monthly".to_owned()],
            settled: Some(settled.clone()),
        };
        let mut said = message.read(&wire::encode(&answer).unwrap()).unwrap();
        assert_eq!((said.revision, said.known.as_ref().unwrap().consumer.as_str()), (4, "acme"));
        let First::Settled(Some(brought)) = message.settle(&mut said, Instant(9)) else { panic!("leases") };
        assert_eq!((brought.asked, brought.limits, brought.settled, brought.sent), (asked, answer.limits, settled, Instant(9)));
        assert_eq!((message.leases().is_none(), brought.consumer.as_str()), (true, "acme"));
    }
}
