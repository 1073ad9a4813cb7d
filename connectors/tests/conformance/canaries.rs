//! Prose goes in, none comes out.

use crate::stage::{Raw, Stage, pages};
use crate::text::kept;
use serde_json::Value;
use twinflow_connectors::ALL;
use twinflow_fixtures::canary;

/// What tools call the fields that hold prose.
const CONTENT: [&str; 12] = [
    "title",
    "body",
    "bodyText",
    "summary",
    "description",
    "comment",
    "fromString",
    "toString",
    "emailAddress",
    "url",
    "text",
    "historyMetadata",
];

/// A decoder that keeps everything: what a connector must not be.
fn leaky(raw: &Raw) -> String {
    serde_json::from_slice::<Value>(&raw.body).unwrap().to_string()
}

/// The same answer with canaries under every key of [`CONTENT`] in every object that lacks it.
fn planted(raw: &Raw) -> Raw {
    let mut value: Value = serde_json::from_slice(&raw.body).unwrap();
    let all = canary::all();
    let proses: Vec<_> = all.chunks(all.len().div_ceil(CONTENT.len())).map(|some| some.join(" ")).collect();
    plant(&mut value, &proses);
    Raw { body: value.to_string().into_bytes(), ..raw.clone() }
}

fn plant(value: &mut Value, proses: &[String]) {
    match value {
        Value::Object(entries) => {
            entries.values_mut().for_each(|value| plant(value, proses));
            for (key, prose) in CONTENT.iter().zip(proses) {
                entries.entry(*key).or_insert_with(|| prose.as_str().into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| plant(value, proses)),
        _ => {}
    }
}

#[tokio::test]
async fn no_canary_survives_a_reading() {
    for connector in ALL {
        let stage = Stage::of(*connector, 120).await;
        for page in pages(&stage.sweep(stage.begin()).await) {
            assert_eq!(canary::found_in(&kept(page)), [""; 0]);
        }
        let account = connector.account(&stage.probe().await.answer()).unwrap();
        let text = format!("{account:?} {} {}", account.id, account.name.as_str());
        assert_eq!(canary::found_in(&text), [""; 0]);
    }
}

#[tokio::test]
async fn a_decoder_that_keeps_everything_is_caught_by_the_same_search() {
    for connector in ALL {
        let stage = Stage::of(*connector, 120).await;
        let mut caught = Vec::new();
        for round in stage.sweep(stage.begin()).await {
            caught.extend(round.raws.iter().flat_map(|raw| canary::found_in(&leaky(raw))));
        }
        assert_eq!(stage.content_comes_along, !caught.is_empty());
        // A field that is there already, like the account's own address, is left as it is.
        let first = stage.round(stage.begin()).await.raws;
        let first: String = first.iter().map(|raw| leaky(&planted(raw))).collect();
        assert_eq!(canary::found_in(&first), canary::all());
        if connector.contract().tool == "jira" {
            let expected = [
                "from-string",
                "to-string",
                "summary",
                "description",
                "email",
                "avatar-url",
                "history-metadata",
                "dictionary-description",
            ];
            for field in expected {
                assert!(caught.iter().any(|canary| canary.contains(field)), "no {field} came along");
            }
        }
    }
}

#[tokio::test]
async fn content_nobody_asked_for_is_not_sent_where_the_tool_lets_us_say_so() {
    for connector in ALL {
        let stage = Stage::of(*connector, 120).await;
        if stage.content_comes_along {
            continue;
        }
        let mut raws = vec![stage.probe().await];
        raws.extend(stage.sweep(stage.begin()).await.into_iter().flat_map(|round| round.raws));
        for raw in &raws {
            assert_eq!(canary::found_in(raw.text()), [""; 0]);
        }
        assert!(raws.iter().any(|raw| raw.text().contains("fay-support")), "people's logins are asked for");
    }
}

#[tokio::test]
async fn content_sent_all_the_same_changes_nothing() {
    for connector in ALL {
        let stage = Stage::of(*connector, 60).await;
        for round in stage.sweep(stage.begin()).await {
            let hostile: Vec<_> = round.raws.iter().map(|raw| planted(raw).answer()).collect();
            assert!(hostile.iter().all(|answer| connector.refusal(answer).is_none()));
            let page = connector.read(&stage.stream, &round.at, &hostile).unwrap();
            assert_eq!(kept(&page), kept(&round.page));
        }
        let probe = stage.probe().await;
        let account = connector.account(&planted(&probe).answer()).unwrap();
        assert_eq!(account, connector.account(&probe.answer()).unwrap());
    }
}

#[tokio::test]
async fn an_answer_prints_without_its_body_and_headers() {
    for connector in ALL {
        let stage = Stage::of(*connector, 5).await;
        let round = stage.round(stage.begin()).await;
        for raw in &round.raws {
            let hostile = planted(raw).with("x-note", canary::all()[0]).answer();
            assert_eq!(canary::found_in(&format!("{hostile:?} {hostile:#?}")), [""; 0]);
        }
    }
}
