//! How much the streams of a PDF file unfold to, found out before its reader unfolds them: some of its filters have no
//! limit of their own.

use pdf_oxide::decoders::decode_stream;
use pdf_oxide::object::Object;

use super::limits::Budget;
use crate::error::Result;

/// Bytes that one stream, or all that one page draws, may unfold to; the reader has the same limit for its commonest filter.
const MAX_BYTES: u64 = 256 << 20;

/// What a stream unfolds to.
pub(super) enum Unfolded {
    Data(Vec<u8>),
    /// Why it cannot be unfolded.
    Damaged(String),
}

/// Unfolds a stream by the reader's own filters.
///
/// # Errors
/// It would become too large.
pub(super) fn unfold(stream: &Object, budget: &Budget) -> Result<Unfolded> {
    check_size(stream, budget)?;
    match stream.decode_stream_data() {
        Ok(data) => {
            check_bytes(data.len() as u64, budget)?;
            Ok(Unfolded::Data(data))
        }
        Err(error) => Ok(Unfolded::Damaged(error.to_string())),
    }
}

/// Checks that so many bytes may be held at once.
///
/// # Errors
/// They are too many.
pub(super) fn check_bytes(bytes: u64, budget: &Budget) -> Result<()> {
    budget.held(bytes)?;
    match bytes > MAX_BYTES {
        true => Err(budget.unreadable(format!(
            "a part of it unfolds to more than {} MiB, as a decompression bomb does: save it anew, or leave it out",
            MAX_BYTES >> 20
        ))),
        false => Ok(()),
    }
}

/// Checks what the filters without a limit make of a stream, without holding it.
///
/// # Errors
/// It would become too large.
pub(super) fn check_size(stream: &Object, budget: &Budget) -> Result<()> {
    let Object::Stream { dict, data } = stream else {
        return Ok(());
    };
    let filters: Vec<&str> = match dict.get("Filter") {
        Some(Object::Name(name)) => vec![name],
        Some(Object::Array(names)) => names.iter().filter_map(Object::as_name).collect(),
        _ => return Ok(()),
    };
    let Some(last) = filters.iter().rposition(|name| counter(name).is_some()) else {
        return Ok(());
    };
    let mut unfolded;
    let mut data: &[u8] = data;
    for (at, name) in filters[..=last].iter().enumerate() {
        budget.look()?;
        if let Some(count) = counter(name) {
            check_bytes(count(data), budget)?;
        }
        if at < last {
            // What fails here fails for the reader too.
            match decode_stream(data, &[(*name).to_owned()]) {
                Ok(next) => unfolded = next,
                Err(_) => return Ok(()),
            }
            data = &unfolded;
        }
    }
    Ok(())
}

/// What counts the bytes that a filter gives, for those that have no limit in the reader.
fn counter(filter: &str) -> Option<fn(&[u8]) -> u64> {
    match filter.to_ascii_lowercase().as_str() {
        "runlengthdecode" | "rl" => Some(run_length_bytes),
        "lzwdecode" | "lzw" => Some(lzw_bytes),
        "ascii85decode" | "a85" => Some(ascii85_bytes),
        _ => None,
    }
}

fn run_length_bytes(data: &[u8]) -> u64 {
    let (mut at, mut bytes) = (0, 0u64);
    while let Some(&length) = data.get(at) {
        let (step, run) = match length {
            128 => break,
            0..128 => (usize::from(length) + 2, u64::from(length) + 1),
            129.. => (2, 257 - u64::from(length)),
        };
        at += step;
        bytes += run;
    }
    bytes
}

fn ascii85_bytes(data: &[u8]) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == b'z').count() as u64;
    zeros * 4 + (data.len() as u64 - zeros) * 4 / 5 + 4
}

/// Readers differ in when codes grow by a bit; the larger count holds for both.
fn lzw_bytes(data: &[u8]) -> u64 {
    lzw_bytes_of(data, 0).max(lzw_bytes_of(data, 1))
}

