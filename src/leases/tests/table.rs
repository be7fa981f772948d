use super::super::slot::Slot;
use super::super::table::{Displaces, Fate, Table};
use super::*;

#[test]
fn a_full_set_gives_up_what_was_not_used_lately_and_returns_it() {
    let mut table = Table::new(16, "t".to_owned());
    let mut shared = Memory::default();
    let now = Instant(START);
    let mut open = |tag: u64, displaces: Displaces, now: Instant| {
        let make = || Slot::new(tag, "c", "l", now);
        let place = Place { set: 0, tag };
        table.open(place, (displaces, now), &make, &mut shared, &mut |_, _| Ok(Fate::Changed)).unwrap()
    };
    for tag in 1..=16 {
        assert_eq!(open(tag, Displaces::Unused, now.after(tag)), Some(None));
    }
    assert_eq!(open(17, Displaces::Unused, now.after(20)), None, "all were used just now");
    assert_eq!(open(17, Displaces::Any, now.after(20)).unwrap().unwrap().tag, 1, "who cannot wait takes the oldest");
    assert_eq!(open(18, Displaces::Unused, now.after(2 * SECOND)).unwrap().unwrap().tag, 2);
}

#[test]
fn what_is_taken_ahead_of_need_displaces_nothing_and_leaves_room() {
    let mut table = Table::new(16, "t".to_owned());
    let mut shared = Memory::default();
    let now = Instant(START);
    let mut open = |tag: u64, now: Instant| {
        let make = || Slot::new(tag, "c", "l", now);
        let place = Place { set: 0, tag };
        table.open(place, (Displaces::Nothing, now), &make, &mut shared, &mut |_, _| Ok(Fate::Changed)).unwrap()
    };
    assert_eq!((1..=20).filter(|tag| open(*tag, now).is_some()).count(), 12);
    assert_eq!(open(20, now.after(60 * SECOND)), None);
}
