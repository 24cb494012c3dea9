//! Names of accounts, compared as people write them.
//!
//! Two names are the same in normalized form when only capital letters, accents, punctuation and blanks tell them apart.
//! How similar two others are is the share of trigrams that they have in common, as PostgreSQL's `pg_trgm` counts them:
//! each word with two blanks before it and one behind. All stores compare names here, PostgreSQL too, so that the same file
//! has the same outcome in each of them; that extension is not needed.
//!
//! Similar names are found by prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007): of two
//! sets of which a share `t` is common, the rarest `n - ⌈t·n⌉ + 1` members of either have one in common. So only those
//! are looked up, the rarest first; `t` rises with the best name found. What is met there is still compared only if it
//! has about as many trigrams, enough of them behind the first common one (Xiao and others 2008), and enough bits of a
//! signature in common (Sandes and others 2017).

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::object::Share;

/// A name without what does not count. Empty where nothing of it does.
pub(super) fn normalize(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    let mut blank = false;
    for character in name.nfkd().filter(|character| !is_combining_mark(*character)) {
        if character == '&' {
            push_word(&mut normalized, "and");
            blank = true;
        } else if character == '\'' || character == '’' {
            // Within a word: `O'Neill` is `oneill`.
        } else if character.is_alphanumeric() {
            if std::mem::take(&mut blank) && !normalized.is_empty() {
                normalized.push(' ');
            }
            normalized.extend(character.to_lowercase().filter(|lower| !is_combining_mark(*lower)));
        } else {
            blank = true;
        }
    }
    normalized
}

fn push_word(text: &mut String, word: &str) {
    if !text.is_empty() && !text.ends_with(' ') {
        text.push(' ');
    }
    text.push_str(word);
}

/// Three characters.
type Trigram = [char; 3];

