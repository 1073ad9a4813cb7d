//! The days on which the clock is put forward or back are those of the IANA database.

mod any;

use super::*;
use chrono::NaiveDateTime;
use std::collections::BTreeSet;

fn read(spec: &str, zone: &str) -> Schedule {
    Schedule::parse(spec, zone, None).expect("a schedule")
}

fn to_the_second(spec: &str, zone: &str) -> Schedule {
    Schedule::parse(spec, zone, Some(Duration::ZERO)).expect("a schedule")
}

fn utc(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time").and_utc()
}

fn someone() -> Uuid {
    Uuid::from_u128(7)
}

/// What comes after this moment and not after that one.
fn runs(schedule: &Schedule, connection: Uuid, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let next = |at: &DateTime<Utc>| schedule.next_after(*at, connection).filter(|run| *run <= to);
    std::iter::successors(next(&from), next).collect()
}

/// The runs of a line without jitter, as the wall clock shows them then.
fn shown(spec: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
    let schedule = to_the_second(spec, zone);
    let runs = runs(&schedule, someone(), utc(from), utc(to));
    runs.iter().map(|run| run.with_timezone(&schedule.zone).format("%d %H:%M %:z").to_string()).collect()
}

#[test]
fn a_schedule_reads_as_what_it_was_written_as() {
    let cases = [
        ("every 15m", "every 15m", "every 15 minutes"),
        ("  15M ", "every 15m", "every 15 minutes"),
        ("every 60s", "every 1m", "every minute"),
        ("90s", "every 90s", "every 90 seconds"),
        ("every 90m", "every 90m", "every 90 minutes"),
        ("every 48h", "every 2d", "every 2 days"),
        ("every 366d", "every 366d", "every 366 days"),
        ("30 2 * * Mon-FRI", "30 2 * * 1-5", "at 30 2 * * 1-5 (Europe/Berlin)"),
        ("05\t 2 1,15 jan-Mar/2 fri-sun", "5 2 1,15 1-3/2 5-7", "at 5 2 1,15 1-3/2 5-7 (Europe/Berlin)"),
        ("*/15 * * dec sun", "*/15 * * 12 0", "at */15 * * 12 0 (Europe/Berlin)"),
    ];
    for (written, spec, people) in cases {
        let schedule = read(written, "Europe/Berlin");
        assert_eq!((schedule.spec().as_str(), schedule.to_string().as_str()), (spec, people), "{written}");
        assert_eq!(read(&schedule.spec(), schedule.zone()), schedule, "{written}");
    }
    assert_eq!(read("every 15m", "UTC"), Schedule::default());
}

