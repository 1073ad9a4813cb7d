//! Answers damaged in every way there is: each comes to a page or an error, never to a panic, and nothing of an
//! answer survives in an error.

#[path = "damage/scene.rs"]
mod scene;

use crate::stage::{Raw, Stage};
use crate::text::{Runs, kept, strings, values};
use chrono::{DateTime, Datelike, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scene::{PROSE, Scene, large, samples, small};
use serde_json::Value;
use std::collections::HashSet;
use twinflow_connectors::{ALL, Page, ReadError};
use twinflow_fixtures::{Fault, canary};

#[tokio::test]
async fn an_answer_cut_anywhere_is_an_error_that_quotes_nothing() {
    for connector in ALL {
        for (stage, rounds) in [small(*connector).await, large(*connector).await] {
            for mut scene in Scene::all(&stage, &rounds) {
                let body = scene.raw.body.clone();
                let step = body.len().div_ceil(samples(body.len(), body.len()));
                for length in (0..body.len()).step_by(step) {
                    assert!(scene.read(body[..length].to_vec()).is_err(), "cut at {length}");
                }
                scene.ends();
            }
        }
    }
}

#[tokio::test]
async fn an_answer_with_any_bit_flipped_never_panics_nor_lets_content_through() {
    for connector in ALL {
        for (stage, rounds) in [small(*connector).await, large(*connector).await] {
            for mut scene in Scene::all(&stage, &rounds) {
                let body = scene.raw.body.clone();
                let bits = body.len() * 8;
                let mut dice = ChaCha8Rng::seed_from_u64(bits as u64);
                let samples = samples(body.len(), bits);
                for nth in 0..samples {
                    let bit = if samples == bits { nth } else { dice.random_range(0..bits) };
                    let mut flipped = body.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    if let Ok(page) = scene.read(flipped) {
                        // Of a canary that was hit itself, half is left.
                        assert!(strings(&page).all(|text| !text.contains("CANARY")), "bit {bit}");
                    }
                }
                scene.ends();
            }
        }
    }
}

#[tokio::test]
async fn whose_account_it_is_survives_no_damage_either() {
    for connector in ALL {
        let stage = Stage::of(*connector, 2).await;
        let raw = stage.probe().await;
        let runs = Runs::of(raw.text());
        let check = |body: Vec<u8>| {
            let answer = raw.answer_with(body);
            let (account, refusal) = (connector.account(&answer), connector.refusal(&answer));
            let text = match account {
                Ok(account) => {
                    assert!(!account.id.as_str().contains(char::is_whitespace));
                    assert_eq!(canary::found_in(&format!("{account:?}")), [""; 0]);
                    format!("{refusal:?}")
                }
                Err(error) => format!("{error} {error:?} {refusal:?}"),
            };
            assert_eq!(runs.found_in(&text), None, "{text}");
            assert_eq!(canary::found_in(&text), [""; 0]);
        };
        for length in 0..raw.body.len() {
            check(raw.body[..length].to_vec());
        }
        for bit in 0..raw.body.len() * 8 {
            let mut flipped = raw.body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(flipped);
        }
        for at in values(raw.text()) {
            for other in replacements() {
                check(replaced(raw.text(), &at, &other).into_bytes());
            }
        }
    }
}

fn replaced(text: &str, at: &std::ops::Range<usize>, other: &str) -> String {
    format!("{}{other}{}", &text[..at.start], &text[at.end..])
}

/// What may stand where something else belongs.
fn replacements() -> Vec<String> {
    let mut all: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "7.5",
        "1e3",
        "18446744073709551615",
        "99999999999999999999999999",
        "1e999",
        "-1e999",
        "\"\"",
        "\"x\"",
        "\" \"",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\u202e\"",
        "[]",
        "[[]]",
        "{}",
        "{\"id\":{}}",
    ]
    .map(str::to_owned)
    .into();
    all.push(format!("\"{PROSE}\""));
    all.push(format!("\"{}\"", "x".repeat(10_000)));
    all.extend([0, 9999, 1969, 2200].map(|year| format!("\"{year:04}-02-03T04:05:06Z\"")));
    all.extend(["-62167219200", "253402300799000", "-9223372036854775808"].map(str::to_owned));
    all
}

#[tokio::test]
async fn anything_in_the_place_of_any_value_is_read_or_refused() {
    for connector in ALL {
        let (stage, rounds) = small(*connector).await;
        for mut scene in Scene::all(&stage, &rounds) {
            let text = scene.raw.text();
            let mut outcomes = [0_u32; 2];
            for (nth, at) in values(text).into_iter().enumerate() {
                for other in replacements_for(nth) {
                    match scene.read(replaced(text, &at, &other).into_bytes()) {
                        Ok(page) => {
                            outcomes[0] += 1;
                            assert_plausible(&page);
                        }
                        Err(_) => outcomes[1] += 1,
                    }
                }
            }
            // Both kinds are met: what is read is checked, what is not read is passed over.
            assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
            scene.ends();
        }
    }
}

