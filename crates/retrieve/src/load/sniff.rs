//! What a file is by its first bytes, whatever its name says.

/// A format that is recognised by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pdf,
    Docx,
    Pptx,
    Xlsx,
    Epub,
    /// A ZIP archive of something else.
    Zip,
    /// A compound file: an old spreadsheet.
    Xls,
    /// A compound file: a new office document behind a password.
    EncryptedOffice,
    /// A compound file of another kind: old Word or PowerPoint, an Outlook message.
    OldOffice,
    Rtf,
    /// Anything else: text, or a format that nobody here reads.
    Other,
}

impl Kind {
    /// The format with its article, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pdf => "a PDF file",
            Self::Docx => "a Word document",
            Self::Pptx => "a PowerPoint presentation",
            Self::Xlsx => "an Excel workbook",
            Self::Epub => "an EPUB book",
            Self::Zip => "a ZIP archive",
            Self::Xls => "an old Excel workbook",
            Self::EncryptedOffice => "an encrypted office document",
            Self::OldOffice => "an old Office document or Outlook message",
            Self::Rtf => "an RTF document",
            Self::Other => "something else",
        }
    }
}

/// The format of these bytes.
pub(super) fn sniff(bytes: &[u8]) -> Kind {
    let has = |name: &[u8]| contains(bytes, name);
    // Readers of PDF accept some bytes before the header.
    if contains(&bytes[..bytes.len().min(1024)], b"%PDF-") && !bytes.starts_with(b"PK") {
        return Kind::Pdf;
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        // Names of entries stand uncompressed in the archive's directory at the end.
        let directory = &bytes[bytes.len().saturating_sub(4 << 20)..];
        let lists = |name: &[u8]| contains(directory, name);
        return match () {
            () if contains(&bytes[..bytes.len().min(256)], b"application/epub+zip") => Kind::Epub,
            () if lists(b"word/document") => Kind::Docx,
            () if lists(b"ppt/presentation") => Kind::Pptx,
            () if lists(b"xl/workbook") => Kind::Xlsx,
            () if lists(b"META-INF/container.xml") => Kind::Epub,
            () => Kind::Zip,
        };
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
        return match () {
            () if has(&utf16("EncryptedPackage")) => Kind::EncryptedOffice,
            () if has(&utf16("WordDocument")) || has(&utf16("__properties_version1.0")) => Kind::OldOffice,
            () if has(&utf16("PowerPoint Document")) => Kind::OldOffice,
            () if has(&utf16("Workbook")) || has(&utf16("Book")) => Kind::Xls,
            () => Kind::OldOffice,
        };
    }
    match bytes.starts_with(b"{\\rtf") {
        true => Kind::Rtf,
        false => Kind::Other,
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Whether the bytes hold these in order.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return true;
    };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        let after = from + at + 1;
        if bytes[after..].starts_with(rest) {
            return true;
        }
        from = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_format() {
        let compound = |name: &str| [b"\xD0\xCF\x11\xE0....".to_vec(), utf16(name)].concat();
        for (bytes, kind) in [
            (b"%PDF-1.4".to_vec(), Kind::Pdf),
            (b"\r\n  %PDF-1.7\n".to_vec(), Kind::Pdf),
            (b"PK\x03\x04...word/document.xml".to_vec(), Kind::Docx),
            (b"PK\x03\x04...ppt/presentation.xml".to_vec(), Kind::Pptx),
            (b"PK\x03\x04...xl/workbook.xml".to_vec(), Kind::Xlsx),
            (b"PK\x03\x04..mimetypeapplication/epub+zip".to_vec(), Kind::Epub),
            (b"PK\x03\x04...a.txt".to_vec(), Kind::Zip),
            (compound("Workbook"), Kind::Xls),
            (compound("EncryptedPackage"), Kind::EncryptedOffice),
            (compound("WordDocument"), Kind::OldOffice),
            (b"{\\rtf1".to_vec(), Kind::Rtf),
            (b"plain".to_vec(), Kind::Other),
            (Vec::new(), Kind::Other),
        ] {
            assert_eq!(sniff(&bytes), kind, "{:?}", String::from_utf8_lossy(&bytes));
        }
        assert!(contains(b"aab", b"ab") && !contains(b"aa", b"ab") && contains(b"", b""));
    }
}
