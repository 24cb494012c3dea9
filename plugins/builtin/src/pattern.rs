//! Patterns: regular expressions of bounded size, without backtracking, and replacements that name their groups.
//!
//! `regex-lite` stands behind them. It searches in time that is linear in pattern times text, has no tables of Unicode
//! (`\d`, `\w` and `\b` mean ASCII, and letters without regard to case are ASCII letters), and so keeps the component
//! small.

use regex_lite::{CaptureLocations, Regex, RegexBuilder};

/// The longest pattern, in bytes; nobody writes a longer one by hand.
const LONGEST: usize = 1000;
/// What a compiled pattern may take, in bytes.
const LARGEST: usize = 1 << 18;

/// A pattern, with the memory that a search needs.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    groups: CaptureLocations,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("is empty".to_owned());
        }
        if pattern.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let regex = RegexBuilder::new(pattern).size_limit(LARGEST).build();
        let regex = regex.map_err(|error| format!("is not a regular expression: {error}"))?;
        let groups = regex.capture_locations();
        Ok(Self { regex, groups })
    }

    /// A pattern that whole texts must match.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub(crate) fn parse_whole(pattern: &str) -> Result<Self, String> {
        // By itself first: brackets that close none of its own must not close the one round it.
        Self::parse(pattern)?;
        Self::parse(&format!("^(?:{pattern})$"))
    }

    /// A pattern that takes something out of a text: of its one group, or of the whole match where it has none.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub(crate) fn parse_taking(pattern: &str) -> Result<Self, String> {
        let pattern = Self::parse(pattern)?;
        match pattern.groups.len() {
            0..=2 => Ok(pattern),
            groups => Err(format!(
                "has {} groups, and which one is meant is not said: write `(?:…)` for the others",
                groups - 1
            )),
        }
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What the first match takes out of a text; none where nothing matches.
    pub(crate) fn take<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        self.regex.captures_read(&mut self.groups, text)?;
        // Of a group that took no part in the match, nothing is taken.
        let (start, end) = self.groups.get(self.groups.len() - 1).unwrap_or((0, 0));
        text.get(start..end)
    }

    fn group_named(&self, name: &str) -> Option<usize> {
        match name.parse() {
            Ok(number) => (number < self.groups.len()).then_some(number),
            Err(_) => self.regex.capture_names().position(|group| group == Some(name)),
        }
    }
}

/// What takes the place of every match of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pattern: Pattern,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Group(usize),
}

impl Replacement {
    /// `$1` and `${name}` stand for groups, `$$` for a dollar sign.
    ///
    /// # Errors
    /// What is wrong with the replacement, as a fragment.
    pub(crate) fn parse(pattern: Pattern, replacement: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = replacement;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let (name, after) = match rest.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or("has a `${` without `}`")?,
                None => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            };
            let group = pattern.group_named(name).ok_or_else(|| {
                format!("names the group `{name}`, which the pattern does not have; `$$` is a dollar sign")
            })?;
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(Piece::Group(group));
            rest = after;
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        Ok(Self { pattern, pieces })
    }

    /// Appends `text` with every match replaced.
    pub(crate) fn write(&mut self, text: &str, out: &mut Vec<u8>) {
        let Self { pattern: Pattern { regex, groups }, pieces } = self;
        let (mut copied, mut from) = (0, 0);
        while from <= text.len() && regex.captures_read_at(groups, text, from).is_some() {
            let Some((start, end)) = groups.get(0) else { break };
            out.extend_from_slice(&text.as_bytes()[copied..start]);
            for piece in pieces.iter() {
                match piece {
                    Piece::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
                    Piece::Group(group) => {
                        let (start, end) = groups.get(*group).unwrap_or((0, 0));
                        out.extend_from_slice(&text.as_bytes()[start..end]);
                    }
                }
            }
            copied = end;
            // An empty match must not be found again at its own place.
            from = match start == end {
                true => end + text[end..].chars().next().map_or(1, char::len_utf8),
                false => end,
            };
        }
        out.extend_from_slice(&text.as_bytes()[copied..]);
    }
}

/// A cell as text. Cells are UTF-8, which the host has checked.
pub(crate) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(pattern: &str, replacement: &str, text: &str) -> String {
        let mut out = Vec::new();
        Replacement::parse(Pattern::parse(pattern).unwrap(), replacement).unwrap().write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_match_is_replaced_and_groups_are_named() {
        assert_eq!(replace("[^0-9]", "", "DE-001 7"), "0017");
        assert_eq!(replace(r"(\d+)-(?<rest>\d+)", "${rest}/$1$$", "1-2 3-4"), "2/1$ 4/3$");
        assert_eq!(replace("x*", "-", "axü"), "-a--ü-");
        assert_eq!(replace("ü", "u", "Grün"), "Grun");
        let wrong = |replacement| Replacement::parse(Pattern::parse("(a)").unwrap(), replacement).unwrap_err();
        assert!(wrong("$2").contains("the group `2`"));
        assert!(wrong("cost: $").contains("`$$`"));
        assert!(wrong("${a").contains("without"));
    }

    #[test]
    fn what_is_taken_is_the_one_group_or_the_whole_match() {
        let take = |pattern: &str, text: &str| Pattern::parse_taking(pattern).unwrap().take(text).map(str::to_owned);
        assert_eq!(take(r"region=(?<r>\w+)", "a/region=emea/x.csv").as_deref(), Some("emea"));
        assert_eq!(take(r"\d{4}-\d{2}", "mau-2024-10.csv").as_deref(), Some("2024-10"));
        assert_eq!(take("(x)?a", "a").as_deref(), Some(""));
        assert_eq!(take("b", "a"), None);
        assert!(Pattern::parse_taking("(a)(b)").unwrap_err().contains("2 groups"));
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(Pattern::parse("(").unwrap_err().contains("not a regular expression"));
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse(&"a".repeat(1001)).is_err());
        assert!(Pattern::parse("(?:a{1000}){1000}").is_err());
        assert!(Pattern::parse_whole("a|b").unwrap().is_match("b"));
        assert!(!Pattern::parse_whole("a|b").unwrap().is_match("ab"));
    }
}
