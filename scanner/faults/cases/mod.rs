//! The matrix, one file for each family. What each family must notice is planted by a patch in `plants/`.

mod answers;
mod changes;
mod grants;
mod hands;
mod kills;
mod postgres;
mod redis;
mod signals;

pub(crate) use kills::never_put_aside;

use crate::case::Case;

pub(crate) fn all() -> Vec<&'static Case> {
    let families: [&[Case]; 8] = [
        kills::CASES,
        signals::CASES,
        redis::CASES,
        postgres::CASES,
        answers::CASES,
        changes::CASES,
        grants::CASES,
        hands::CASES,
    ];
    let mut all: Vec<_> = families.into_iter().flatten().collect();
    all.sort_by_key(|case| case.id);
    all
}
