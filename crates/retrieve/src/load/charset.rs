//! Bytes to text: UTF-8 verbatim, else by mark, declaration or guess, and an honest no for what is no text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Control characters (other than white space) that a text may have, as a share of its characters.
const MAX_CONTROL_SHARE: f64 = 0.02;
/// Characters that a wrong guess of the encoding brings, as a share of all that are not ASCII.
const MAX_IMPLAUSIBLE_SHARE: f64 = 0.05;
/// Sequences that must be right for a damaged UTF-8 text to count as one, as a share of all that are not ASCII.
const MIN_UTF8_SHARE: f64 = 0.8;

/// First bytes of formats that people try to read as text, with the name to tell them.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\xD0\xCF\x11\xE0", "an old Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"\x7FELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"{\\rtf", "an RTF document"),
];

/// The text of a file's bytes.
///
/// UTF-8 comes out byte for byte, apart from a byte order mark. Other bytes are decoded by their byte order mark, by
/// the encoding that the file itself declares (`declared`), or by a guess that must be plausible.
///
/// ```
/// use ragtune_retrieve::load::decode;
/// assert_eq!(decode("茶".as_bytes(), None), Ok("茶".to_owned()));
/// assert_eq!(decode(b"Gr\xFC\xDFe aus K\xF6ln", None), Ok("Grüße aus Köln".to_owned()));
/// assert!(decode(&[0; 64], None).is_err());
/// ```
///
/// # Errors
/// Why the bytes are no text, as a sentence's end: "holds a PDF file, not text: ...".
pub fn decode(bytes: &[u8], declared: Option<&str>) -> Result<String, String> {
    if let Some((_, name)) = SIGNATURES.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(format!(
            "holds {name}, not text: convert it, or add a loader for its format"
        ));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return match encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]) {
            Some(text) => checked(text.into_owned()),
            None if encoding == UTF_8 => lossy(&bytes[mark..]),
            None => Err(format!(
                "is not valid {}, which its byte order mark says",
                encoding.name()
            )),
        };
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return checked(text.to_owned());
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(text) => checked(text.into_owned()),
            None => Err("is binary: it holds zero bytes".to_owned()),
        };
    }
    if bytes.contains(&0) {
        return Err("is binary: it holds zero bytes".to_owned());
    }
    if utf8_share(bytes) >= MIN_UTF8_SHARE {
        return lossy(bytes);
    }
    let declared = declared
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .filter(|encoding| *encoding != UTF_8);
    if let Some(text) =
        declared.and_then(|encoding| encoding.decode_without_bom_handling_and_without_replacement(bytes))
    {
        return checked(text.into_owned());
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    match guess.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) if is_plausible(&text) => checked(text.into_owned()),
        _ => Err(
            "is neither UTF-8 nor text in an encoding that could be recognised: save it as UTF-8".to_owned(),
        ),
    }
}

/// As [`decode`] without a declaration, for bytes that nobody needs any more: UTF-8 is not copied.
#[cfg(feature = "office")]
pub(super) fn decode_owned(bytes: Vec<u8>) -> Result<String, String> {
    let is_named = SIGNATURES.iter().any(|(start, _)| bytes.starts_with(start));
    if is_named || Encoding::for_bom(&bytes).is_some() {
        return decode(&bytes, None);
    }
    match String::from_utf8(bytes) {
        Ok(text) => checked(text),
        Err(error) => decode(error.as_bytes(), None),
    }
}

/// The text, unless its control characters say that it is binary.
fn checked(text: String) -> Result<String, String> {
    let (mut all, mut control) = (0u64, 0u64);
    for c in text.chars() {
        all += 1;
        if c == '\0' {
            return Err("is binary: it holds zero bytes".to_owned());
        }
        control += u64::from(c.is_control() && !c.is_whitespace() && c != '\u{1B}' && c != '\u{8}');
    }
    if control as f64 > all as f64 * MAX_CONTROL_SHARE {
        return Err("is binary: it is full of control characters".to_owned());
    }
    Ok(text)
}

/// Damaged UTF-8 with the damage as replacement characters.
fn lossy(bytes: &[u8]) -> Result<String, String> {
    checked(String::from_utf8_lossy(bytes).into_owned())
}

/// Share of what is not ASCII that is right UTF-8.
fn utf8_share(bytes: &[u8]) -> f64 {
    let (mut right, mut wrong) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    right as f64 / (right + wrong).max(1) as f64
}