/// The trigrams of a normalized name, each once.
fn trigrams(normalized: &str) -> Vec<Trigram> {
    let mut found = Vec::with_capacity(normalized.len() + 2);
    for word in normalized.split(' ').filter(|word| !word.is_empty()) {
        let mut trigram = [' ', ' ', ' '];
        for character in word.chars().chain([' ']) {
            trigram = [trigram[1], trigram[2], character];
            found.push(trigram);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The names of all accounts of one tenant. Memory: some 200 bytes a name.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    /// Below this nothing is found.
    least: f64,
    /// A trigram's number is its rank: the rarest is 0.
    ranks: HashMap<Trigram, u32>,
    /// Each name's trigrams, rising, one name after the other.
    trigrams: Vec<u32>,
    /// Where each name's trigrams end, and its accounts.
    names: Vec<Name>,
    accounts: Vec<i64>,
    /// By trigram, the names in whose prefix it stands.
    postings: Vec<Vec<Posting>>,
    by_name: HashMap<Box<str>, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    trigrams_end: u32,
    accounts_end: u32,
    signature: u128,
}

/// A name that has a trigram, and how many rarer ones it has.
#[derive(Debug, Clone, Copy)]
struct Posting {
    name: u32,
    rarer: u32,
}

/// One bit for each trigram, which others may share.
fn signature(trigrams: &[u32]) -> u128 {
    // Multiplied, neighbours in rank come to lie apart (Knuth's constant).
    trigrams.iter().fold(0, |bits, rank| bits | 1 << (rank.wrapping_mul(2_654_435_769) >> 25))
}

/// Room for a search.
#[derive(Debug, Default)]
pub(super) struct Search {
    trigrams: Vec<u32>,
    found: Vec<(f64, u32)>,
    /// By name, the number of the search that met it last.
    met: Vec<u32>,
    number: u32,
}

impl NameIndex {
    /// The index of normalized names and their accounts, in the order of the names. Names less similar than `least` will
    /// never be found.
    pub(super) fn new(names: impl IntoIterator<Item = (String, i64)>, least: Share) -> Self {
        let mut index = Self { least: least.as_f64(), ..Self::default() };
        let mut texts: Vec<Box<str>> = Vec::new();
        for (name, account) in names {
            if texts.last().is_none_or(|last| **last != *name) {
                texts.push(name.into());
                index.names.push(Name { trigrams_end: 0, accounts_end: 0, signature: 0 });
            }
            index.accounts.push(account);
            if let Some(last) = index.names.last_mut() {
                last.accounts_end = index.accounts.len() as u32;
            }
        }
        let mut frequencies: HashMap<Trigram, u32> = HashMap::new();
        for text in &texts {
            trigrams(text).into_iter().for_each(|trigram| *frequencies.entry(trigram).or_default() += 1);
        }
        let mut by_rarity: Vec<(u32, Trigram)> =
            frequencies.into_iter().map(|(trigram, count)| (count, trigram)).collect();
        by_rarity.sort_unstable();
        index.ranks = by_rarity.iter().enumerate().map(|(rank, (_, trigram))| (*trigram, rank as u32)).collect();
        index.postings.resize_with(by_rarity.len(), Vec::new);
        for (number, text) in texts.into_iter().enumerate() {
            let start = index.trigrams.len();
            index.trigrams.extend(trigrams(&text).iter().filter_map(|trigram| index.ranks.get(trigram)));
            let own = &mut index.trigrams[start..];
            own.sort_unstable();
            for (rarer, rank) in (0..).zip(&own[..prefix(own.len(), index.least)]) {
                index.postings[*rank as usize].push(Posting { name: number as u32, rarer });
            }
            index.names[number].signature = signature(own);
            index.names[number].trigrams_end = index.trigrams.len() as u32;
            index.by_name.insert(text, number as u32);
        }
        index
    }

    /// The accounts of the name that is most similar, and of all that are less than `margin` behind it; none where it
    /// is not as similar as `threshold`. The same name in normalized form has no rivals.
    pub(super) fn find(
        &self,
        normalized: &str,
        threshold: Share,
        margin: Share,
        search: &mut Search,
    ) -> impl Iterator<Item = i64> {
        search.found.clear();
        match self.by_name.get(normalized) {
            Some(same) => search.found.push((1.0, *same)),
            None => self.similar(normalized, margin.as_f64(), search),
        }
        let best = search.found.iter().map(|(similarity, _)| *similarity).fold(0.0, f64::max);
        let least = if best < threshold.as_f64() { f64::INFINITY } else { best - margin.as_f64() };
        search
            .found
            .iter()
            .filter(move |(similarity, _)| *similarity > least || *similarity == best && least.is_finite())
            .flat_map(|(_, name)| self.accounts_of(*name))
            .copied()
    }

    /// Every name that is as similar as `least`, but for some that are `margin` or more behind the best.
    fn similar(&self, normalized: &str, margin: f64, search: &mut Search) {
        let Search { trigrams: own, found, met, number } = search;
        let all = trigrams(normalized);
        own.clear();
        own.extend(all.iter().filter_map(|trigram| self.ranks.get(trigram)));
        own.sort_unstable();
        // What no name has is rarer than everything else, and finds nothing.
        let unknown = all.len() - own.len();
        let own_signature = signature(own);
        met.resize(self.names.len(), 0);
        *number = number.wrapping_add(1).max(1);
        let mut least = self.least;
        for (place, rank) in own.iter().enumerate() {
            if unknown + place >= prefix(all.len(), least) {
                break;
            }
            for posting in &self.postings[*rank as usize] {
                let name = posting.name as usize;
                if std::mem::replace(&mut met[name], *number) == *number {
                    continue;
                }
                let theirs = self.trigrams_of(posting.name);
                // Of `a` and `b` members a share `t` is common when `t / (1 + t) · (a + b)` are.
                let needed = least / (1.0 + least) * (all.len() + theirs.len()) as f64 - 1e-9;
                let behind = 1 + (own.len() - place - 1).min(theirs.len() - posting.rarer as usize - 1);
                let differing = (own_signature ^ self.names[name].signature).count_ones() as usize;
                let by_signature = (own.len() + theirs.len()).saturating_sub(differing) / 2;
                if (behind.min(by_signature) as f64) < needed {
                    continue;
                }
                let common = common(own, theirs);
                let similarity = common as f64 / (all.len() + theirs.len() - common) as f64;
                if similarity >= least {
                    found.push((similarity, posting.name));
                    least = least.max(similarity - margin);
                }
            }
        }
    }

    fn trigrams_of(&self, name: u32) -> &[u32] {
        let start = name.checked_sub(1).map_or(0, |before| self.names[before as usize].trigrams_end);
        &self.trigrams[start as usize..self.names[name as usize].trigrams_end as usize]
    }

    fn accounts_of(&self, name: u32) -> &[i64] {
        let start = name.checked_sub(1).map_or(0, |before| self.names[before as usize].accounts_end);
        &self.accounts[start as usize..self.names[name as usize].accounts_end as usize]
    }
}

/// How many of a set's rarest members one of every set as similar as `least` must have.
fn prefix(size: usize, least: f64) -> usize {
    // A hair less than the product, which binary numbers may have put a hair too high.
    let common = (least * size as f64 - 1e-9).ceil().max(1.0) as usize;
    (size + 1).saturating_sub(common).min(size)
}

/// How many members two rising lists share.
fn common(ours: &[u32], theirs: &[u32]) -> usize {
    let (mut our, mut their, mut common) = (0, 0, 0);
    while our < ours.len() && their < theirs.len() {
        let (one, other) = (ours[our], theirs[their]);
        common += usize::from(one == other);
        our += usize::from(one <= other);
        their += usize::from(other <= one);
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(share: f64) -> Share {
        Share::of(share).unwrap()
    }

    fn index(names: &[&str], least: f64) -> NameIndex {
        let mut named: Vec<(String, i64)> =
            names.iter().zip(1..).map(|(name, account)| (normalize(name), account)).collect();
        named.sort();
        NameIndex::new(named, similarity(least))
    }

    fn find(index: &NameIndex, name: &str, threshold: f64, margin: f64) -> Vec<i64> {
        let mut search = Search::default();
        let mut found: Vec<i64> =
            index.find(&normalize(name), similarity(threshold), similarity(margin), &mut search).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn capitals_accents_punctuation_and_blanks_do_not_count() {
        let check = |name: &str, expected: &str| assert_eq!(normalize(name), expected, "{name:?}");
        check("  ACME,  Inc. ", "acme inc");
        check("Müller-Lüdenscheidt", "muller ludenscheidt");
        check("Mu\u{308}ller", "muller");
        check("O'Neill & Sons", "oneill and sons");
        check("A&B", "a and b");
        check("R & D", "r and d");
        check("&", "and");
        check("株式会社ABC", "株式会社abc");
        check("İstanbul", "istanbul");
        check("…", "");
    }

    #[test]
    fn the_most_similar_name_is_found_unless_another_is_as_near() {
        let index = index(&["Acme Shipping", "Acme Shopping", "Borealis Optics", "Borealis Optics GmbH"], 0.5);
        assert_eq!(find(&index, "ACME shipping", 0.7, 0.1), [1]);
        assert_eq!(find(&index, "Acme Shiping", 0.7, 0.1), [1]);
        assert_eq!(find(&index, "Acme Shpping", 0.6, 0.1), [1, 2]);
        assert_eq!(find(&index, "Borealis Optic", 0.7, 0.0), [3]);
        assert_eq!(find(&index, "Borealis", 0.9, 0.1), [0; 0]);
        assert_eq!(find(&index, "Something else", 0.5, 0.1), [0; 0]);
        assert_eq!(find(&index, "", 0.5, 0.1), [0; 0]);
    }

    #[test]
    fn accounts_of_one_name_are_found_together() {
        let index = index(&["Acme", "ACME", "Other"], 0.5);
        assert_eq!(find(&index, "acme", 0.9, 0.0), [1, 2]);
    }

    /// Every name that comparing all pairs finds, and no other.
    #[test]
    fn the_filter_loses_nothing() {
        let mut state = 3_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let syllables = ["ac", "me", "bo", "re", "al", "is", "op", "tic", " ", "ship", "ing", "x"];
        let mut names: Vec<String> = (0..300)
            .map(|_| (0..2 + random(5)).map(|_| syllables[random(syllables.len() as u64) as usize]).collect::<String>())
            .map(|name| normalize(&name))
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        names.dedup();
        let mut found = 0;
        for least in [0.3, 0.5, 0.75, 1.0] {
            let index = NameIndex::new(names.iter().cloned().zip(0..), similarity(least));
            let mut search = Search::default();
            for (own, name) in names.iter().enumerate() {
                search.found.clear();
                index.similar(name, 1.0, &mut search);
                let mut ours: Vec<u32> = search.found.iter().map(|(_, name)| *name).collect();
                ours.sort_unstable();
                let own_trigrams = trigrams(name);
                let alike = |other: &String| {
                    let theirs = trigrams(other);
                    let common = own_trigrams.iter().filter(|trigram| theirs.contains(trigram)).count();
                    common as f64 / (own_trigrams.len() + theirs.len() - common) as f64 >= similarity(least).as_f64()
                };
                let expected: Vec<u32> =
                    names.iter().zip(0..).filter(|(other, _)| alike(other)).map(|(_, number)| number).collect();
                assert_eq!(ours, expected, "{name} at {least}");
                assert!(ours.contains(&(own as u32)));
                found += ours.len();
            }
        }
        assert!(found > 4 * names.len());
    }
}
