//! What the first bytes of a file say it is, for those who sent another thing than the suffix promises.

use super::{FileFault, Format};

/// How a zip archive begins.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";
/// How a compound file begins: an xls workbook, or an encrypted xlsx one.
pub(super) const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

const SIGNATURES: [(&[u8], &str); 8] = [
    (ZIP, "a zip archive (an xlsx workbook?)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (COMPOUND, "a compound file (an xls workbook?)"),
    (b"%PDF-", "a PDF document"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"PAR1", "a Parquet file"),
    (b"{\\rtf", "an RTF document"),
];

const MARKUP: [(&str, &str); 3] =
    [("<!doctype html", "an HTML page"), ("<html", "an HTML page"), ("<?xml", "an XML document")];

/// What a file is that begins with these bytes, where that is something known other than text in cells.
pub(super) fn recognise(start: &[u8]) -> Option<&'static str> {
    SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature)).map(|(_, name)| *name)
}

/// What a text is that begins so, where that is something known other than cells.
pub(super) fn recognise_text(start: &[u8]) -> Option<&'static str> {
    let start = start.trim_ascii_start();
    let begins = |tag: &str| start.get(..tag.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(tag.as_bytes()));
    MARKUP.iter().find(|(tag, _)| begins(tag)).map(|(_, name)| *name)
}

/// The fault of content that is something else.
pub(super) fn not_what_it_says(format: Format, found: &str) -> FileFault {
    FileFault::NotWhatItSays { suffix: format.suffix().to_owned(), found: found.to_owned() }
}
