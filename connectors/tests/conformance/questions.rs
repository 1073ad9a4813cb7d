//! What is asked: operations of the contract, with nothing but the declared parameters filled in.

#[path = "questions/changed.rs"]
mod changed;
#[path = "questions/template.rs"]
mod template;

use crate::stage::{Stage, now};
use chrono::TimeDelta;
use std::collections::HashSet;
use template::{Found, declared, parameters};
use twinflow_connectors::{ALL, Body, Cursor, Method, Operation, Pending, Place};

#[tokio::test]
async fn every_question_is_the_contracts_own_and_differs_in_declared_parameters_alone() {
    for connector in ALL {
        let contract = connector.contract();
        let stage = Stage::of(*connector, 120).await;
        let mut requests = vec![connector.probe().unwrap()];
        requests.extend(stage.sweep(stage.begin()).await.into_iter().flat_map(|round| round.requests));
        let mark = Cursor { mark: Some(now()), ..Cursor::default() };
        let fresh = connector.begin(&stage.stream, &mark, now() + TimeDelta::hours(1));
        requests.extend(connector.ask(&stage.stream, &fresh).unwrap());
        for request in &requests {
            assert!(contract.allows(request));
            let filled = parameters(request).unwrap();
            let declared = declared(request.operation());
            assert!(filled.keys().all(|name| declared.contains(name)), "{filled:?}");
        }
        for asked in stage.service.ledger() {
            let path = stage.path_of(&asked.path);
            let is_it = |it: &&&Operation| {
                it.method.word() == asked.method && Found::default().text(it.path, path).is_ok()
            };
            assert!(contract.operations.iter().any(|it| is_it(&it)), "{} {path}", asked.method);
            assert!(asked.fault.is_none() && asked.status == 200);
        }
    }
}

#[test]
fn no_contract_allows_the_questions_of_another() {
    for mine in ALL {
        for yours in ALL {
            let same = mine.contract().tool == yours.contract().tool;
            assert_eq!(mine.contract().allows(&yours.probe().unwrap()), same);
        }
    }
}

#[test]
fn every_contract_tells_a_person_what_it_asks_keeps_and_never_asks_for() {
    let tools: HashSet<_> = ALL.iter().map(|connector| connector.contract().tool).collect();
    assert_eq!(tools.len(), ALL.len(), "every tool has a name of its own");
    for connector in ALL {
        let contract = connector.contract();
        assert!(contract.base_url.starts_with("https://"));
        assert!(!contract.stored.is_empty() && !contract.never.is_empty() && !contract.scopes.is_empty());
        let names: HashSet<_> = contract.operations.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len(), contract.operations.len());
        for operation in contract.operations {
            assert!(operation.path.starts_with('/') && !operation.path.contains('?'));
            assert!(!operation.why.is_empty());
            assert_eq!(operation.method == Method::Get, matches!(operation.body, Body::None));
        }
    }
}

#[test]
fn a_stream_has_one_spelling_and_no_room_for_a_second_question() {
    let hostile = [
        "",
        " ",
        "SHOP\" OR project = \"HR",
        "acme/shop\"}",
        "acme/shop/../x",
        "acme",
        "/",
        "a/b/c",
        "acme/",
        "/shop",
        "SHOP\n",
        "shop",
        "s",
        "é/é",
        "ПРОЕКТ",
        "acme/shop#1",
        "a b/c",
        &"X".repeat(300),
        &format!("a/{}", "b".repeat(101)),
    ];
    for connector in ALL {
        for name in hostile {
            assert!(connector.stream(name).is_err(), "{} takes {name:?}", connector.contract().tool);
        }
    }
}

#[tokio::test]
async fn a_cursor_somebody_tampered_with_asks_no_other_question() {
    let words = ["\"}], \"expand\": \"*all\"", "1 OR 1=1", "\u{0}", "../../user", "é", "{project}", "-1"];
    for connector in ALL {
        let stage = Stage::of(*connector, 5).await;
        let operations: Vec<String> = connector
            .contract()
            .operations
            .iter()
            .map(|it| it.name.to_owned())
            .chain(["no such".into()])
            .collect();
        for word in words {
            for operation in &operations {
                for halved in [0, 7, 63, 64, 255] {
                    let mut sweep = stage.begin();
                    sweep.halved = halved;
                    for window in &mut sweep.windows {
                        window.page = Place::After(word.to_owned());
                        window.since = word.to_owned();
                    }
                    let (cases, page) = (vec![word.to_owned()], Some(word.to_owned()));
                    sweep.pending = vec![Pending { operation: operation.clone(), cases, page }];
                    let Ok(requests) = connector.ask(&stage.stream, &sweep) else { continue };
                    for request in &requests {
                        assert!(connector.contract().allows(request));
                        parameters(request).unwrap();
                    }
                }
            }
        }
    }
}
