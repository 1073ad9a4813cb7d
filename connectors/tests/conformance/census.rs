//! A census brings the ids of the cases there are, and nothing else.

use crate::stage::{Round, Stage, now, pages};
use crate::text::kept;
use chrono::TimeDelta;
use std::collections::BTreeSet;
use twinflow_connectors::{ALL, Body, Connector, Cursor, Kind, Sweep};
use twinflow_fixtures::canary;

/// More than a page of GitHub's.
const CASES: usize = 210;

/// The connectors whose tools do not tell of what is deleted, with a census of so many cases.
async fn stages(cases: usize) -> Vec<(Stage, Sweep)> {
    let mut stages = Vec::new();
    for connector in ALL {
        let stage = Stage::of(*connector, cases).await;
        let census = connector.census(&stage.stream, now());
        stages.extend(census.map(|census| (stage, census)));
    }
    stages
}

fn present(rounds: &[Round]) -> BTreeSet<String> {
    pages(rounds).flat_map(|page| &page.present).map(ToString::to_string).collect()
}

fn there(stage: &Stage) -> BTreeSet<String> {
    stage.service.cases().into_iter().flatten().collect()
}

#[tokio::test]
async fn a_census_shows_the_cases_there_are_whatever_the_page_size() {
    for (stage, census) in stages(CASES).await {
        let gone = [0, 7, 100, 209].map(|nth| stage.service.delete_case(nth).unwrap());
        for halved in [0, 3, 5] {
            let rounds = stage.sweep(Sweep { halved, ..census.clone() }).await;
            assert_eq!(present(&rounds), there(&stage), "{}", stage.stream.name);
            assert!(gone.iter().all(|id| !present(&rounds).contains(id)));
            assert!(halved < 5 || rounds.len() > 1);
        }
    }
}

#[tokio::test]
async fn a_case_that_is_deleted_between_its_pages_takes_no_other_with_it() {
    for (stage, census) in stages(CASES).await {
        let first = stage.round(Sweep { halved: 6, ..census }).await;
        for nth in [0, 1, 100, 209] {
            stage.service.delete_case(nth).unwrap();
        }
        let mut rounds = stage.sweep(first.page.next.clone()).await;
        rounds.push(first);
        assert!(there(&stage).is_subset(&present(&rounds)), "{}", stage.stream.name);
    }
}

#[tokio::test]
async fn a_census_tells_ids_and_nothing_else() {
    for (stage, census) in stages(60).await {
        for round in stage.sweep(census).await {
            let page = &round.page;
            assert!(page.cases.is_empty() && page.events.is_empty());
            // Names of statuses that stand in our own source.
            assert!(page.names.iter().all(|named| named.kind == Kind::Status));
            assert!(page.revised.is_empty() && page.withdrawn.is_empty() && page.next.pending.is_empty());
            assert_eq!(page.next.cases, 0);
            assert_eq!(canary::found_in(&kept(page)), [""; 0]);
            for raw in &round.raws {
                assert_eq!(canary::found_in(raw.text()), [""; 0], "it was not asked for");
            }
        }
    }
}

#[tokio::test]
async fn a_census_is_asked_by_operations_of_its_own_that_name_no_field_but_the_id() {
    for (stage, census) in stages(5).await {
        for request in stage.connector.ask(&stage.stream, &census).unwrap() {
            assert!(stage.connector.contract().allows(&request));
            assert!(request.operation().name.starts_with("census"));
            match &request.operation().body {
                Body::GraphQl { document, .. } => assert!(document.contains("nodes { id }")),
                Body::Json(template) => assert!(template.contains(r#""fields": ["id"]"#)),
                Body::None => panic!("a question without a body"),
            }
        }
    }
}

#[tokio::test]
async fn a_whole_site_or_workspace_is_counted_too() {
    for (tool, whole) in [("jira", "site"), ("linear", "workspace")] {
        let connector: &dyn Connector = twinflow_connectors::find(tool).unwrap();
        let mut stage = Stage::of(connector, 30).await;
        stage.stream = connector.stream(whole).unwrap();
        let rounds = stage.sweep(connector.census(&stage.stream, now()).unwrap()).await;
        assert_eq!(present(&rounds), there(&stage));
    }
}

#[tokio::test]
async fn a_census_that_is_damaged_is_refused_or_holds_ids_alone() {
    for (stage, census) in stages(3).await {
        let round = stage.round(census).await;
        let raw = &round.raws[0];
        let read =
            |body: &[u8]| stage.connector.read(&stage.stream, &round.at, &[raw.answer_with(body.to_vec())]);
        for length in 0..raw.body.len() {
            assert!(read(&raw.body[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..raw.body.len() * 8 {
            let mut flipped = raw.body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(page) = read(&flipped) {
                assert!(page.present.iter().all(|id| !id.as_str().contains(char::is_whitespace)));
            }
        }
        assert!(stage.connector.read(&stage.stream, &round.at, &[]).is_err());
    }
}

#[test]
fn what_tells_of_deletions_itself_is_not_counted() {
    let counted = ALL.iter().filter_map(|connector| {
        let contract = connector.contract();
        let stream = ["acme/shop", "SHOP", "mailbox", "cases", "tickets"]
            .iter()
            .find_map(|name| connector.stream(name).ok());
        connector.census(&stream?, now()).map(|_| contract.tool)
    });
    assert_eq!(counted.collect::<Vec<_>>(), ["github", "jira", "linear"]);
}

#[tokio::test]
async fn a_census_is_not_taken_for_a_sweep_of_changes() {
    for (stage, census) in stages(5).await {
        let cursor = Cursor { sweep: None, ..Cursor::default() };
        let changes = stage.connector.begin(&stage.stream, &cursor, now() + TimeDelta::hours(1));
        assert!(
            changes.windows.iter().all(|it| census.windows.iter().all(|own| own.operation != it.operation))
        );
    }
}
