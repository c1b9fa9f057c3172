//! How far a string goes without anything that JSON writes as an escape.

/// Bytes looked at together.
const WORD: usize = size_of::<u64>();
/// The lowest bit of each byte of a word, and the highest.
const LOW: u64 = u64::from_le_bytes([0x01; WORD]);
const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; WORD]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; WORD]);
const SPACES: u64 = u64::from_le_bytes([b' '; WORD]);

/// Bytes before the first quote, backslash or control character, or all of them. In UTF-8 this ends between characters.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    // Never more than there are bytes, so nothing wraps.
    let mut before: usize = 0;
    let (words, rest) = bytes.as_chunks::<WORD>();
    for word in words {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            let plain_bytes = found.trailing_zeros() >> u8::BITS.trailing_zeros();
            return before.wrapping_add(plain_bytes as usize);
        }
        before = before.wrapping_add(WORD);
    }
    let plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..b' ');
    before.saturating_add(rest.iter().take_while(plain).count())
}

/// The highest bit of the first byte that is not plain, and perhaps of later ones; 0 when all are plain.
///
/// A byte of `word ^ pattern` is zero where the pattern's byte stands, and subtracting 1 from zero borrows into the
/// highest bit; so does subtracting a space from a control character. A borrow can spill into the byte above, never into
/// one below, so the first bit that is set is right. Bytes of characters beyond ASCII have their highest bit set and are
/// left out.
fn special(word: u64) -> u64 {
    let quote = (word ^ QUOTES).wrapping_sub(LOW);
    let backslash = (word ^ BACKSLASHES).wrapping_sub(LOW);
    let control = word.wrapping_sub(SPACES);
    (quote | backslash | control) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::plain_length;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn ends_where_a_plain_look_ends(bytes in vec(prop_oneof![4 => 0x20_u8..0x7F, 1 => any::<u8>(), 1 => 0x1E_u8..0x24, 1 => 0x5A_u8..0x5E], 0..40)) {
            let plain = bytes.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < b' ');
            prop_assert_eq!(plain_length(&bytes), plain.unwrap_or(bytes.len()));
        }
    }
}
