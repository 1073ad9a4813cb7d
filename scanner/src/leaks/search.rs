//! The search: every secret in every disguise, in one pass over each haystack.

use super::trial::Place;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Something that must not be found.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What it is called where it is found: never the secret itself, unless it is a canary.
    pub name: String,
    pub text: Vec<u8>,
}

impl Secret {
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// What was found: what it is, how it was written, where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hit {
    pub what: String,
    pub encoding: &'static str,
    pub place: String,
}

pub type Found = BTreeSet<Hit>;

const AS_IT_IS: &str = "as it is";
const OTHER_CASE: &str = "in other letter case";
const BACKWARDS: &str = "backwards";
const UTF_16: &str = "UTF-16";
const NUMBERS: &str = "a list of numbers";
const HEX: &str = "hex";
const PERCENT: &str = "percent-encoding";
const JSON: &str = "JSON escapes";
const BASE64: &str = "base64";
const BASE64_URL: &str = "base64 for URLs";

/// The ways a text may be written down.
pub const ENCODINGS: &[&str] =
    &[AS_IT_IS, OTHER_CASE, BACKWARDS, UTF_16, NUMBERS, HEX, PERCENT, JSON, BASE64, BASE64_URL];

/// These are looked for in small letters, whatever they were written in.
const OF_ANY_CASE: &[&str] = &[OTHER_CASE, HEX, PERCENT, JSON];

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The part of a text's base64 that is the same whatever stands around it, `before` bytes into a group of three.
fn base64(text: &[u8], before: usize) -> Vec<u8> {
    let bytes = [vec![0; before], text.to_vec()].concat();
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    let digit = |nth: usize| {
        let (at, shift) = (nth * 6 / 8, nth * 6 % 8);
        DIGITS[usize::from((byte(at) << 8 | byte(at + 1)) >> (10 - shift) & 0x3F)]
    };
    ((before * 8).div_ceil(6)..bytes.len() * 8 / 6).map(digit).collect()
}

