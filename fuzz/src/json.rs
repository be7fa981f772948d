//! Owns the targets for JSON of others: what could be read in two ways is not read, and all else is read as anybody reads it.

use bolero::{check, produce};
use serde_json::{Value, json};
use tollgate_core::json::object;

use crate::input::{Splice, nth, numbers, several, size, text, words};
use crate::{BRIEFLY, plain};

/// Names of members: some are the same, written in another way.
const NAMES: [&str; 8] = [r#""a""#, r#""\u0061""#, r#""b""#, r#""""#, r#""\ud83d\ude00""#, "\"\u{1f600}\"", r#""}\"""#, r#""\\":"#];
const SCALARS: [&str; 14] = [
    "null",
    "true",
    " false ",
    "0",
    "-0",
    "-1",
    "18446744073709551616",
    "-9223372036854775808",
    "1.5",
    "1e-400",
    r#""a""#,
    r#"" \" : { ""#,
    r#""\u0000""#,
    "\"\u{e9}\"",
];

/// Writes a value; it has members and elements for as long as there are numbers.
fn write(numbers: &mut impl Iterator<Item = u16>, out: &mut String) {
    let number = usize::from(numbers.next().unwrap_or(7));
    let (kind, rest) = (number % 8, number / 8);
    let (open, close) = match kind {
        0..4 => ('{', '}'),
        4 | 5 => ('[', ']'),
        _ => return out.push_str(SCALARS[rest % SCALARS.len()]),
    };
    out.push(open);
    for position in 0..rest % 4 {
        out.push_str(if position == 0 { "" } else { ", " });
        if kind < 4 {
            let name = NAMES[usize::from(numbers.next().unwrap_or(2)) % NAMES.len()];
            out.push_str(name.strip_suffix(':').unwrap_or(name));
            out.push(':');
        }
        write(numbers, out);
    }
    out.push(close);
}

fn document(numbers: &[u16]) -> String {
    let mut document = String::from("{\"\":");
    write(&mut numbers.iter().copied(), &mut document);
    document + "}"
}

fn check_object(json: &[u8]) {
    assert_eq!(object(json), plain::json::object(json), "{}", json.escape_ascii());
}

#[test]
fn any_bytes_are_an_object_by_both_readings_or_by_none() {
    check!().with_test_time(BRIEFLY).with_max_len(128).for_each(check_object);
}

#[test]
fn any_document_is_an_object_by_both_readings_or_by_none() {
    let changes = several(produce::<Splice>(), 2);
    check!().with_test_time(BRIEFLY).with_generator((numbers(32), changes)).for_each(|(numbers, changes)| {
        let mut document = document(numbers).into_bytes();
        check_object(&document);
        changes.iter().for_each(|change| change.apply(&mut document));
        check_object(&document);
    });
}

#[test]
fn any_words_are_an_object_by_both_readings_or_by_none() {
    let parts = words(r#"{|}|{|}|[|]|,|:|"a":|"a":1|"a" : {}|,"\u0061":1|"b":|"|\|1|-|.5|e9|1e999|null|nul| |"#);
    check!().with_test_time(BRIEFLY).with_generator(numbers(8)).for_each(|numbers| {
        check_object(&text(numbers, &parts));
        check_object(&[b"{".to_vec(), text(numbers, &parts), b"}".to_vec()].concat());
    });
}

#[test]
fn a_member_that_is_there_twice_is_found_in_any_object_at_any_depth() {
    let cases = (numbers(32), produce::<u16>(), 0..120_usize, produce::<bool>());
    check!().with_test_time(BRIEFLY).with_generator(cases).for_each(|(numbers, place, depth, in_arrays)| {
        let Some(members) = object(document(numbers).as_bytes()) else { return };
        let mut value = Value::Object(members);
        let mut place = usize::from(*place) % size(&value);
        let Some(Value::Object(members)) = nth(&mut value, &mut place) else { return };
        members.insert("twice".to_owned(), json!([1]));
        let (open, close) = if *in_arrays { ("[", "]") } else { (r#"{"x":"#, "}") };
        // At most as deep as is read: the document has few levels of its own.
        let depth = (*depth).min(120 - numbers.len());
        let once = format!("{{\"y\":{}{value}{}}}", open.repeat(depth), close.repeat(depth));
        assert!(object(once.as_bytes()).is_some(), "{once}");
        for other in [r#""twice":[1],"twice":[1]"#, r#""tw\u0069ce":null,"twice":[1]"#, r#""twice":{"twice":1},"twice":[1]"#] {
            let twice = once.replacen(r#""twice":[1]"#, other, 1);
            assert_eq!(object(twice.as_bytes()), None, "{twice}");
        }
    });
}

#[test]
fn any_depth_is_read_by_both_or_by_none() {
    check!().with_test_time(BRIEFLY).with_generator((0..300_usize, produce::<u64>())).for_each(|(depth, mask)| {
        let is_array = |level: &usize| mask >> (level % 64) & 1 == 1;
        let open: String = (0..*depth).map(|level| if is_array(&level) { "[" } else { r#"{"a":"# }).collect();
        let close: String = (0..*depth).rev().map(|level| if is_array(&level) { "]" } else { "}" }).collect();
        check_object(format!("{{\"a\":{open}1{close}}}").as_bytes());
    });
}
