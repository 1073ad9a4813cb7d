//! Which scans are meant: by the first letters of their ids, or by how they stand.

use crate::store::{ErrorClass, Scan, State, Store, WantedScans};
use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

/// States in which a scan goes on by itself.
pub(super) const UNDER_WAY: [State; 3] = [State::Queued, State::Running, State::Waiting];

/// Which scans, by how they stand.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Filter {
    /// Only in these states: once for each, or with commas
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',', hide_possible_values = true, help = states())]
    pub state: Vec<State>,
    /// Only of this connection, by its name
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// Only with this kind of error
    #[arg(long, value_name = "CLASS", value_enum, hide_possible_values = true, help = classes())]
    pub error: Option<ErrorClass>,
}

fn states() -> String {
    let words: Vec<_> = State::ALL.iter().map(|state| state.word()).collect();
    format!("Only in these states, with commas between: {}", words.join(", "))
}

fn classes() -> String {
    let words: Vec<_> = ErrorClass::ALL.iter().map(|class| class.word()).collect();
    format!("Only with this kind of error: {}", words.join(", "))
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        self.state.is_empty() && self.connection.is_none() && self.error.is_none()
    }

    pub(super) async fn wanted(&self, store: &dyn Store, limit: i64) -> Result<WantedScans> {
        let connection = match &self.connection {
            Some(name) => Some(store.connection(name).await?.id),
            None => None,
        };
        Ok(WantedScans {
            connection,
            states: self.state.clone(),
            error: self.error,
            ..WantedScans::newest(limit)
        })
    }
}

/// The one scan whose id begins with these letters.
pub(super) async fn by_id(store: &dyn Store, id: &str) -> Result<Scan> {
    let none = || anyhow!("no scan's id begins with {id:?}; `twinflow scans` lists them");
    let ids = Some(beginning_with(id).ok_or_else(none)?);
    let mut scans = store.scans(&WantedScans { ids, ..WantedScans::newest(2) }).await?;
    match (scans.pop(), scans.is_empty()) {
        (Some(scan), true) => Ok(scan),
        (None, _) => Err(none()),
        (Some(_), false) => bail!("several scans' ids begin with {id:?}; say more of it"),
    }
}

/// The first and the last id that begin so.
fn beginning_with(letters: &str) -> Option<(Uuid, Uuid)> {
    let digits = letters.replace('-', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let padded = |with: char| {
        let rest = 32_usize.checked_sub(digits.len())?;
        Uuid::try_parse(&format!("{digits}{}", with.to_string().repeat(rest))).ok()
    };
    Some((padded('0')?, padded('f')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letters_of_an_id_are_all_ids_that_begin_so() {
        let (low, high) = beginning_with("ABcd-1").expect("hexadecimal");
        assert!(
            low.to_string().starts_with("abcd1000-0000") && high.to_string().starts_with("abcd1fff-ffff")
        );
        let whole = "0b5c8f4e-1d2a-4c3b-8e9f-0a1b2c3d4e5f";
        assert_eq!(beginning_with(whole).map(|(low, high)| low == high), Some(true));
        for none in ["", "-", "xyz", "é", &"0".repeat(33)] {
            assert_eq!(beginning_with(none), None, "{none:?}");
        }
    }
}
