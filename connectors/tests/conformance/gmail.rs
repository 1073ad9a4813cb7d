//! What is special to Gmail: a history without times that is forgotten, states that follow from labels, senders
//! who may write anything.
#![expect(unreachable_pub, reason = "shared with the file beside it")]

use crate::stage::{Happening, Raw, Round, Stage, now, pages, story, told, truth};
use crate::text::kept;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use twinflow_connectors::{Case, Connector, Cursor, Page, Refusal, Stream, Wait, find};
use twinflow_fixtures::{Fault, Gmail, RetryAfter, Stage as To, What, Who, canary};

/// Activities that a reader dates to its own sweep.
const WITHOUT_TIME: [&str; 5] = ["archived", "unarchived", "labelled", "unlabelled", "deleted"];

pub fn gmail() -> &'static dyn Connector {
    find("gmail").unwrap()
}

pub fn mailbox() -> Stream {
    gmail().stream("mailbox").unwrap()
}

async fn stage(cases: usize) -> Stage {
    Stage::with("gmail", Gmail::new(&story(cases)), "mailbox").await
}

pub fn refusal(raw: &Raw) -> Option<Refusal> {
    gmail().refusal(&raw.answer())
}

fn cursor_after(rounds: &[Round], before: &Cursor) -> Cursor {
    before.after(rounds.last().unwrap().page.next.clone())
}

/// Reads on from a cursor at this time, and says where it then stands.
async fn follow(stage: &Stage, cursor: &Cursor, at: DateTime<Utc>) -> (Vec<Round>, Cursor) {
    stage.service.set_now(at);
    let rounds = stage.sweep(gmail().begin(&stage.stream, cursor, at)).await;
    let cursor = cursor_after(&rounds, cursor);
    (rounds, cursor)
}

/// The same with what has no time of its own dated to one moment.
fn dated(happenings: Vec<Happening>, at: DateTime<Utc>) -> Vec<Happening> {
    let mut all = happenings;
    for it in all.iter_mut().filter(|it| WITHOUT_TIME.contains(&it.1.as_str())) {
        it.3 = at;
    }
    all.sort();
    all
}

fn mail_alone(happenings: Vec<Happening>) -> Vec<Happening> {
    happenings.into_iter().filter(|it| !WITHOUT_TIME.contains(&it.1.as_str())).collect()
}

/// Cases as a store keeps them: the earliest beginning, and how they stood when they last changed.
pub fn states<'a>(pages: impl IntoIterator<Item = &'a Page>) -> BTreeMap<String, Case> {
    let mut states: BTreeMap<String, Case> = BTreeMap::new();
    for case in pages.into_iter().flat_map(|page| &page.cases) {
        let known = states.entry(case.id.to_string()).or_insert_with(|| case.clone());
        let created_at = known.created_at.min(case.created_at);
        if case.updated_at >= known.updated_at {
            *known = Case { status: case.status.clone().or(known.status.take()), ..case.clone() };
        }
        known.created_at = created_at;
    }
    states
}

pub fn status(states: &BTreeMap<String, Case>, case: &str) -> String {
    states[case].status.as_ref().unwrap().to_string()
}

#[tokio::test]
async fn of_all_prose_only_what_stands_in_the_three_headers_comes_and_nothing_of_it_is_kept() {
    let stage = stage(60).await;
    let first = stage.sweep(stage.begin()).await;
    let cursor = cursor_after(&first, &Cursor::default());
    for (nth, what) in [What::Assign(1), What::Comment, What::Label(2), What::Lock].into_iter().enumerate() {
        assert!(stage.service.add_event(nth, now(), Who::Person(3), what));
    }
    let (second, _) = follow(&stage, &cursor, now() + TimeDelta::hours(1)).await;
    let mut came = BTreeSet::new();
    for round in first.iter().chain(&second) {
        came.extend(round.raws.iter().flat_map(|raw| canary::found_in(raw.text())));
        assert_eq!(canary::found_in(&kept(&round.page)), [""; 0]);
    }
    assert_eq!(came.len(), 2, "{came:?}");
    assert!(came.iter().all(|it| it.contains("-display-name-") || it.contains("-in-reply-to-")), "{came:?}");
}

