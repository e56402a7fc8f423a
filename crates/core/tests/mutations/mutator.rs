//! Inputs near good ones, the same in every run.

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What parsers stumble over.
const PIECES: [&[u8]; 30] = [
    b"-1",
    b"0",
    b"1e308",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"\"\"",
    b"[]",
    b"{}",
    b"[[[[[[[[",
    b"18446744073709551615",
    b"9223372036854775808",
    b"340282366920938463463374607431768211456",
    b"0.1",
    b"\xFF\xFE",
    b"\0",
    b"\\ud800",
    b"../",
    b"\r\n\r\n",
    b"{% for i in range(999999999) %}",
    b"{% endfor %}",
    b"{{ ''.__class__ }}",
    b"{{ messages * 1000000000 }}",
    b"{{ ' ' * 1000000000 }}",
    b"{% include '/etc/passwd' %}",
    b"{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    b"\xF0\x9F\x8D\xB5",
    b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F",
    b"data:",
];

/// One to four changes of a seed; `others` are spliced in.
pub fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(32)).min(bytes.len());
        match random.below(9) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = random.next() as u8,
            3 => {
                bytes.drain(at..end);
            }
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            6 => replace_number(&mut bytes, at, PIECES[random.below(PIECES.len())]),
            7 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                // The length of a safetensors header.
                let piece = (random.next() >> random.below(64)).to_le_bytes();
                let end = bytes.len().min(8);
                bytes.splice(..end, piece);
            }
        }
    }
    bytes
}

/// Replaces the next number behind `at`.
fn replace_number(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let digits = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    bytes.splice(start..start + digits, piece.iter().copied());
}
