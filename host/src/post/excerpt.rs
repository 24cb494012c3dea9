//! What a receiver said, fit to be logged: its beginning on one line, less whatever could be a secret.
//!
//! A receiver may repeat what it was sent: its own address, the signature, a token. So the receiver's address and secret
//! are taken out wherever they stand, and so is every long word that no person would write.

use super::Receiver;
use crate::secrets::ExposeSecret;

/// At most so many bytes of an answer are looked at.
pub(super) const READ: usize = 4 << 10;
/// At most so many characters of it are shown.
const SHOWN: usize = 200;
/// A run of letters and digits this long is a key, a token or a digest.
const TOKEN: usize = 24;
/// Values in an address shorter than this let nobody in.
const TELLING: usize = 6;
/// Parts of its path shorter than this are ordinary words.
const TELLING_PART: usize = 12;

const TAKEN_OUT: &str = "…";

pub(super) fn of(said: &[u8], receiver: &Receiver) -> String {
    let said = said.get(..READ).unwrap_or(said);
    let mut text: String =
        String::from_utf8_lossy(said).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let url = receiver.url.expose_secret();
    let mut hidden: Vec<&str> = vec![url];
    hidden.extend(receiver.secret.as_ref().map(ExposeSecret::expose_secret));
    // As a server sees it: the path with its query, and each part of either.
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let (parts, query) = path.split_once('?').unwrap_or((path, ""));
    hidden.push(path);
    hidden.extend(parts.split('/').filter(|part| part.len() >= TELLING_PART));
    hidden.extend(query.split(['&', '=', '?', '/']));
    hidden.retain(|part| part.len() >= TELLING);
    hidden.sort_by_key(|part| std::cmp::Reverse(part.len()));
    for part in hidden {
        text = text.replace(part, TAKEN_OUT);
    }
    let words: Vec<String> = text.split_whitespace().map(without_tokens).collect();
    let line = words.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}{TAKEN_OUT}", &line[..end]),
        None => line,
    }
}

/// The word without long runs of what tokens are made of.
fn without_tokens(word: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '=' | '.');
    let mut kept = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if run.len() >= TOKEN { TAKEN_OUT } else { run });
        let next = after.find(is_token).unwrap_or(after.len());
        let (between, remainder) = after.split_at(next);
        kept.push_str(between);
        rest = remainder;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretString;

    #[test]
    fn an_excerpt_is_short_and_holds_no_secret() {
        let receiver = Receiver {
            url: SecretString::from("https://example.com/hooks/open-sesame?token=hush-hush".to_owned()),
            secret: Some(SecretString::from("a shared secret".to_owned())),
        };
        let excerpt = |said: &str| of(said.as_bytes(), &receiver);
        assert_eq!(excerpt("field `arr`\r\n is   not a number"), "field `arr` is not a number");
        assert_eq!(excerpt("no route for /hooks/open-sesame?token=hush-hush"), "no route for /…");
        assert_eq!(excerpt("POST https://example.com/hooks/open-sesame?token=hush-hush"), "POST …");
        assert_eq!(excerpt("bad token hush-hush; 'a shared secret'"), "bad token …; '…'");
        assert_eq!(excerpt("v1=91b5374b153842ad05b2c4eab9349b8321b14703, sorry"), "…, sorry");
        assert_eq!(excerpt(&"word ".repeat(1_000)).chars().count(), SHOWN + 1);
        assert_eq!(of(&[0xff, 0, b'a'], &receiver), "\u{fffd} a");
    }
}
