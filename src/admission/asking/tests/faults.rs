//! A node whose answers, tokens and shared data are not what they should be.

use super::*;

#[test]
fn a_change_is_heard_though_the_reports_cannot_be_kept() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    (0..2).for_each(|worker| assert_eq!(world.settle(worker, "k"), admitted("acme")));
    world.pass(SECOND);
    world.node.spoil("/report", b"?");
    // Each worker has something to tell, and cannot.
    world.backend.issue("l", known("other", tier("many", 1_000)));
    (0..2).for_each(|worker| assert_eq!(world.settle(worker, "l"), admitted("other")));
    world.backend.revoke("k");
    world.deliver();
    world.pass(50 * MS);
    (0..2).for_each(|worker| assert_eq!(world.ask(worker, "k"), Got::Denied(Reason::InvalidKey)));
}
