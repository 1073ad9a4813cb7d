//! What a single history means.

use super::tests::{assigned, event, hours, moved, one, total, unassigned};
use super::*;
use twinflow_connectors::Activity;

#[test]
fn a_github_reopen_that_names_no_former_status_is_a_reopen() {
    let report = one("todo", vec![moved(10, "todo>done"), moved(30, ">todo")]);
    assert_eq!(report.reopens, Reopens { n: 1, reopened: 1, rate: Some(1.0) });
    assert_eq!(total(&report, "todo"), Some(hours(10 + 70)));
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn closing_again_with_another_reason_neither_reopens_nor_lengthens_the_cycle() {
    let report = one("declined", vec![moved(10, "todo>done"), moved(30, "todo>declined")]);
    assert_eq!(report.cycle_time.median, Some(hours(10)));
    assert_eq!(report.reopens.reopened, 0);
    assert_eq!(total(&report, "done"), None);
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn closed_and_reopened_within_one_second_comes_out_right_in_either_order() {
    for events in [[moved(10, "todo>done"), moved(10, ">todo")], [moved(10, ">todo"), moved(10, "todo>done")]]
    {
        let report = one("todo", events.into());
        assert_eq!((report.cases.open, report.reopens.reopened), (1, 1));
        assert_eq!(report.notes, Vec::<String>::new());
    }
}

#[test]
fn a_case_that_never_moved_waits_where_it_is() {
    let report = one("todo", vec![event(Activity::Created, 0, ">")]);
    assert_eq!(total(&report, "todo"), Some(hours(100)));
    assert_eq!(report.statuses[0].median, None);
    assert_eq!(report.statuses[0].share, Some(1.0));
}

#[test]
fn a_case_done_without_a_word_on_when_has_no_cycle_time_and_the_note_says_so() {
    let report = one("done", vec![]);
    assert_eq!((report.cases.done, report.cycle_time.n, report.reopens.n), (1, 0, 1));
    assert_eq!(report.notes, ["When 1 case became done is not in the log; cycle times leave it out."]);
}

#[test]
fn where_the_log_stops_short_the_case_itself_says_where_it_stands() {
    let report = one("done", vec![moved(10, "todo>work")]);
    assert_eq!((report.cases.done, report.cycle_time.n), (1, 0));
    assert_eq!(total(&report, "work"), None);
    assert_eq!(report.notes.len(), 2);
}

#[test]
fn a_status_of_unknown_stage_is_not_done_and_the_note_says_so() {
    let report = one("odd", vec![moved(10, "todo>odd")]);
    assert_eq!(report.cases.open, 1);
    assert_eq!(report.notes, ["Whether these statuses mean done is not known; they count as not done: Odd."]);
}

#[test]
fn work_changes_hands_also_across_a_time_when_nobody_had_it() {
    let passed = |events| one("todo", events).hand_overs.total;
    assert_eq!(passed(vec![assigned(1, ">ann"), assigned(2, "ann>bob"), assigned(3, "bob>ann")]), 2);
    assert_eq!(passed(vec![assigned(1, ">ann"), unassigned(2, "ann>"), assigned(3, ">bob")]), 1);
    assert_eq!(passed(vec![assigned(1, ">ann"), unassigned(2, "ann>"), assigned(3, ">ann")]), 0);
    // Bob joins her, then she leaves: bob has it, whoever was taken off it last.
    assert_eq!(
        passed(vec![assigned(1, ">ann"), assigned(2, ">bob"), unassigned(3, "ann>"), assigned(4, ">bob")]),
        1
    );
    // Created with ann, which Jira does not log.
    assert_eq!(passed(vec![unassigned(2, "ann>"), assigned(3, ">bob")]), 1);
}

#[test]
fn people_assigned_at_the_same_moment_are_a_team_not_a_hand_over() {
    let report = one("todo", vec![assigned(1, ">ann"), assigned(1, ">bob"), assigned(2, ">cyd")]);
    assert_eq!(report.hand_overs.total, 1);
}

#[test]
fn whoever_is_first_reassigned_had_it_from_the_start() {
    assert_eq!(one("todo", vec![assigned(5, "ann>bob")]).first_assignment.median, Some(Duration::ZERO));
    assert_eq!(one("todo", vec![assigned(5, ">bob")]).first_assignment.median, Some(hours(5)));
}

#[test]
fn what_happened_before_the_case_was_created_took_no_time() {
    let report = one("done", vec![moved(-5, "todo>work"), moved(10, "work>done")]);
    assert_eq!(report.cycle_time.median, Some(hours(10)));
    assert_eq!((total(&report, "todo"), total(&report, "work")), (Some(hours(0)), Some(hours(10))));
    assert_eq!(total(&one("work", vec![moved(-5, "todo>work")]), "work"), Some(hours(100)));
}

#[test]
fn events_in_the_wrong_order_are_put_right() {
    let report = one("done", vec![moved(10, "work>done"), moved(4, "todo>work")]);
    assert_eq!((total(&report, "todo"), total(&report, "work")), (Some(hours(4)), Some(hours(6))));
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn an_open_case_that_stands_where_the_log_does_not_lead_is_not_said_to_wait_there() {
    let report = one("review", vec![moved(10, "todo>work")]);
    assert_eq!((report.cases.open, total(&report, "work"), total(&report, "review")), (1, None, None));
    assert_eq!(
        report.notes,
        ["A status change is missing from the history of 1 case; times there are estimates."]
    );
}

#[test]
fn a_tool_that_never_says_what_was_left_begins_with_where_the_first_change_led() {
    let report = one("done", vec![moved(0, ">todo"), moved(10, ">work"), moved(30, ">done")]);
    assert_eq!((report.reopens.reopened, report.cycle_time.median), (0, Some(hours(30))));
    assert_eq!(total(&report, "todo"), Some(hours(10)));
}

#[test]
fn mail_waits_for_whoever_did_not_write_last() {
    let report = one(
        "todo",
        vec![
            event(Activity::Received, 0, ">todo"),
            event(Activity::Replied, 10, ">work"),
            event(Activity::Labelled, 12, ">x"),
            event(Activity::Received, 30, ">todo"),
        ],
    );
    assert_eq!((total(&report, "todo"), total(&report, "work")), (Some(hours(10 + 70)), Some(hours(20))));
}
