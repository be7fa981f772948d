use tollgate_core::config;
use tollgate_core::time::SECOND;
use tollgate_core::wire;

use super::*;

fn settings() -> policy::Backend {
    let document =
        r#"{"backend": {"cluster": "backend", "credential": {"inline": "a credential of some length, never used"}, "timeout": "1s"}}"#;
    config::load(document.as_bytes(), &|_: &str| None).unwrap().backend.unwrap()
}

fn nonce(number: u32) -> Nonce {
    Nonce { sha256: [number as u8; 32], for_ms: 1_000 }
}

struct Asked {
    takes: Takes,
    calls: Vec<Call>,
}

impl Asked {
    /// So many requests ask at 0 s, streams 0 and up, each by itself.
    fn by(requests: u32) -> Self {
        let mut asked = Self { takes: Takes::default(), calls: Vec::new() };
        for stream in 0..requests {
            assert!(asked.takes.ask(nonce(stream), stream, Instant(SECOND)));
            asked.send();
        }
        asked
    }

    fn send(&mut self) {
        self.takes.calls(&settings(), "Bearer token", Instant(0), &mut self.calls);
    }

    fn nonces(&self, call: usize) -> usize {
        wire::decode::<TakeNonces>(&self.calls[call].body).unwrap().nonces.len()
    }

    fn hear(&mut self, number: u32, answer: Answer<'_>) -> (Vec<(u32, Taken)>, Result<(), CallError>) {
        self.takes.heard(answer, number, Instant(0))
    }
}

fn body(first: &[bool]) -> Vec<u8> {
    wire::encode(&TakenNonces { first: first.to_vec() }).unwrap()
}

#[test]
fn each_request_has_its_own_answer() {
    let mut asked = Asked::by(2);
    assert_eq!(asked.hear(2, Answer::Whole(200, &body(&[false]))), (vec![(1, Taken::Again)], Ok(())));
    assert_eq!(asked.hear(1, Answer::Whole(200, &body(&[true]))), (vec![(0, Taken::First)], Ok(())));
    assert_eq!(asked.hear(1, Answer::Whole(200, &body(&[true]))), (Vec::new(), Err(CallError::Failed)), "once");
}

#[test]
fn what_comes_while_messages_are_under_way_goes_together() {
    let mut asked = Asked::by(10);
    assert_eq!(asked.calls.len(), MOST_UNDER_WAY);
    assert_eq!(asked.hear(1, Answer::Whole(200, &body(&[true]))).1, Ok(()));
    asked.send();
    assert_eq!((asked.calls.len(), asked.nonces(4)), (5, 6));
    let answers = asked.hear(5, Answer::Whole(200, &body(&[true, false, true, true, true, true]))).0;
    assert_eq!((answers[0], answers[1]), ((4, Taken::First), (5, Taken::Again)));
}

#[test]
fn no_answer_or_an_odd_one_lets_nothing_pass() {
    let odd = [
        Answer::Broken,
        Answer::Whole(503, b""),
        Answer::Whole(404, b"{}"),
        Answer::Whole(200, b"{}"),
        Answer::Whole(200, &[0; 9]),
        Answer::Whole(200, &body(&[])),
        Answer::Whole(200, &body(&[true, true])),
    ]
    .map(|answer| Asked::by(1).hear(1, answer));
    for (taken, error) in odd {
        assert_eq!((taken, error.is_err()), (vec![(0, Taken::Unknown)], true));
    }
}

#[test]
fn a_token_that_is_not_taken_is_replaced_and_the_nonces_are_sent_again() {
    let mut asked = Asked::by(2);
    assert_eq!(asked.hear(1, Answer::Whole(401, b"")), (Vec::new(), Err(CallError::Unauthorized)));
    asked.send();
    assert_eq!(asked.hear(3, Answer::Whole(200, &body(&[true]))).0, [(0, Taken::First)]);
    let late = asked.takes.heard(Answer::Whole(401, b""), 2, Instant(SECOND));
    assert_eq!(late, (vec![(1, Taken::Unknown)], Err(CallError::Unauthorized)));
}

#[test]
fn what_cannot_be_sent_waits_no_longer_than_its_time_and_no_more_than_so_many_wait() {
    let mut takes = Takes::default();
    for stream in 0..MOST_WAITING as u32 {
        assert!(takes.ask(nonce(0), stream, Instant(SECOND)));
    }
    assert!(!takes.ask(nonce(0), 9_999, Instant(SECOND)));
    assert_eq!(takes.overdue(Instant(SECOND - 1)), []);
    assert_eq!(takes.overdue(Instant(SECOND)).len(), MOST_WAITING);
    assert!(takes.ask(nonce(0), 0, Instant(2 * SECOND)));
}
