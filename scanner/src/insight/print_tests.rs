//! What people read.

use super::tests::{HOUR, report, three};
use super::*;

#[test]
fn durations_are_said_in_two_units() {
    let said = |seconds| print::human(Duration::from_secs(seconds));
    assert_eq!(said(0), "0 s");
    assert_eq!(said(52 * 60 + 59), "52 min");
    assert_eq!(said(4 * HOUR + 600), "4 h 10 min");
    assert_eq!(said(76 * HOUR), "3 d 4 h");
    assert_eq!(said(48 * HOUR + 59), "2 d");
    assert_eq!(said(2_500 * HOUR), "104 d");
}

#[test]
fn the_printed_report_says_the_figures_and_how_many_cases_stand_behind_them() {
    let text = print::render(&[report(&three(), 100)]);
    for part in [
        "shop (jira) · 3 cases · 1 open, 2 done",
        "median 2 d 2 h, 85 of 100 within 2 d 9 h",
        "n = 2 done cases",
        "In review: 55 % of all time",
        "1 case, 3 d 8 h",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn before_the_first_scan_the_print_says_so() {
    assert!(print::render(&[]).starts_with("No cases yet: no tool is connected."));
    assert!(print::render(&[report(&[], 0)]).starts_with("No cases yet: nothing was read from shop (jira)."));
    let both = print::render(&[report(&three(), 100), report(&[], 100)]);
    assert!(both.contains("shop (jira)\nNo cases yet"), "{both}");
}

#[test]
fn a_printed_line_has_no_more_than_a_hundred_columns_even_with_long_names() {
    let mut report = report(&three(), 100);
    report.notes.push("word ".repeat(60));
    for it in &mut report.statuses {
        it.name = "Waiting for ".repeat(10);
        it.total = Duration::from_secs(u32::MAX.into());
        it.running_cases = 123_456;
    }
    report.slowest_step = report.statuses.first().cloned();
    for line in print::render(&[report]).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}