/// UTF-16 of mostly Latin letters has its zero bytes at every second place.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let half = bytes.len() / 2;
    if half < 2 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|b| **b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let most = |zeros: usize| zeros * 10 >= half * 4;
    let few = |zeros: usize| zeros * 100 <= half;
    match (even, odd) {
        (even, odd) if most(odd) && few(even) => Some(UTF_16LE),
        (even, odd) if most(even) && few(odd) => Some(UTF_16BE),
        _ => None,
    }
}

/// Whether what is not ASCII looks like writing: a wrong guess gives controls, private characters and symbols.
fn is_plausible(text: &str) -> bool {
    let (mut all, mut odd) = (0u64, 0u64);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        all += 1;
        odd +=
            u64::from(matches!(c, '\u{80}'..='\u{9F}' | '\u{E000}'..='\u{F8FF}' | '\u{FFF0}'..='\u{FFFF}'));
    }
    odd as f64 <= all as f64 * MAX_IMPLAUSIBLE_SHARE
}

#[cfg(test)]
mod tests {
    use encoding_rs::{EUC_KR, GB18030, KOI8_R, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_are_recognised() {
        let russian = "Чай - напиток, получаемый варкой, завариванием или настаиванием листа чайного куста.";
        let japanese = "緑茶は世界中で飲まれている。摘み取った茶葉を加熱処理して発酵を妨げたもの。";
        let chinese = "绿茶是未经发酵制成的茶，保留了鲜叶的天然物质，含有的茶多酚、儿茶素等营养成分也较多。";
        let korean = "녹차는 차나무의 잎을 발효시키지 않고 만든 차이다. 전 세계에서 마신다.";
        let french = "Le thé vert est un thé dont les feuilles ont été flétries à la vapeur, très apprécié.";
        for (encoding, text) in [
            (WINDOWS_1251, russian),
            (KOI8_R, russian),
            (SHIFT_JIS, japanese),
            (GB18030, chinese),
            (EUC_KR, korean),
            (WINDOWS_1252, french),
        ] {
            let (bytes, _, failed) = encoding.encode(text);
            assert!(!failed);
            assert_eq!(decode(&bytes, None).as_deref(), Ok(text), "{}", encoding.name());
            assert_eq!(decode(&bytes, Some(encoding.name())).as_deref(), Ok(text));
        }
    }

    #[test]
    fn utf16_is_read_with_and_without_its_mark() {
        let text = "Green tea, 緑茶 and Grüße";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            little.clone(),
            big.clone(),
            [vec![0xFF, 0xFE], little].concat(),
            [vec![0xFE, 0xFF], big].concat(),
        ] {
            assert_eq!(decode(&bytes, None).as_deref(), Ok(text));
        }
    }

    #[test]
    fn damaged_utf8_keeps_its_text() {
        let mut bytes = "Grüße aus Köln, schöne Häuser, süße Öfen".as_bytes().to_vec();
        bytes.push(0xC3);
        assert_eq!(
            decode(&bytes, None).unwrap(),
            "Grüße aus Köln, schöne Häuser, süße Öfen\u{FFFD}"
        );
        assert_eq!(decode(b"\xEF\xBB\xBFtea", None).as_deref(), Ok("tea"));
    }

    #[test]
    fn binary_is_refused_with_its_reason() {
        let noise: Vec<u8> = (0..4096u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 1)
            .collect();
        for (bytes, says) in [
            (b"%PDF-1.7 ...".to_vec(), "PDF"),
            (b"PK\x03\x04...".to_vec(), "office"),
            (b"tea\0tea tea".to_vec(), "zero bytes"),
            (vec![1; 100], "control"),
            (noise, "is "),
        ] {
            let reason = decode(&bytes, None).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }

    proptest! {
        #[test]
        fn utf8_is_verbatim(text in "[^\u{0}-\u{8}\u{B}-\u{1F}\u{7F}-\u{9F}\u{FEFF}]{0,80}") {
            prop_assume!(!SIGNATURES.iter().any(|(start, _)| text.as_bytes().starts_with(start)));
            prop_assert_eq!(decode(text.as_bytes(), None), Ok(text));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), declared in "[a-z0-9-]{0,12}") {
            let _ = decode(&bytes, Some(&declared));
        }
    }
}
