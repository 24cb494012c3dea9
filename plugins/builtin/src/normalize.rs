//! From an identifier's cell to the value that is compared.
//!
//! Steps in the order of the settings, each from one buffer into another; both are used again from one cell to the next.

use crate::pattern::{Replacement, text};

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Trim,
    Casefold,
    Domain,
    EmailDomain,
    Sfdc18,
    StripLeadingZeros,
    Regex(Box<Replacement>),
}

/// Buffers that the steps work in.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    value: Vec<u8>,
    next: Vec<u8>,
}

impl Buffers {
    /// The value that a cell is compared by. Empty where nothing is left.
    pub(crate) fn normalize(&mut self, cell: &[u8], steps: &mut [Step]) -> &[u8] {
        self.value.clear();
        self.value.extend_from_slice(cell);
        for step in steps {
            self.next.clear();
            step.write(&self.value, &mut self.next);
            std::mem::swap(&mut self.value, &mut self.next);
        }
        &self.value
    }
}

impl Step {
    fn write(&mut self, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Trim => out.extend_from_slice(text(value).trim().as_bytes()),
            Self::Casefold => lower(value, out),
            Self::Domain => lower(domain(value), out),
            Self::EmailDomain => {
                if let Some(at) = value.iter().rposition(|byte| *byte == b'@') {
                    // An address may stand in angle brackets after a name.
                    let domain = value[at + 1..].trim_ascii();
                    let domain = domain.strip_suffix(b">").unwrap_or(domain);
                    lower(domain.strip_suffix(b".").unwrap_or(domain), out);
                }
            }
            Self::Sfdc18 => sfdc18(value, out),
            Self::StripLeadingZeros => {
                let zeros = value.iter().take_while(|byte| **byte == b'0').count();
                out.extend_from_slice(&value[zeros.min(value.len().saturating_sub(1))..]);
            }
            Self::Regex(replacement) => replacement.write(text(value), out),
        }
    }
}

/// Appends a text in small letters.
pub(crate) fn lower(value: &[u8], out: &mut Vec<u8>) {
    if value.is_ascii() {
        out.extend(value.iter().map(u8::to_ascii_lowercase));
        return;
    }
    let mut encoded = [0; 4];
    for small in text(value).chars().flat_map(char::to_lowercase) {
        out.extend_from_slice(small.encode_utf8(&mut encoded).as_bytes());
    }
}

/// The part of a web address that names its host, without `www.`.
fn domain(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    let value = match value.windows(3).position(|window| window == b"://") {
        Some(scheme) => &value[scheme + 3..],
        None => value.strip_prefix(b"//").unwrap_or(value),
    };
    let end = value.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(value.len());
    let host = &value[..end];
    let host = host.iter().rposition(|byte| *byte == b'@').map_or(host, |at| &host[at + 1..]);
    let host = host.iter().position(|byte| *byte == b':').map_or(host, |port| &host[..port]);
    let host = match host.get(..4) {
        Some(head) if head.eq_ignore_ascii_case(b"www.") => &host[4..],
        _ => host,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// What the suffix of an 18-character id is written in: five bits each.
const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// Each character of the suffix says of five characters which are capital letters, the first in its lowest bit.
fn sfdc18(value: &[u8], out: &mut Vec<u8>) {
    let id = value.trim_ascii();
    let is_id = matches!(id.len(), 15 | 18) && id.iter().all(u8::is_ascii_alphanumeric);
    let Some((letters, suffix)) = is_id.then(|| id.split_at(15)) else {
        return out.extend_from_slice(value);
    };
    if suffix.is_empty() {
        out.extend_from_slice(letters);
        for five in letters.chunks(5) {
            let capitals =
                five.iter().rev().fold(0, |bits, letter| bits << 1 | usize::from(letter.is_ascii_uppercase()));
            out.push(SUFFIX[capitals]);
        }
        return;
    }
    let begun = out.len();
    for (five, digit) in letters.chunks(5).zip(suffix) {
        let bits = SUFFIX.iter().position(|known| known.eq_ignore_ascii_case(digit)).unwrap_or(usize::MAX);
        for (place, letter) in five.iter().enumerate() {
            match bits >> place & 1 {
                0 => out.push(letter.to_ascii_lowercase()),
                _ if bits != usize::MAX && letter.is_ascii_alphabetic() => out.push(letter.to_ascii_uppercase()),
                // The suffix is not of this id: it is none of theirs.
                _ => {
                    out.truncate(begun);
                    return out.extend_from_slice(value);
                }
            }
        }
    }
    out.extend(suffix.iter().map(u8::to_ascii_uppercase));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    fn check(mut steps: Vec<Step>, cases: &[(&str, &str)]) {
        let mut buffers = Buffers::default();
        for (cell, expected) in cases {
            let found = buffers.normalize(cell.as_bytes(), &mut steps);
            assert_eq!(String::from_utf8_lossy(found), *expected, "`{cell}`");
        }
    }

    #[test]
    fn domains_lose_everything_round_them() {
        check(
            vec![Step::Domain],
            &[
                ("https://www.Acme.com:443/about?q=1#x", "acme.com"),
                ("acme.com", "acme.com"),
                (" WWW.ACME.COM. ", "acme.com"),
                ("http://user:secret@shop.acme.co.uk/", "shop.acme.co.uk"),
                ("//acme.com/x", "acme.com"),
                ("https://www.Bücher.example", "bücher.example"),
                ("acme.com/a@b", "acme.com"),
                ("www.", ""),
                ("", ""),
            ],
        );
        check(
            vec![Step::EmailDomain],
            &[("Ada <ada@Acme.com>", "acme.com"), ("\"a@b\"@acme.com", "acme.com"), ("acme.com", ""), ("ada@", "")],
        );
    }

    /// The two forms of one id, as Salesforce's own documentation defines the suffix.
    #[test]
    fn salesforce_ids_become_the_form_that_survives_any_change_of_capitals() {
        check(
            vec![Step::Sfdc18],
            &[
                ("001A0000006Vm9u", "001A0000006Vm9uIAC"),
                ("001A0000006Vm9uIAC", "001A0000006Vm9uIAC"),
                ("001a0000006vm9uiac", "001A0000006Vm9uIAC"),
                ("001A0000006VM9UIAC", "001A0000006Vm9uIAC"),
                ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"),
                // A suffix that marks a digit as a capital letter, one of no id, and other texts.
                ("001A0000006Vm9uBAC", "001A0000006Vm9uBAC"),
                ("001A0000006Vm9uIA9", "001A0000006Vm9uIA9"),
                ("001A0000006Vm9", "001A0000006Vm9"),
                ("", ""),
            ],
        );
    }

    #[test]
    fn steps_follow_each_other() {
        let digits = Replacement::parse(Pattern::parse("[^0-9]").unwrap(), "").unwrap();
        check(
            vec![Step::Regex(Box::new(digits)), Step::StripLeadingZeros],
            &[("DE-00 120", "120"), ("0000", "0"), ("x", ""), ("7", "7")],
        );
        check(vec![Step::Trim, Step::Casefold], &[("\u{a0}ÜMIT İ ", "ümit i\u{307}"), (" a", "a")]);
    }
}
