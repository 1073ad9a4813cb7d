//! A sweep finds what happened: all of it, once, whatever the page size and wherever it is cut.

use crate::stage::{Stage, now, pages, told, truth};
use chrono::TimeDelta;
use std::collections::{HashMap, HashSet};
use twinflow_connectors::{ALL, Cursor, Event};

/// More than two pages of every tool, and three cases with long histories.
const CASES: usize = 210;

#[tokio::test]
async fn a_whole_sweep_finds_exactly_what_happened_whatever_the_page_size() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        let truth = truth(&stage);
        assert!(truth.len() > 5 * CASES);
        let (mut first_before, mut later_before) = (0, 0);
        for (halved, first) in (0..=4).flat_map(|halved| [(halved, true), (halved, false)]) {
            let mut sweep = if first { stage.begin() } else { stage.begin_later() };
            sweep.halved = halved;
            let rounds = stage.sweep(sweep).await;
            assert_eq!(told(pages(&rounds)), truth, "{} halved {halved} times", stage.stream.name);
            let requests: usize = rounds.iter().map(|round| round.requests.len()).sum();
            let before = if first { &mut first_before } else { &mut later_before };
            assert!(requests >= *before, "smaller pages, no fewer requests");
            *before = requests;
            let last = &rounds.last().unwrap().page.next;
            assert!(last.cases >= CASES as u64);
            assert_eq!(last.halved, halved);
            assert!(pages(&rounds).all(|page| page.next.skipped.is_empty()));
        }
    }
}

#[tokio::test]
async fn no_two_events_of_one_activity_have_the_same_source() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        let rounds = stage.sweep(stage.begin()).await;
        let mut known: HashMap<_, &Event> = HashMap::new();
        for event in pages(&rounds).flat_map(|page| &page.events) {
            let before = known.insert((event.activity, &event.source), event);
            assert!(before.is_none_or(|before| before == event), "{event:?} and {before:?}");
        }
    }
}

#[tokio::test]
async fn every_id_an_event_or_a_case_uses_for_a_status_or_a_person_has_a_name() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        let rounds = stage.sweep(stage.begin()).await;
        let named: HashSet<_> =
            pages(&rounds).flat_map(|page| &page.names).map(|named| named.id.clone()).collect();
        for page in pages(&rounds) {
            let people = page.events.iter().filter_map(|event| event.resource.as_ref());
            let of_cases = page.cases.iter().flat_map(|case| [&case.status, &case.assignee, &case.priority]);
            for id in people.chain(of_cases.flatten()) {
                assert!(named.contains(id), "{id} has no name");
            }
        }
    }
}

#[tokio::test]
async fn the_same_answers_read_twice_mean_the_same() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        for round in stage.sweep(stage.begin()).await {
            let again = connector.read(&stage.stream, &round.at, &round.answers()).unwrap();
            assert_eq!(format!("{again:?}"), format!("{:?}", round.page));
        }
    }
}

#[tokio::test]
async fn a_sweep_cut_after_every_page_goes_on_from_its_stored_cursor() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        let (mut cursor, mut kept) = (Cursor::default(), Vec::new());
        for restart in 0_i32.. {
            let later = now() + TimeDelta::seconds(restart.into());
            let sweep = connector.begin(&stage.stream, &cursor, later);
            assert!(cursor.sweep.as_ref().is_none_or(|cut| *cut == sweep), "it goes on where it was cut");
            let page = stage.round(sweep).await.page;
            let text = serde_json::to_string(&cursor.after(page.next.clone())).unwrap();
            kept.push(page);
            cursor = serde_json::from_str(&text).unwrap();
            if cursor.sweep.is_none() {
                break;
            }
        }
        assert!(kept.len() > 1);
        assert_eq!(told(&kept), truth(&stage));
        let newest = kept.iter().flat_map(|page| &page.cases).map(|case| case.updated_at).max();
        assert!(cursor.mark >= newest && cursor.mark <= Some(now()));
    }
}

#[tokio::test]
async fn a_second_sweep_reads_what_changed_and_leaves_the_rest_alone() {
    for connector in ALL {
        let stage = Stage::of(*connector, CASES).await;
        let first = stage.sweep(stage.begin()).await;
        let cursor = Cursor::default().after(first.last().unwrap().page.next.clone());
        let later = now() + TimeDelta::hours(7);
        stage.service.set_now(later);
        assert!(stage.service.update_case(3, later - TimeDelta::hours(1)));
        let second = stage.sweep(connector.begin(&stage.stream, &cursor, later)).await;
        let met: HashSet<_> =
            pages(&second).flat_map(|page| &page.cases).map(|case| case.id.as_str()).collect();
        let changed = stage.service.cases()[3].clone().unwrap();
        assert!(met.contains(changed.as_str()));
        assert!(met.len() < CASES / 4, "{} cases were met again", met.len());
        assert_eq!(told(pages(&first).chain(pages(&second))), truth(&stage));
        let cursor = cursor.after(second.last().unwrap().page.next.clone());
        assert!(cursor.mark >= Some(later - TimeDelta::hours(1)));
    }
}

#[tokio::test]
async fn answers_that_do_not_match_the_questions_in_number_are_refused() {
    for connector in ALL {
        let stage = Stage::of(*connector, 5).await;
        for round in stage.sweep(stage.begin()).await {
            let mut answers = round.answers();
            answers.push(answers[0].clone());
            assert!(connector.read(&stage.stream, &round.at, &answers).is_err());
            assert!(connector.read(&stage.stream, &round.at, &[]).is_err());
        }
    }
}
