//! MD5 (RFC 1321), because lists of known files name them by it. It protects nothing.

use std::fmt::Write as _;

/// How far each step rotates, by round.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The sum of a text in hexadecimal capitals.
pub(super) fn hex(text: &[u8]) -> String {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let (blocks, rest) = text.as_chunks::<64>();
    for block in blocks {
        add(&mut state, block);
    }
    let bits = u64::try_from(text.len()).unwrap_or(u64::MAX).wrapping_mul(8);
    let mut tail = rest.to_vec();
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    tail.extend_from_slice(&bits.to_le_bytes());
    for block in tail.as_chunks::<64>().0 {
        add(&mut state, block);
    }
    let mut out = String::with_capacity(32);
    for byte in state.iter().flat_map(|word| word.to_le_bytes()) {
        let _ = write!(out, "{byte:02X}");
    }
    out
}

fn add(state: &mut [u32; 4], block: &[u8; 64]) {
    let words = block.as_chunks::<4>().0;
    let [mut a, mut b, mut c, mut d] = *state;
    for (round, turns) in TURNS.iter().enumerate() {
        for step in 0..16 {
            let (mixed, word) = match round {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let word = words.get(word).map_or(0, |word| u32::from_le_bytes(*word));
            let turn = turns.get(step % 4).copied().unwrap_or_default();
            let sum = a.wrapping_add(mixed).wrapping_add(constant(16 * round + step));
            a = d;
            d = c;
            c = b;
            b = b.wrapping_add(sum.wrapping_add(word).rotate_left(turn));
        }
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

/// The first 32 bits behind the point of |sin(n + 1)|.
fn constant(step: usize) -> u32 {
    static ALL: std::sync::LazyLock<[u32; 64]> = std::sync::LazyLock::new(|| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "that is how RFC 1321 defines them"
        )]
        std::array::from_fn(|step| (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32)
    });
    ALL.get(step).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn sums() {
        for (text, expected) in [
            ("", "D41D8CD98F00B204E9800998ECF8427E"),
            ("abc", "900150983CD24FB0D6963F7D28E17F72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57EDF4A22BE3C955AC49DA2E2107B67A",
            ),
            (&"a".repeat(56), "3B0C8AC703F828B04C6C197006D17218"),
        ] {
            assert_eq!(super::hex(text.as_bytes()), expected, "{text}");
        }
    }
}
