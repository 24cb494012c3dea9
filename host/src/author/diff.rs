//! How two lists of lines differ, shortest way first.

/// Lines between the first and the last difference that are compared with each other, on either side; beyond them, what was
/// there is shown as removed and what is there as added.
const MOST: usize = 4_000;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference<'a> {
    /// Line so many of what was expected, from 1, is not there.
    Missing(usize, &'a str),
    /// Line so many of what there is, from 1, was not expected.
    Unexpected(usize, &'a str),
}

/// What differs between the lines that are expected and those that there are; empty when nothing does.
pub fn difference<'a>(expected: &'a [String], found: &'a [String]) -> Vec<Difference<'a>> {
    let same = |(a, b): &(&String, &String)| a == b;
    let before = expected.iter().zip(found).take_while(same).count();
    let (expected, found) = (expected.get(before..).unwrap_or_default(), found.get(before..).unwrap_or_default());
    let after = expected.iter().rev().zip(found.iter().rev()).take_while(same).count();
    let expected = expected.get(..expected.len() - after).unwrap_or_default();
    let found = found.get(..found.len() - after).unwrap_or_default();
    let kept = if expected.len().max(found.len()) > MOST { Vec::new() } else { common(expected, found) };
    let mut differences = Vec::new();
    let (mut left, mut right) = (0, 0);
    for (next_left, next_right) in kept.into_iter().chain([(expected.len(), found.len())]) {
        let missing = expected.iter().enumerate().take(next_left).skip(left);
        differences.extend(missing.map(|(place, line)| Difference::Missing(before + place + 1, line)));
        let unexpected = found.iter().enumerate().take(next_right).skip(right);
        differences.extend(unexpected.map(|(place, line)| Difference::Unexpected(before + place + 1, line)));
        (left, right) = (next_left + 1, next_right + 1);
    }
    differences
}

/// The places of a longest common subsequence.
fn common(expected: &[String], found: &[String]) -> Vec<(usize, usize)> {
    let width = found.len() + 1;
    // Lengths for what begins at each pair of places; the last row and column are zeros.
    let mut lengths = vec![0_u16; (expected.len() + 1) * width];
    for (left, line) in expected.iter().enumerate().rev() {
        for (right, other) in found.iter().enumerate().rev() {
            let at = left * width + right;
            lengths[at] = match line == other {
                true => lengths[at + width + 1] + 1,
                false => lengths[at + 1].max(lengths[at + width]),
            };
        }
    }
    let mut places = Vec::new();
    let (mut left, mut right) = (0, 0);
    while let (Some(line), Some(other)) = (expected.get(left), found.get(right)) {
        let at = left * width + right;
        if line == other {
            places.push((left, right));
            (left, right) = (left + 1, right + 1);
        } else if lengths[at + width] >= lengths[at + 1] {
            left += 1;
        } else {
            right += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, found: &str, differences: &[&str]) {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let (expected, found) = (lines(expected), lines(found));
        let text = |difference: &Difference<'_>| match difference {
            Difference::Missing(line, text) => format!("-{line}{text}"),
            Difference::Unexpected(line, text) => format!("+{line}{text}"),
        };
        assert_eq!(difference(&expected, &found).iter().map(text).collect::<Vec<_>>(), differences);
    }

    #[test]
    fn lines_that_moved_or_changed_are_told_alone() {
        check("", "", &[]);
        check("abc", "abc", &[]);
        check("abc", "axc", &["-2b", "+2x"]);
        check("abc", "ac", &["-2b"]);
        check("ac", "abc", &["+2b"]);
        check("", "ab", &["+1a", "+2b"]);
        check("abcdef", "xbcyef", &["-1a", "+1x", "-4d", "+4y"]);
        check("aab", "ab", &["-2a"]);
    }

    #[test]
    fn too_many_lines_are_replaced_as_a_whole() {
        let expected: Vec<String> = (0..=MOST).map(|line| line.to_string()).collect();
        let found: Vec<String> = (0..=MOST).map(|line| (line + 1).to_string()).collect();
        assert_eq!(difference(&expected, &found).len(), 2 * (MOST + 1));
    }
}