#[test]
fn what_is_no_schedule_is_refused_with_what_to_write_instead() {
    let why = |spec: &str| Schedule::parse(spec, "UTC", None).expect_err(spec);
    for spec in ["", " ", "every", "hourly", "every day", "15", "15 m", "every m", "every -5m", "every 1.5h"]
    {
        assert!(why(spec).to_string().contains("write"), "{spec}: {}", why(spec));
    }
    for (spec, bad) in [
        ("every 59s", BadSchedule::TooOften),
        ("0m", BadSchedule::TooOften),
        ("every 367d", BadSchedule::TooRare),
        ("every 99999999999999999999d", BadSchedule::TooRare),
        ("every 18446744073709551615d", BadSchedule::TooRare),
        ("every 15 minutes", BadSchedule::Interval),
        ("@reboot", BadSchedule::Nickname),
        ("@daily", BadSchedule::Nickname),
        ("0 30 2 * * 1-5", BadSchedule::Fields),
        ("30 2 * *", BadSchedule::Fields),
        ("0 0 30 2 *", BadSchedule::Never),
        ("0 0 31 4,jun,9,11 *", BadSchedule::Never),
    ] {
        assert_eq!(why(spec), bad, "{spec}");
    }
    for (spec, step) in [("*/90 * * * *", "minute"), ("0 */0 * * *", "hour"), ("0 0 * */x *", "month")] {
        assert!(matches!(why(spec), BadSchedule::Step { field, .. } if field == step), "{spec}");
    }
    for (spec, at_fault) in [
        ("60 * * * *", "minute"),
        (", * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("5/15 * * * *", "minute"),
        ("*,5 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 5-3 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 L * *", "day of month"),
        ("0 0 * 1feb *", "month"),
        ("0 0 * mon *", "month"),
        ("0 0 * * monday", "day of week"),
        ("0 0 * * 5#2", "day of week"),
        ("0 0 * * \u{17f}un", "day of week"),
    ] {
        assert!(matches!(why(spec), BadSchedule::Field { field, .. } if field == at_fault), "{spec}");
    }
    for zone in ["", "CEST+1", "europe/berlin", "Berlin"] {
        assert_eq!(Schedule::parse("1h", zone, None), Err(BadSchedule::Zone), "{zone}");
    }
    assert_eq!(Schedule::parse("1h", "UTC", Some(Duration::MAX)), Err(BadSchedule::Jitter));
}

#[test]
fn an_interval_comes_round_to_the_second_and_a_missed_stretch_costs_one_run() {
    let schedule = read("every 15m", "UTC");
    let first = schedule.next_after(utc("2026-11-22 10:00"), someone()).expect("due");
    let second = schedule.next_after(first, someone()).expect("due");
    assert_eq!(second - first, TimeDelta::minutes(15));
    let missed_two_days = first + TimeDelta::hours(48) + TimeDelta::seconds(1);
    assert_eq!(schedule.next_after(missed_two_days, someone()), Some(second + TimeDelta::hours(48)));
}

#[test]
fn many_connections_spread_over_an_interval_by_themselves() {
    let schedule = read("every 15m", "UTC");
    let now = utc("2026-11-22 10:00");
    let mut due_in = [0; 15];
    for id in 0..15_000 {
        let due = schedule.next_after(now, Uuid::from_u128(id)).expect("due");
        let minute = usize::try_from((due - now).num_milliseconds() - 1).expect("later") / 60_000;
        due_in[minute] += 1;
    }
    assert!(due_in.iter().all(|due| (850..1150).contains(due)), "{due_in:?}");
}

#[test]
fn a_run_by_the_wall_clock_comes_a_jitter_after_its_slot_that_differs_from_connection_to_connection() {
    let schedule = read("30 2 * * *", "Europe/Berlin");
    assert_eq!(schedule.jitter(), Schedule::JITTER);
    let slot = utc("2026-11-23 01:30");
    let after = |id| schedule.next_after(utc("2026-11-22 10:00"), Uuid::from_u128(id)).expect("due") - slot;
    let waits: BTreeSet<_> = (0..600).map(after).collect();
    assert!(waits.iter().all(|wait| (TimeDelta::zero()..TimeDelta::minutes(1)).contains(wait)));
    assert!(waits.len() > 500, "hardly two at once");
    assert!(waits.last().expect("one") > &TimeDelta::seconds(55), "all of the minute is used");
}

#[test]
fn a_jitter_never_reaches_the_next_slot() {
    let schedule = Schedule::parse("* * * * *", "UTC", Some(Duration::from_secs(DAY))).expect("a schedule");
    for id in 0..50 {
        let (from, to) = (utc("2026-11-22 10:00"), utc("2026-11-22 11:00"));
        let runs = runs(&schedule, Uuid::from_u128(id), from, to);
        let into_the_minute = |run: &DateTime<Utc>| run.timestamp_millis().rem_euclid(60_000);
        assert!(runs.iter().all(|run| into_the_minute(run) < 30_000));
        assert!((59..=61).contains(&runs.len()), "{}", runs.len());
    }
}

#[test]
fn a_run_that_is_still_ahead_of_a_slot_that_has_begun_is_not_skipped() {
    let schedule = read("30 2 * * *", "UTC");
    let run = schedule.next_after(utc("2026-11-23 02:00"), someone()).expect("due");
    assert!(run > utc("2026-11-23 02:30"));
    assert_eq!(schedule.next_after(run - TimeDelta::milliseconds(1), someone()), Some(run));
    let tomorrow = schedule.next_after(run, someone()).expect("due");
    assert_eq!((tomorrow - run).num_hours() / 23, 1, "{tomorrow}");
}

#[test]
fn a_run_that_is_still_ahead_is_not_skipped_when_the_clock_is_put_back() {
    let schedule =
        Schedule::parse("50 * * * *", "Europe/Berlin", Some(Duration::from_secs(DAY))).expect("a schedule");
    let slot = utc("2026-10-25 00:50");
    for id in (0..100).map(Uuid::from_u128) {
        let run = schedule.next_after(slot - TimeDelta::minutes(30), id).expect("due");
        let run = if run < slot { schedule.next_after(run, id).expect("due") } else { run };
        assert!(run >= slot && run < slot + TimeDelta::minutes(30));
        assert_eq!(schedule.next_after(run - TimeDelta::milliseconds(1), id), Some(run));
    }
}

#[test]
fn a_time_that_the_clock_jumps_over_comes_once_when_the_clock_goes_on() {
    let berlin = shown("30 2 * * *", "Europe/Berlin", "2026-03-27 12:00", "2026-03-30 12:00");
    assert_eq!(berlin, ["28 02:30 +01:00", "29 03:00 +02:00", "30 02:30 +02:00"]);
    let new_york = shown("30 2 * * *", "America/New_York", "2026-03-07 12:00", "2026-03-09 12:00");
    assert_eq!(new_york, ["08 03:00 -04:00", "09 02:30 -04:00"]);
    let lord_howe = shown("15 2 * * *", "Australia/Lord_Howe", "2026-10-02 18:00", "2026-10-04 18:00");
    assert_eq!(lord_howe, ["04 02:30 +11:00", "05 02:15 +11:00"]);
}

#[test]
fn times_that_fall_together_after_a_jump_are_one_run() {
    let night = |spec| shown(spec, "Europe/Berlin", "2026-03-28 23:59", "2026-03-29 02:00");
    assert_eq!(night("0,30 2,3 * * *"), ["29 03:00 +02:00", "29 03:30 +02:00"]);
    assert_eq!(night("20,40 2 * * *"), ["29 03:00 +02:00"]);
}

#[test]
fn a_time_that_the_clock_shows_twice_comes_at_the_first() {
    let berlin = shown("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-26 12:00");
    assert_eq!(berlin, ["25 02:30 +02:00", "26 02:30 +01:00"]);
    let listed = shown("0,30 1-3 * * *", "Europe/Berlin", "2026-10-24 22:30", "2026-10-25 03:00");
    let hours =
        ["01:00 +02:00", "01:30 +02:00", "02:00 +02:00", "02:30 +02:00", "03:00 +01:00", "03:30 +01:00"];
    assert_eq!(listed, hours.map(|hour| format!("25 {hour}")));
    let new_york = shown("30 1 * * *", "America/New_York", "2026-10-31 12:00", "2026-11-02 12:00");
    assert_eq!(new_york, ["01 01:30 -04:00", "02 01:30 -05:00"]);
    let lord_howe = shown("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", "2026-04-05 18:00");
    assert_eq!(lord_howe, ["05 01:45 +11:00", "06 01:45 +10:30"]);
}

#[test]
fn a_line_that_runs_all_day_runs_on_through_a_change_of_the_clock() {
    for (zone, from, to) in [
        ("Europe/Berlin", "2026-03-28 20:00", "2026-03-29 06:00"),
        ("Europe/Berlin", "2026-10-24 20:00", "2026-10-25 06:00"),
        ("America/New_York", "2026-03-08 01:00", "2026-03-08 11:00"),
        ("America/New_York", "2026-11-01 01:00", "2026-11-01 11:00"),
        ("Australia/Lord_Howe", "2026-04-04 10:00", "2026-04-04 20:00"),
        ("Australia/Lord_Howe", "2026-10-03 10:00", "2026-10-03 20:00"),
        ("Asia/Kolkata", "2026-03-29 00:00", "2026-03-29 10:00"),
    ] {
        let runs = runs(&to_the_second("*/15 * * * *", zone), someone(), utc(from), utc(to));
        let quarters: Vec<_> = (1..=40).map(|n| utc(from) + TimeDelta::minutes(15 * n)).collect();
        assert_eq!(runs, quarters, "{zone} from {from}");
    }
}

#[test]
fn a_zone_that_never_changes_its_clock_has_the_same_time_every_day() {
    let schedule = to_the_second("30 2 * * *", "Asia/Kolkata");
    let runs = runs(&schedule, someone(), utc("2026-01-01 00:00"), utc("2027-01-01 00:00"));
    assert_eq!((runs.len(), runs[0]), (365, utc("2026-01-01 21:00")));
    assert!(runs.windows(2).all(|two| two[1] - two[0] == TimeDelta::days(1)));
}

#[test]
fn a_day_that_a_zone_leaves_out_is_run_when_the_next_begins() {
    let apia = shown("30 2 * * *", "Pacific/Apia", "2011-12-29 00:00", "2011-12-31 00:00");
    assert_eq!(apia, ["29 02:30 -10:00", "31 00:00 +14:00", "31 02:30 +14:00"]);
}

#[test]
fn a_leap_day_comes_when_there_is_one() {
    let schedule = to_the_second("0 12 29 2 *", "UTC");
    let leap_days = runs(&schedule, someone(), utc("2026-11-22 00:00"), utc("2037-01-01 00:00"));
    assert_eq!(leap_days, [utc("2028-02-29 12:00"), utc("2032-02-29 12:00"), utc("2036-02-29 12:00")]);
    let over_1900 = schedule.next_after(utc("2096-03-01 00:00"), someone());
    assert_eq!(over_1900, Some(utc("2104-02-29 12:00")), "2100 has none");
}

#[test]
fn days_match_either_field_unless_one_begins_with_a_star() {
    let days = |spec| shown(spec, "UTC", "2026-11-01 12:00", "2026-11-16 12:00");
    assert_eq!(days("0 0 10 * mon"), ["02", "09", "10", "16"].map(|day| format!("{day} 00:00 +00:00")));
    assert_eq!(days("0 0 */2 * mon"), ["09 00:00 +00:00"]);
    assert_eq!(days("0 0 10 * */1"), ["10 00:00 +00:00"]);
    assert_eq!(days("0 0 * * 7"), days("0 0 * * sun"));
}

#[test]
fn time_has_ends() {
    for spec in ["every 366d", "* * * * *", "0 0 29 2 *"] {
        let schedule = read(spec, "Pacific/Apia");
        let since_ever = schedule.next_after(DateTime::<Utc>::MIN_UTC, someone());
        assert!(since_ever.is_some_and(|first| first > DateTime::UNIX_EPOCH), "{spec}");
        assert_eq!(schedule.next_after(DateTime::<Utc>::MAX_UTC, someone()), None, "{spec}");
    }
}
