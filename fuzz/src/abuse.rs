//! Owns the targets for abuse: subjects as they are written, and what other workers left in shared data.

use std::net::{IpAddr, Ipv4Addr};

use bolero::{check, produce};
use tollgate_core::abuse::{Rules, Signal, Subject};
use tollgate_core::time::Instant;
use tollgate_filter::abuse::blocks::key_of_network;
use tollgate_filter::abuse::journal::Journal;
use tollgate_filter::abuse::{Abuse, Watched, known};
use tollgate_filter::counters::Counters;
use tollgate_filter::shared::{Memory, SharedData};

use crate::BRIEFLY;
use crate::input::{Splice, numbers, several, text, words};

#[test]
fn any_text_is_a_subject_in_one_way_or_none() {
    let parts = words("address:|consumer:|credential:|192.0.2.7|/24|/0|2001:db8::|::ffff:|/64|/129|acme|:|%|é| ");
    check!().with_test_time(BRIEFLY).with_generator((numbers(6), several(produce::<Splice>(), 2))).for_each(|(numbers, changes)| {
        let mut bytes = text(numbers, &parts);
        changes.iter().for_each(|change| change.apply(&mut bytes));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Ok(subject) = text.parse::<Subject>() {
            let written = subject.to_string();
            assert_eq!(written.parse(), Ok(subject.clone()), "{text}");
            assert_eq!(Subject::of(subject.kind(), &subject.name()).unwrap().to_string(), written);
            if let Subject::Address(network) = &subject {
                assert_eq!(network.trunc(), *network);
                assert!(subject.surroundings().is_none_or(|wider| wider.surroundings().is_none()));
            }
        }
    });
}

#[test]
fn any_bytes_in_shared_data_block_nobody_by_a_fault() {
    check!().with_test_time(BRIEFLY).with_max_len(1_024).for_each(|bytes: &[u8]| {
        let mut shared = Memory::default();
        let rules = Rules { sets: 1, ..Rules::default() };
        for key in ["tollgate/1/abuse/a/1/0", "tollgate/1/blocks/1", "tollgate/1/good/1/0"] {
            shared.set(key, bytes, None).unwrap();
        }
        let (mut abuse, mut counters) = (Abuse::new(Some(rules), [7; 16]), Counters::default());
        let who = Watched { key: key_of_network(IpAddr::V4(Ipv4Addr::LOCALHOST).into()), place: 0, tag: 5 };
        let _ = abuse.shows(&who, (Signal::UnknownKey, Some(9)), 1, Instant(7), &mut shared, &mut counters);
        let _ = abuse.tick(Instant(u64::MAX / 2), &mut shared, &mut counters);
        assert!(abuse.blocks.len() <= 1_024 / 8);
        let _ = Journal::default().end(&who.key, &mut shared);
        let _ = (known::was_good((0, 5), &mut shared), known::note((0, 5), &mut shared));
    });
}