#[tokio::test]
async fn where_the_history_stands_is_known_before_anything_is_listed() {
    let stage = stage(20).await;
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(rounds[0].operations(), ["profile", "labels"]);
    assert_eq!(rounds[1].operations(), ["messages"]);
    assert!(rounds[0].page.next.bookmark.is_some());
    let cursor = cursor_after(&rounds, &Cursor::default());
    assert_eq!(cursor.bookmark, rounds[0].page.next.bookmark);
    assert_eq!(cursor.mark, Some(now()));
    let (second, after) = follow(&stage, &cursor, now() + TimeDelta::hours(1)).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].operations(), ["history", "labels"]);
    assert!(told(pages(&second)).is_empty());
    assert_eq!((after.bookmark, after.mark), (cursor.bookmark, Some(now() + TimeDelta::hours(1))));
}

#[tokio::test]
async fn look_ups_never_pile_up_and_are_never_more_than_forty_side_by_side() {
    let stage = stage(150).await;
    let rounds = stage.sweep(stage.begin()).await;
    let lists = rounds.iter().filter(|round| round.operations().contains(&"messages")).count();
    assert!(lists >= 3);
    for round in &rounds {
        assert!(round.requests.len() <= 41 && round.page.next.pending.len() <= 540);
        let listing = round.operations().contains(&"messages");
        assert!(!listing || round.at.pending.len() <= 40, "listed with {} left", round.at.pending.len());
    }
    let beside = |round: &Round| round.operations().starts_with(&["messages", "message"]);
    assert!(rounds.iter().any(beside), "the next list is asked for beside the last look-ups");
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn what_changes_while_the_mailbox_is_read_is_found_by_then_or_by_the_next_sweep() {
    let stage = stage(80).await;
    let (mut at, mut rounds) = (stage.begin(), Vec::new());
    let mut gone = Vec::new();
    while !at.is_done() {
        let round = stage.round(at).await;
        at = round.page.next.clone();
        rounds.push(round);
        let nth = rounds.len();
        if nth > 12 {
            continue;
        }
        let when = now() + TimeDelta::seconds(i64::try_from(nth).unwrap());
        let whats =
            [What::Assign(1), What::Comment, What::Label(3), What::Move(To::ToDo), What::Lock, What::Sprint];
        for (more, what) in whats.into_iter().enumerate() {
            assert!(stage.service.add_event(nth * 5 + more % 4, when, Who::Person(2), what));
        }
        stage.service.add_case(when);
        if nth.is_multiple_of(4) {
            gone.push(stage.service.delete_case(nth).unwrap());
        }
    }
    let later = now() + TimeDelta::hours(1);
    let (second, _) = follow(&stage, &cursor_after(&rounds, &Cursor::default()), later).await;
    let found = told(pages(&rounds).chain(pages(&second)));
    // Of threads that were deleted, some mail was read before.
    let lives = |it: &Happening| !gone.contains(&it.0) || WITHOUT_TIME.contains(&it.1.as_str());
    let found: Vec<_> = found.into_iter().filter(lives).collect();
    assert_eq!(found, dated(truth(&stage), later));
    assert!(pages(&rounds).chain(pages(&second)).all(|page| page.next.skipped.is_empty()));
}

#[tokio::test]
async fn label_changes_are_dated_to_the_sweep_that_finds_them_and_keep_their_order() {
    let stage = stage(20).await;
    let first = stage.sweep(stage.begin()).await;
    let cursor = cursor_after(&first, &Cursor::default());
    let whats = [
        What::Comment,
        What::Label(1),
        What::Lock,
        What::MarkDuplicate,
        What::Unlock,
        What::Unlabel(1),
        What::UnmarkDuplicate,
        What::Priority(twinflow_fixtures::Priority::High),
        What::Kind(twinflow_fixtures::Kind::Bug),
    ];
    for (minute, what) in (1..).zip(whats) {
        assert!(stage.service.add_event(4, now() + TimeDelta::minutes(minute), Who::Person(1), what));
    }
    let later = now() + TimeDelta::hours(2);
    let (second, after) = follow(&stage, &cursor, later).await;
    let found = told(pages(&first).chain(pages(&second)));
    assert_eq!(found, dated(truth(&stage), later));
    let mut events: Vec<_> = pages(&second).flat_map(|page| &page.events).collect();
    events.retain(|event| WITHOUT_TIME.contains(&event.activity.word()));
    assert!(events.iter().all(|event| event.resource.is_none() && event.at == later));
    events.sort_by_key(|event| event.turn);
    let mut order: Vec<_> = events.iter().map(|event| event.activity.word()).collect();
    order.dedup();
    assert_eq!(
        order,
        ["labelled", "archived", "labelled", "unarchived", "unlabelled"],
        "the system's own labels are no events"
    );
    // Small pages, the same events.
    let mut small = gmail().begin(&stage.stream, &cursor, later);
    small.halved = 9;
    let slowly = stage.sweep(small).await;
    assert!(slowly.len() > second.len());
    let events = |rounds: &[Round]| {
        let each = pages(rounds).flat_map(|page| &page.events);
        each.map(|event| format!("{event:?}")).collect::<BTreeSet<_>>()
    };
    assert_eq!(events(&slowly), events(&second));
    assert_eq!(cursor_after(&slowly, &cursor).bookmark, after.bookmark);
}

#[tokio::test]
async fn many_sweeps_in_a_row_find_everything_once() {
    let stage = stage(30).await;
    let mut rounds = stage.sweep(stage.begin()).await;
    let mut cursor = cursor_after(&rounds, &Cursor::default());
    let whats =
        [What::Label(0), What::Comment, What::Lock, What::Assign(2), What::Unlabel(0), What::Milestone];
    for (hour, what) in (1..=12).zip(whats.into_iter().cycle()) {
        let at = now() + TimeDelta::hours(hour);
        for nth in 0..3 {
            assert!(stage.service.add_event(nth, at - TimeDelta::minutes(5), Who::Person(4), what));
        }
        let (more, after) = follow(&stage, &cursor, at).await;
        cursor = after;
        rounds.extend(more);
    }
    let found = told(pages(&rounds));
    assert_eq!(dated(found, now()), dated(truth(&stage), now()));
    let (nothing, _) = follow(&stage, &cursor, now() + TimeDelta::hours(13)).await;
    assert!(pages(&nothing).all(|page| page.events.is_empty()), "what was read is not read again");
}

#[tokio::test]
async fn a_forgotten_history_costs_the_label_changes_it_held_and_says_so() {
    let world = Gmail::new(&story(40)).keeping_history_for(TimeDelta::days(7));
    let stage = Stage::with("gmail", world, "mailbox").await;
    let first = stage.sweep(stage.begin()).await;
    let cursor = cursor_after(&first, &Cursor::default());
    for (nth, what) in [What::Label(1), What::Comment, What::Lock, What::Assign(3)].into_iter().enumerate() {
        assert!(stage.service.add_event(nth, now() + TimeDelta::days(1), Who::Person(1), what));
    }
    let lost = truth(&stage).len();
    let late = now() + TimeDelta::days(20);
    let (second, after) = follow(&stage, &cursor, late).await;
    assert_eq!(second[0].raws[0].status, 404);
    assert_eq!(second[1].operations(), ["profile"]);
    let skipped = &second.last().unwrap().page.next.skipped;
    let sentences: Vec<_> = skipped.iter().collect();
    assert_eq!(sentences.len(), 1);
    assert!(
        sentences[0]
            .0
            .contains("label changes between 2026-03-04T15:00:00Z and 2026-03-24T15:00:00Z are unknown")
    );
    let found = told(pages(&first).chain(pages(&second)));
    assert_eq!(found, mail_alone(truth(&stage)));
    assert!(found.len() < lost);

    // From the new bookmark on, nothing is lost any more.
    assert!(stage.service.add_event(7, late + TimeDelta::minutes(1), Who::Person(1), What::Label(5)));
    let (third, _) = follow(&stage, &after, late + TimeDelta::hours(1)).await;
    let activities: Vec<_> =
        pages(&third).flat_map(|page| &page.events).map(|it| it.activity.word()).collect();
    assert_eq!(activities, ["labelled"]);
    assert!(pages(&third).all(|page| page.next.skipped.is_empty()));
}

#[tokio::test]
async fn a_thread_stands_where_its_newest_mail_leaves_it() {
    let stage = stage(40).await;
    let first = stage.sweep(stage.begin()).await;
    let before = states(pages(&first));
    let cursor = cursor_after(&first, &Cursor::default());
    let cases: Vec<String> = stage.service.cases().into_iter().flatten().collect();
    let soon = |minutes: i64| now() + TimeDelta::minutes(minutes);
    let tell = |nth: usize, whats: &[What]| {
        for (minute, what) in (1..).zip(whats) {
            assert!(stage.service.add_event(nth, soon(minute), Who::Person(0), *what));
        }
    };
    tell(0, &[What::Comment]);
    tell(1, &[What::Comment, What::Assign(1)]);
    tell(2, &[What::Comment, What::Lock]);
    tell(4, &[What::Comment, What::Lock, What::Move(To::ToDo)]);
    tell(6, &[What::Assign(1), What::Lock, What::Unlock]);
    tell(8, &[What::Label(4)]);
    let (second, _) = follow(&stage, &cursor, soon(60)).await;
    let after = states(pages(&first).chain(pages(&second)));
    let expected = [(0, "received"), (1, "answered"), (2, "archived"), (4, "received")];
    for (nth, expected) in expected {
        assert_eq!(status(&after, &cases[nth]), expected, "thread {nth}");
    }
    assert_eq!(
        status(&after, &cases[8]),
        status(&before, &cases[8]),
        "a label says nothing of where it waits"
    );
    assert!(cases.iter().all(|case| after[case].created_at == before[case].created_at));
    let newest = second.last().unwrap().page.next.clone();
    assert_eq!(newest.skipped, BTreeMap::new());
    // Mail that comes after an archived state was read is not held back by it.
    assert!(stage.service.add_event(2, soon(61), Who::Person(0), What::Comment));
    let (third, _) = follow(&stage, &cursor_after(&second, &cursor), soon(120)).await;
    let after = states(pages(&first).chain(pages(&second)).chain(pages(&third)));
    assert_eq!(status(&after, &cases[2]), "received");
}

#[tokio::test]
async fn the_pretend_tools_noes_are_understood() {
    let stage = stage(2).await;
    let table = [
        (Fault::TooManyRequests { retry_after: None }, Refusal::SlowDown(Wait::Unsaid)),
        (
            Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(9)) },
            Refusal::SlowDown(Wait::For(Duration::from_secs(9))),
        ),
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::ServerError(502), Refusal::Trouble(502)),
    ];
    for (fault, expected) in table {
        stage.service.faults().next(fault.clone());
        assert_eq!(stage.refusal().await, Some(expected), "{fault:?}");
    }
    stage.service.hide("mailbox");
    assert_eq!(stage.refusal().await, Some(Refusal::Gone));
    stage.service.show("mailbox");
    assert_eq!(stage.refusal().await, None);
    stage.service.revoke();
    assert_eq!(stage.refusal().await, Some(Refusal::Unauthorised));
}

#[tokio::test]
async fn a_used_up_minute_is_a_limit_and_the_next_one_goes_on() {
    let world = Gmail::new(&story(30)).with_units_a_minute(200);
    let stage = Stage::with("gmail", world, "mailbox").await;
    // One and one, five for the list, and nine look-ups of 20.
    let mut at = stage.begin();
    for _ in 0..2 {
        at = stage.round(at).await.page.next;
    }
    let requests = gmail().ask(&stage.stream, &at).unwrap();
    for request in &requests[..9] {
        assert_eq!(refusal(&stage.send(request).await), None);
    }
    let limit = Some(Refusal::SlowDown(Wait::Unsaid));
    assert_eq!(refusal(&stage.send(&requests[9]).await), limit);
    stage.service.set_now(now() + TimeDelta::minutes(1));
    assert_eq!(refusal(&stage.send(&requests[9]).await), None);
}