/// Lengths alone of the strings of LZW: PDF 32000-1:2008, section 7.4.4.
fn lzw_bytes_of(data: &[u8], early: usize) -> u64 {
    const CLEAR: usize = 256;
    const END: usize = 257;
    const CODES: usize = 1 << 12;
    let start = || {
        let mut lengths = Vec::with_capacity(CODES);
        lengths.resize(END + 1, 1u64);
        lengths
    };
    let mut lengths = start();
    let (mut bytes, mut last) = (0, 0);
    let (mut held, mut bits, mut width) = (0usize, 0, 9);
    for byte in data {
        held = (held << 8 | usize::from(*byte)) & 0xFF_FFFF;
        bits += 8;
        if bits < width {
            continue;
        }
        bits -= width;
        let code = held >> bits & ((1 << width) - 1);
        match code {
            CLEAR => {
                lengths = start();
                (width, last) = (9, 0);
                continue;
            }
            END => break,
            _ => {}
        }
        // The code that is about to be made is its own string: the last one and its first byte.
        let length = lengths.get(code).copied().unwrap_or(last + 1);
        if last > 0 && lengths.len() < CODES {
            lengths.push(last + 1);
        }
        bytes += length;
        last = length;
        if lengths.len() + early >= 1 << width && width < 12 {
            width += 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::super::limits::LoadLimits;
    use super::*;
    use crate::error::Error;

    fn stream(filters: &[&str], data: &[u8]) -> Object {
        let names = filters.iter().map(|name| Object::Name((*name).to_owned()));
        Object::Stream {
            dict: HashMap::from([("Filter".to_owned(), Object::Array(names.collect()))]),
            data: data.to_vec().into(),
        }
    }

    #[test]
    fn what_filters_give_is_counted_as_they_give_it() {
        let runs: Vec<u8> = (0..2000u32)
            .flat_map(|i| [(129 + i % 100) as u8, i as u8])
            .collect();
        // Codes of 9 bits: clear, then one byte and the strings that grow from it, 100 of them, then the end.
        let mut lzw = Vec::new();
        let (mut held, mut bits) = (0u32, 0);
        for code in [256, 65].into_iter().chain(258..358).chain([257]) {
            held = held << 9 | code;
            bits += 9;
            while bits >= 8 {
                bits -= 8;
                lzw.push((held >> bits) as u8);
                held &= (1 << bits) - 1;
            }
        }
        lzw.push((held << (8 - bits)) as u8);
        for (name, data) in [
            ("RunLengthDecode", runs),
            ("LZWDecode", lzw),
            ("A85", b"zzz87cURD]j~>".to_vec()),
        ] {
            let found = decode_stream(&data, &[name.to_owned()]).unwrap().len() as u64;
            let counted = counter(name).unwrap()(&data);
            assert!(
                counted >= found && counted <= found + 8,
                "{name}: {counted} for {found}"
            );
        }
    }

    #[test]
    fn bombs_are_refused_before_they_unfold() {
        let budget = |bytes| {
            let limits = LoadLimits::default().with_unpacked_bytes(bytes);
            Budget::new(Path::new("a.pdf"), 0, &limits).unwrap()
        };
        let runs = [0x81, b' '].repeat(100_000);
        let bomb = stream(&["RL"], &runs);
        assert!(matches!(
            unfold(&bomb, &budget(1 << 20)),
            Err(Error::LoadLimit { .. })
        ));
        assert!(
            matches!(unfold(&bomb, &budget(1 << 30)), Ok(Unfolded::Data(data)) if data.len() == 12_800_000)
        );
        let digits: String = runs.iter().map(|byte| format!("{byte:02x}")).collect();
        let hidden = stream(&["ASCIIHexDecode", "RunLengthDecode"], digits.as_bytes());
        assert!(matches!(
            unfold(&hidden, &budget(1 << 20)),
            Err(Error::LoadLimit { .. })
        ));
        let large = stream(&["RL"], &[0x81, b' '].repeat(3 << 20));
        assert!(
            matches!(check_size(&large, &budget(1 << 40)), Err(Error::Unreadable { reason, .. }) if reason.contains("256 MiB"))
        );
    }
}
