//! The text of a key file, read and written.

use crate::keys::{Key, KeyId, KeySet, Weakness};
use zeroize::Zeroizing;

const NOTE: &str = "# Whoever has these keys and the database reads every credential: keep them apart.\n";
const PRIMARY: &str = "primary";
const FORMER: &str = "former";

/// Why a text is not a key file. Errors name lines and never quote them: a key might stand anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    #[error("there is no key in it: `twinflow vault keygen` makes one")]
    NoKey,
    #[error(
        "it has former keys but no primary one: change the word `former` to `primary` on the line of the key that is to seal"
    )]
    NoPrimary,
    #[error(
        "line {line} names a second primary key beside line {first}: exactly one seals, call the other one `former`"
    )]
    TwoPrimaries { line: usize, first: usize },
    #[error("line {line} does not begin with `primary` or `former`: write `primary <key id> <key>`")]
    UnknownWord { line: usize },
    #[error(
        "line {line} does not have three words: write `primary <key id> <key>` or `former <key id> <key>`"
    )]
    NotThreeWords { line: usize },
    #[error(
        "line {line} has no key id of eight hex digits as its second word: `openssl rand -hex 4` makes one"
    )]
    NotAKeyId { line: usize },
    #[error(
        "line {line} has a key of fewer than 32 bytes: `openssl rand -hex 32` makes one that is long enough"
    )]
    ShortKey { line: usize },
    #[error(
        "line {line} has a key that is neither 64 hex digits nor the 44 characters of base64 that make 32 bytes: `openssl rand -hex 32` makes one"
    )]
    NotAKey { line: usize },
    #[error(
        "line {line} has a key that anybody could guess, because {weakness}: `openssl rand -hex 32` makes a random one"
    )]
    WeakKey { line: usize, weakness: Weakness },
    #[error("line {line} uses the key id of line {first} again: ids tell keys apart, so give it another")]
    SameId { line: usize, first: usize },
    #[error("line {line} has the same key as line {first}: delete one of them")]
    SameKey { line: usize, first: usize },
}

impl KeySet {
    /// Reads a key file.
    ///
    /// ```text
    /// # one key on a line; what follows a # is not read
    /// primary 1a2b3c4d <64 hex digits, or 44 characters of base64, that are 32 bytes>
    /// former  5e6f7081 <the same>
    /// ```
    ///
    /// Exactly one key is `primary`: it seals. A `former` key only opens; a key about to become primary starts
    /// as one too. Words are parted by spaces or tabs, and empty lines do not matter.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            if !words.is_empty() {
                let entry = Entry::parse(number, &words)?;
                entries.iter().try_for_each(|earlier| entry.refuse_beside(earlier))?;
                entries.push(entry);
            }
        }
        let (primary, former): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.primary);
        let former: Vec<Key> = former.into_iter().map(|entry| entry.key).collect();
        match primary.into_iter().next() {
            Some(entry) => Ok(Self::new(entry.key, former)),
            None if former.is_empty() => Err(KeyFileError::NoKey),
            None => Err(KeyFileError::NoPrimary),
        }
    }

    /// The text of a key file with these keys. It is the secret itself.
    #[must_use]
    pub fn render(&self) -> Zeroizing<String> {
        // Room for everything at once: a string that grows leaves copies of itself behind.
        let mut text = Zeroizing::new(String::with_capacity(NOTE.len() + 96 * self.ids().count()));
        text.push_str(NOTE);
        write_line(&mut text, PRIMARY, self.primary());
        self.former().iter().for_each(|key| write_line(&mut text, FORMER, key));
        text
    }
}

fn write_line(text: &mut String, word: &str, key: &Key) {
    text.push_str(word);
    text.push(' ');
    write_hex(text, &key.id.to_be_bytes());
    text.push(' ');
    write_hex(text, key.bytes());
    text.push('\n');
}

fn write_hex(text: &mut String, bytes: &[u8]) {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
}

/// One line that holds a key.
struct Entry {
    line: usize,
    primary: bool,
    key: Key,
}

impl Entry {
    fn parse(line: usize, words: &[&str]) -> Result<Self, KeyFileError> {
        let primary = match words.first() {
            Some(&PRIMARY) => true,
            Some(&FORMER) => false,
            _ => return Err(KeyFileError::UnknownWord { line }),
        };
        let &[_, id, key] = words else { return Err(KeyFileError::NotThreeWords { line }) };
        let id: KeyId = id.parse().map_err(|_| KeyFileError::NotAKeyId { line })?;
        let bytes = read_key(key, line)?;
        let key = Key::new(id, bytes).map_err(|weakness| KeyFileError::WeakKey { line, weakness })?;
        Ok(Self { line, primary, key })
    }

    fn refuse_beside(&self, earlier: &Self) -> Result<(), KeyFileError> {
        let (line, first) = (self.line, earlier.line);
        if self.key.id == earlier.key.id {
            Err(KeyFileError::SameId { line, first })
        } else if self.key.bytes() == earlier.key.bytes() {
            Err(KeyFileError::SameKey { line, first })
        } else if self.primary && earlier.primary {
            Err(KeyFileError::TwoPrimaries { line, first })
        } else {
            Ok(())
        }
    }
}

fn read_key(word: &str, line: usize) -> Result<Box<Zeroizing<[u8; 32]>>, KeyFileError> {
    let short =
        if word.bytes().all(|byte| byte.is_ascii_hexdigit()) { word.len() < 64 } else { word.len() < 43 };
    if short {
        return Err(KeyFileError::ShortKey { line });
    }
    let bits = match word.len() {
        64 => 4,
        44 => 6,
        _ => return Err(KeyFileError::NotAKey { line }),
    };
    let digits = if bits == 6 { word.strip_suffix('=') } else { Some(word) };
    digits.and_then(|digits| read_digits(digits, bits)).ok_or(KeyFileError::NotAKey { line })
}

/// 32 bytes from digits of 4 (hex) or 6 (base64) bits each. What is left over of the last digit must be zero,
/// so that a key has one spelling in base64.
fn read_digits(digits: &str, bits: u32) -> Option<Box<Zeroizing<[u8; 32]>>> {
    let mut bytes = Box::new(Zeroizing::new([0; 32]));
    let mut places = bytes.iter_mut();
    let (mut held, mut pending) = (0, 0);
    for digit in digits.chars() {
        held = held << bits | if bits == 4 { digit.to_digit(16)? } else { base64_digit(digit)? };
        pending += bits;
        if pending >= 8 {
            pending -= 8;
            *places.next()? = (held >> pending) as u8;
            held &= (1 << pending) - 1;
        }
    }
    (held == 0 && places.next().is_none()).then_some(bytes)
}

fn base64_digit(digit: char) -> Option<u32> {
    let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']);
    (0..).zip(alphabet).find(|(_, letter)| *letter == digit).map(|(value, _)| value)
}