/// Every kind of value each time, and a fifth of the odder ones.
fn replacements_for(nth: usize) -> impl Iterator<Item = String> {
    let (plain, odd): (Vec<_>, Vec<_>) = replacements()
        .into_iter()
        .partition(|it| ["null", "0", "[]", "{}"].contains(&it.as_str()) || it.contains(PROSE));
    plain.into_iter().chain(odd.into_iter().skip(nth % 5).step_by(5))
}

/// No time nobody works in, and no prose but where names stand.
fn assert_plausible(page: &Page) {
    let in_range = |at: &DateTime<Utc>| (1970..2200).contains(&at.year());
    assert!(page.events.iter().all(|event| in_range(&event.at)));
    assert!(page.cases.iter().all(|case| in_range(&case.created_at) && in_range(&case.updated_at)));
    assert!(page.next.reached.as_ref().is_none_or(in_range));
    assert!(page.names.iter().all(|named| named.name.as_str().chars().count() <= 128));
    assert!(page.names.iter().all(|named| !named.name.as_str().contains(char::is_control)));
    assert!(!format!("{:?} {:?}", page.cases, page.events).contains("secret"));
}

#[tokio::test]
async fn answers_nested_ten_thousand_deep_exhaust_nothing() {
    let deep = [
        "[".repeat(10_000) + &"]".repeat(10_000),
        "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000),
        "[".repeat(10_000),
    ];
    for connector in ALL {
        let (stage, rounds) = small(*connector).await;
        for mut scene in Scene::all(&stage, &rounds) {
            let text = scene.raw.text();
            let all = values(text);
            for at in all.iter().step_by(all.len().div_ceil(40)).chain(all.last()) {
                for other in &deep {
                    drop(scene.read(replaced(text, at, other).into_bytes()));
                }
            }
            scene.ends();
        }
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused_without_a_word_of_it() {
    for connector in ALL {
        let (stage, rounds) = small(*connector).await;
        for mut scene in Scene::all(&stage, &rounds) {
            let raw = scene.raw;
            let not_utf8: Vec<u8> =
                raw.body.iter().map(|byte| if *byte == b'a' { 0xff } else { *byte }).collect();
            assert!(matches!(scene.read(not_utf8), Err(ReadError::NotUtf8(_))));
            for body in ["", " ", "\u{feff}{}", PROSE, "<html>", "nul", "0", "\"\"", "[]x", "{\"data\":", "]"]
            {
                assert!(scene.read(body.as_bytes().to_vec()).is_err(), "{body}");
            }
            let mut twice = raw.body.clone();
            twice.extend_from_slice(&raw.body);
            assert!(scene.read(twice).is_err());
            for kind in ["text/html; charset=utf-8", "text/plain", ""] {
                let page = scene.read_answer(&raw.clone().with("content-type", kind).answer());
                assert!(matches!(page, Err(ReadError::NotJson(_))), "{kind:?}");
            }
            let bare = Raw { headers: vec![], ..raw.clone() };
            assert!(matches!(scene.read_answer(&bare.answer()), Err(ReadError::NotJson(_))));
            scene.ends();
        }
    }
}

#[tokio::test]
async fn faults_of_the_pretend_tool_come_to_a_page_or_an_error_too() {
    let faults = [
        Fault::Html,
        Fault::Truncated,
        Fault::NotUtf8,
        Fault::DeepUnknown(10_000),
        Fault::DeepKnown(10_000),
        Fault::WrongType,
        Fault::Null,
        Fault::Year(0),
        Fault::Year(9999),
        Fault::Empty,
        Fault::EmptyForEver,
        Fault::SamePageForEver,
    ];
    for connector in ALL {
        let (stage, rounds) = small(*connector).await;
        let harmless =
            [Fault::DeepUnknown(10_000), Fault::Empty, Fault::EmptyForEver, Fault::SamePageForEver];
        let mut refused = HashSet::new();
        for mut scene in Scene::all(&stage, &rounds) {
            let honest = serde_json::from_slice::<Value>(&scene.raw.body).ok();
            let honest_page = kept(&scene.read(scene.raw.body.clone()).unwrap());
            for fault in &faults {
                stage.service.faults().next(fault.clone());
                let raw = stage.send(scene.request).await;
                let read = scene.read_answer(&raw.answer());
                let changed = serde_json::from_slice::<Value>(&raw.body).ok() != honest;
                if changed && !harmless.contains(fault) {
                    // What is not read may be damaged as it likes.
                    let same = |page: &Page| kept(page) == honest_page;
                    assert!(!read.is_ok_and(|page| !same(&page)), "{fault:?} of {}", scene.operation());
                    refused.insert(format!("{fault:?}"));
                }
            }
            scene.ends();
        }
        assert_eq!(refused.len(), faults.len() - harmless.len(), "every harmful fault was met");
    }
}
