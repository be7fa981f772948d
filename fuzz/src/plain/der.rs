//! Owns a reading of DER, of which the product only writes: each value in the one form it may have (ITU-T X.690, section 10).

const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The content of the value of this kind that the bytes start with, and what follows it.
pub(crate) fn take(bytes: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(bytes[0], tag, "{}", bytes.escape_ascii());
    let (length, rest) = match usize::from(bytes[1]) {
        short @ ..0x80 => (short, &bytes[2..]),
        long => {
            let (digits, rest) = bytes[2..].split_at(long - 0x80);
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            assert!(digits[0] != 0 && length >= 0x80, "a length with more digits than it needs");
            (length, rest)
        }
    };
    rest.split_at(length)
}

/// The content of the only value there is.
pub(crate) fn only(bytes: &[u8], tag: u8) -> &[u8] {
    let (content, rest) = take(bytes, tag);
    assert!(rest.is_empty(), "more than one value");
    content
}

/// The numbers in these bytes, without zeros at their start.
pub(crate) fn numbers(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let (content, rest) = take(bytes, INTEGER);
        assert!(content[0] < 0x80, "less than 0");
        assert!(content.len() == 1 || content[0] != 0 || content[1] >= 0x80, "a number with more digits than it needs");
        numbers.push(without_zeros(content).to_vec());
        bytes = rest;
    }
    numbers
}

/// A number's digits without zeros at their start.
pub(crate) fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}
