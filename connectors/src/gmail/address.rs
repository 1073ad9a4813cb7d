//! The address in a `From` header (RFC 5322, sections 3.4 and 3.4.1): `"Name, of somebody" <a@b.example>` is
//! `a@b.example`.
//!
//! The sender writes this header, so it may say anything. Whatever is not plainly one address comes to nothing:
//! lists and groups, quoted local parts, encoded words (RFC 2047), routes, domains without a dot, other alphabets.

use crate::event::Opaque;

/// No honest header is longer, in bytes.
const LONGEST: usize = 4_096;

/// The one address of a header's value, in lower case.
pub(super) fn of(value: &str) -> Option<Opaque> {
    if value.len() > LONGEST || value.contains(|c: char| c.is_control() && !"\t\r\n".contains(c)) {
        return None;
    }
    let bare = without_asides(value)?;
    let bare = bare.trim();
    let address = match bare.split_once('<') {
        Some((phrase, rest)) if !phrase.contains([',', ':', ';', '>']) => rest.strip_suffix('>')?.trim(),
        Some(_) => return None,
        None => bare,
    };
    is_address(address).then(|| Opaque::new(address.to_ascii_lowercase()))?
}

/// The value without comments, and with a bare quote for each quoted string: no address has one in it. Nothing
/// where one of them is left open.
fn without_asides(value: &str) -> Option<String> {
    let (mut bare, mut quoted, mut depth) = (String::with_capacity(value.len()), false, 0_u32);
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if quoted || depth > 0 => drop(rest.next()?),
            '"' if depth == 0 => {
                quoted = !quoted;
                if quoted {
                    bare.push('"');
                }
            }
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            c => bare.push(c),
        }
    }
    (!quoted && depth == 0).then_some(bare)
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    // What RFC 5322 calls atext.
    let atom = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&it))
    };
    let label = |part: &str| {
        let fits = part.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        (1..=63).contains(&part.len()) && fits && !part.starts_with('-') && !part.ends_with('-')
    };
    let encoded = local.contains("=?");
    local.len() <= 64
        && !encoded
        && local.split('.').all(atom)
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        of(value).map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_found_whatever_stands_beside_it() {
        let all = [
            "ana@example.com",
            "  <ana@example.com>\r\n ",
            "Ana <ana@example.com>",
            "Ana Dev<ANA@Example.COM>",
            "\"Dev, Ana: <ben@example.org>\" <ana@example.com>",
            "\"A \\\" quote\" <ana@example.com>",
            "(aside (nested \\) one)) ana@example.com (Ana <ben@example.org>)",
            "=?UTF-8?Q?An=C3=A1?= <ana@example.com>",
            "Aná 重要 <ana@example.com>",
            "ana@example.com <ana@example.com>",
            "< ana@example.com >",
        ];
        for value in all {
            assert_eq!(shown(value).as_deref(), Some("ana@example.com"), "{value}");
        }
        for plain in ["o'brien+tag=x@a-b.example.co", "a.b_c~d@1.example"] {
            assert_eq!(shown(plain).as_deref(), Some(plain));
        }
    }

    #[test]
    fn whatever_is_not_plainly_one_address_is_none() {
        let all = [
            "",
            " ",
            "Ana",
            "Ana <>",
            "<ana>",
            "ana@localhost",
            "ana@",
            "@example.com",
            "a b@example.com",
            "ana@example.com ben@example.com",
            "ana@example.com, ben@example.com",
            "Ana <ana@example.com>, Ben <ben@example.com>",
            "Dev, Ana <ana@example.com>",
            "Team: ana@example.com;",
            "undisclosed-recipients:;",
            "<@relay.example:ana@example.com>",
            "\"the whole plan\"@example.com",
            "=?UTF-8?Q?the_whole_plan?=@example.com",
            "ana@@example.com",
            "ana.@example.com",
            ".ana@example.com",
            "a..b@example.com",
            "ana@example..com",
            "ana@-example.com",
            "ana@[192.0.2.1]",
            "ana@exa mple.com",
            "анна@example.com",
            "ana@пример.example",
            "\"Ana <ana@example.com>",
            "Ana (dev <ana@example.com>",
            "Ana) <ana@example.com>",
            "<ana@example.com> and more",
            "<<ana@example.com>>",
            "a\u{0}na@example.com",
            "an\u{202e}a@example.com",
            "\"\\",
        ];
        for value in all {
            assert_eq!(shown(value), None, "{value}");
        }
        assert_eq!(shown(&format!("{}@example.com", "a".repeat(65))), None);
        assert_eq!(shown(&format!("a@{}.com", "b.".repeat(80))), None);
        assert_eq!(shown(&format!("{} <ana@example.com>", "x".repeat(LONGEST))), None);
    }
}
