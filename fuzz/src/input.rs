//! Owns how generated numbers become inputs that get past the first check: text of known words, edited bytes, edges of
//! ranges. Must not know what is tested.

use bolero::{TypeGenerator, ValueGenerator, produce, produce_with};
use serde_json::Value;

/// Numbers that [`text`] turns into words and bytes.
pub(crate) type Numbers = Vec<u16>;

/// Up to `most` - 1 numbers.
pub(crate) fn numbers(most: usize) -> impl ValueGenerator<Output = Numbers> {
    several(produce(), most)
}

/// Up to `most` - 1 of something.
pub(crate) fn several<G: ValueGenerator<Output: TypeGenerator>>(values: G, most: usize) -> impl ValueGenerator<Output = Vec<G::Output>> {
    produce_with::<Vec<G::Output>>().values(values).len(0..most)
}

/// Mostly words, now and then any byte.
pub(crate) fn text(numbers: &[u16], words: &[Vec<u8>]) -> Vec<u8> {
    let piece = |number: &u16| match number % 8 {
        0 => vec![number.to_be_bytes()[0]],
        _ => words[usize::from(number / 8) % words.len()].clone(),
    };
    numbers.iter().flat_map(piece).collect()
}

/// Words as [`text`] takes them, from between bars.
pub(crate) fn words(words: &str) -> Vec<Vec<u8>> {
    words.split('|').map(|word| word.as_bytes().to_vec()).collect()
}

/// A change to bytes: at a place, some go and others come.
#[derive(Clone, Debug, TypeGenerator)]
pub(crate) struct Splice {
    place: u16,
    #[generator(0..6_u8)]
    gone: u8,
    come: [u8; 4],
    #[generator(0..=4_usize)]
    length: usize,
}

impl Splice {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let start = usize::from(self.place) % (bytes.len() + 1);
        let end = (start + usize::from(self.gone)).min(bytes.len());
        bytes.splice(start..end, self.come[..self.length].iter().copied());
    }
}

/// How many values a document has, itself included.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::Array(elements) => 1 + elements.iter().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// The `n`-th value of a document, counted from the outside in; `n` becomes what is left to count.
pub(crate) fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Object(members) => members.values_mut().find_map(|value| nth(value, n)),
        Value::Array(elements) => elements.iter_mut().find_map(|value| nth(value, n)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A number that is often near an end of its range, or near another one that matters.
#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(crate) enum Edge {
    Low(u8),
    High(u8),
    Near(i8),
    /// So many times a unit away.
    Around(i8),
    Any(u64),
}

impl Edge {
    pub(crate) fn number(self, near: u64, unit: u64) -> u64 {
        match self {
            Self::Low(low) => u64::from(low),
            Self::High(below) => u64::MAX - u64::from(below),
            Self::Near(away) => near.saturating_add_signed(i64::from(away)),
            Self::Around(away) if away < 0 => near.saturating_sub(unit.saturating_mul(u64::from(away.unsigned_abs()))),
            Self::Around(away) => near.saturating_add(unit.saturating_mul(u64::from(away.unsigned_abs()))),
            Self::Any(any) => any,
        }
    }
}
