//! Owns the little of DER that keys and signatures are written in for a proxy to check (ITU-T X.690). Must not read any.

/// A sequence of what is written already.
pub(crate) fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

/// A number that is not negative, from its bytes, the highest first.
pub(crate) fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    // One with its highest bit set would be negative, and none has no digits at all.
    let pad = digits.first().is_none_or(|first| *first >= 0x80);
    if pad { tagged(0x02, &[&[0], digits].concat()) } else { tagged(0x02, digits) }
}

/// Whole bytes as a string of bits.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], bytes].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = length.iter().position(|byte| *byte != 0).and_then(|first| length.get(first..)).unwrap_or(&[0]);
    let mut bytes = vec![tag];
    match length {
        [short @ ..=0x7f] => bytes.push(*short),
        long => {
            // There are at most eight of them.
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_signs_are_written_as_short_as_they_can_be() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(sequence(&[7; 127])[..3], [0x30, 127, 7]);
        assert_eq!(sequence(&[7; 128])[..4], [0x30, 0x81, 128, 7]);
        assert_eq!(sequence(&[7; 256])[..5], [0x30, 0x82, 1, 0, 7]);
        assert_eq!(bit_string(&[9]), [3, 2, 0, 9]);
    }
}
