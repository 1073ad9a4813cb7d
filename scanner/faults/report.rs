//! One line per case, and a sum.

use crate::case::{Case, Told};
use crate::oracle::Difference;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    what: &'a str,
    struck: usize,
    #[serde(flatten)]
    difference: Difference,
    whole_in_s: f64,
    took_s: f64,
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    misses: &'a [String],
    examples: &'a [String],
    notes: &'a [String],
}

pub(crate) fn print(case: &Case, told: &Told, took: std::time::Duration, json: bool) {
    if json {
        let line = Line {
            id: case.id,
            what: case.what,
            struck: told.struck,
            difference: told.difference,
            whole_in_s: told.whole_in.as_secs_f64(),
            took_s: took.as_secs_f64(),
            good: told.skipped.is_none() && told.is_good(),
            skipped: told.skipped.as_deref(),
            misses: &told.misses,
            examples: &told.examples,
            notes: &told.notes,
        };
        println!("{}", serde_json::to_string(&line).unwrap_or_default());
        return;
    }
    let name = format!("{} {}", case.id, case.what);
    if let Some(why) = &told.skipped {
        println!("{name:<58} skipped: {why}");
        return;
    }
    let Difference { lost, twice, foreign, back } = told.difference;
    println!(
        "{:<58} lost {lost}  twice {twice}  foreign {foreign}  back {back}  whole in {:.1} s  ({:.0} s){}",
        format!("{name} x{}", told.struck),
        told.whole_in.as_secs_f64(),
        took.as_secs_f64(),
        if told.is_good() { "" } else { "  MISS" },
    );
    told.misses.iter().chain(&told.examples).take(12).for_each(|miss| println!("      {miss}"));
    told.notes.iter().for_each(|note| println!("      ({note})"));
}