fn for_urls(base64: &[u8]) -> Vec<u8> {
    let swap = |digit: &u8| match digit {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    base64.iter().map(swap).collect()
}

fn each(text: &[u8], written: impl Fn(u8) -> String) -> Vec<u8> {
    text.iter().flat_map(|byte| written(*byte).into_bytes()).collect()
}

/// As `{:?}` shows bytes, and JSON.
fn list(text: &[u8], comma: &str) -> Vec<u8> {
    text.iter().map(u8::to_string).collect::<Vec<_>>().join(comma).into_bytes()
}

/// How a text looks in each encoding; of those that may be written in large letters, in small ones.
pub fn disguises(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![
        (AS_IT_IS, text.to_vec()),
        (OTHER_CASE, text.to_ascii_lowercase()),
        (BACKWARDS, text.iter().rev().copied().collect()),
        (UTF_16, text.iter().flat_map(|byte| [*byte, 0]).collect()),
        (NUMBERS, list(text, ", ")),
        (NUMBERS, list(text, ",")),
        (HEX, each(text, |byte| format!("{byte:02x}"))),
        (PERCENT, each(text, |byte| format!("%{byte:02x}"))),
        (JSON, each(text, |byte| format!("\\u{byte:04x}"))),
    ];
    for before in 0..3 {
        let plain = base64(text, before);
        all.push((BASE64_URL, for_urls(&plain)));
        all.push((BASE64, plain));
    }
    all
}

/// What a leaky program would write: the same, and in large letters where those mean the same.
pub fn written(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = disguises(text);
    let large = |bytes: &[u8]| {
        // All but the letter that says what it is.
        let text = String::from_utf8_lossy(bytes).to_uppercase().replace("\\U", "\\u");
        text.into_bytes()
    };
    let more = disguises(text).into_iter().filter(|(encoding, _)| OF_ANY_CASE.contains(encoding));
    let more = more.filter(|(_, bytes)| bytes.is_ascii());
    all.extend(more.map(|(encoding, bytes)| (encoding, large(&bytes))).collect::<Vec<_>>());
    all
}

/// What it is, how it is written, and how that looks.
type Disguised = (String, &'static str, Vec<u8>);

/// Everything that must not be found, in all its disguises, by its first eight bytes.
#[derive(Debug)]
pub struct Search {
    by_start: HashMap<[u8; 8], Vec<Disguised>>,
    starts: Vec<bool>,
}

fn pair_of(bytes: &[u8]) -> usize {
    bytes.first_chunk::<2>().map_or(0, |pair| usize::from(u16::from_le_bytes(*pair)))
}

impl Search {
    pub fn new(secrets: &[Secret]) -> Self {
        let mut search = Self { by_start: HashMap::new(), starts: vec![false; 1 << 16] };
        for secret in secrets {
            for (encoding, bytes) in disguises(&secret.text) {
                // What is shorter is found anywhere.
                let Some(start) = bytes.first_chunk::<8>().copied() else { continue };
                search.starts[pair_of(&bytes)] = true;
                search.by_start.entry(start).or_default().push((secret.name.clone(), encoding, bytes));
            }
        }
        search
    }

    pub fn places(&self, places: &[Place]) -> Found {
        let mut found = Found::new();
        places.iter().for_each(|place| self.bytes(&place.name, &place.bytes, &mut found));
        found
    }

    pub fn bytes(&self, place: &str, haystack: &[u8], found: &mut Found) {
        self.pass(place, haystack, false, found);
        self.pass(place, &haystack.to_ascii_lowercase(), true, found);
    }

    fn pass(&self, place: &str, haystack: &[u8], small: bool, found: &mut Found) {
        for at in 0..haystack.len() {
            let rest = &haystack[at..];
            if !self.starts[pair_of(rest)] {
                continue;
            }
            let Some(start) = rest.first_chunk::<8>() else { return };
            for (name, encoding, bytes) in self.by_start.get(start).into_iter().flatten() {
                if OF_ANY_CASE.contains(encoding) == small && rest.starts_with(bytes) {
                    found.insert(Hit { what: name.clone(), encoding, place: place.to_owned() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_others_make_of_it_wherever_a_text_stands_in_it() {
        for (whole, text, before) in [
            // printf %s … | base64
            ("Q0FOQVJZLWdpdGh1Yi10aXRsZS0zZmIx", "CANARY-github-title-3fb1", 0),
            ("eHhDQU5BUlktZ2l0aHViLXRpdGxlLTNmYjF5eXk=", "CANARY-github-title-3fb1", 2),
            ("eENBTkFSWS1naXRodWItdGl0bGUtM2ZiMXp6", "CANARY-github-title-3fb1", 1),
        ] {
            let part = String::from_utf8(base64(text.as_bytes(), before)).expect("ASCII");
            assert!(part.len() >= 30 && whole.contains(&part), "{part} is not in {whole}");
        }
        assert_eq!(for_urls(&base64(&[0xFB, 0xEF, 0xFF], 0)), b"--__");
    }

    #[test]
    fn every_encoding_is_looked_for_and_told_from_the_others() {
        let secret = Secret::new("a token", "tf_Secret-0123456789+/");
        let search = Search::new(std::slice::from_ref(&secret));
        let written = written(&secret.text);
        for (encoding, bytes) in &written {
            let mut found = Found::new();
            search.bytes("here", &[b"ok body=\"".as_slice(), bytes, b"\" 200\n"].concat(), &mut found);
            assert!(found.iter().any(|hit| hit.encoding == *encoding), "{encoding} is not found");
        }
        let all: BTreeSet<_> = written.iter().map(|(encoding, _)| *encoding).collect();
        assert_eq!(all, ENCODINGS.iter().copied().collect());
        let mut found = Found::new();
        search.bytes("here", b"nothing of that kind, tf_secret-01234", &mut found);
        assert!(found.is_empty());
    }
}
