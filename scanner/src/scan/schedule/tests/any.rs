//! Whatever the line, the zone and the moment.

use super::*;
use chrono::TimeZone as _;
use proptest::prelude::*;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "America/St_Johns",
    "Pacific/Apia",
];

/// One field: what people write, and what nobody should.
fn field(low: u8, high: u8) -> impl Strategy<Value = String> {
    let value = low..=high;
    let pair = (value.clone(), value.clone()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (1..=high).prop_map(|step| format!("*/{step}")),
        3 => value.prop_map(|value| value.to_string()),
        2 => pair.clone().prop_map(|(from, to)| format!("{from}-{to}")),
        1 => (pair.clone(), 1..=high).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
        1 => pair.prop_map(|(one, two)| format!("{two},{one}")),
    ]
}

fn line() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Lines about the small hours, when clocks change.
fn nightly() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 5)).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
}

/// When some of the zones change their clocks.
const CHANGES: [&str; 9] = [
    "2026-03-08 07:00",
    "2026-03-29 01:00",
    "2026-04-04 15:00",
    "2026-10-03 15:30",
    "2026-10-25 01:00",
    "2026-11-01 06:00",
    "2026-02-15 02:00",
    "2026-03-22 02:00",
    "2011-12-30 10:00",
];

/// About the changes of clocks, and at any other time.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    let about = (proptest::sample::select(&CHANGES), -7 * 60..60_i64)
        .prop_map(|(change, minutes)| utc(change) + TimeDelta::minutes(minutes));
    prop_oneof![4 => about, 1 => (0..2_000_000_000_i64).prop_map(|at| DateTime::from_timestamp(at, 0).expect("in range"))]
}

/// What a daemon comes to that looks at the clock every minute, and sees when the clock has jumped.
fn looked_up(schedule: &Schedule, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let Rhythm::At(line) = &schedule.rhythm else { return vec![] };
    let minute = TimeDelta::minutes(1);
    let clock = |at: DateTime<Utc>| at.with_timezone(&schedule.zone).naive_local();
    let shown_by = clock(to) + TimeDelta::days(1);
    let next = |wall: &NaiveDateTime| line.after(*wall).filter(|wall| *wall < shown_by);
    let matching: BTreeSet<_> =
        std::iter::successors(next(&(clock(from) - TimeDelta::days(1))), next).collect();
    let matches = |wall: NaiveDateTime| matching.contains(&wall);
    let mut runs = vec![];
    let mut at = from;
    while at < to {
        at += minute;
        let again = schedule.zone.from_local_datetime(&clock(at)).earliest()
            != Some(at.with_timezone(&schedule.zone));
        let mut due = matches(clock(at)) && (line.repeats() || !again);
        let mut jumped_over = clock(at - minute) + minute;
        while jumped_over < clock(at) {
            due |= matches(jumped_over);
            jumped_over += minute;
        }
        if due {
            runs.push(at);
        }
    }
    runs
}

proptest! {
    #[test]
    fn every_slot_is_run_once_and_in_order(
        spec in prop_oneof![nightly(), line()],
        zone in proptest::sample::select(&ZONES),
        from in moment(),
        jitter in prop_oneof![Just(0), Just(60), 0..7200_u64],
        id in any::<u128>(),
    ) {
        let from = from - TimeDelta::seconds(from.timestamp() % 60);
        let to = from + TimeDelta::hours(8);
        let connection = Uuid::from_u128(id);
        let Ok(schedule) = Schedule::parse(&spec, zone, Some(Duration::from_secs(jitter))) else { return Ok(()) };
        let slots = looked_up(&schedule, from, to);
        prop_assert_eq!(&runs(&to_the_second(&spec, zone), connection, from, to), &slots);
        let mut now = from;
        let begun = schedule.slot_until(from, connection);
        let still_ahead = begun.filter(|slot| schedule.run(*slot, connection) > Some(from));
        for slot in still_ahead.iter().chain(&slots) {
            now = schedule.next_after(now, connection).expect("a slot is ahead");
            prop_assert!(*slot <= now, "{} before its slot {}", now, slot);
            let next = schedule.slot_after(*slot, connection).expect("goes on");
            prop_assert!(now < next, "{} not before the slot {} that follows", now, next);
            for within in [*slot + (next - slot) / 2, next - TimeDelta::milliseconds(1)] {
                prop_assert_eq!(schedule.slot_until(within, connection), Some(*slot));
            }
        }
    }

    #[test]
    fn an_interval_has_one_run_in_every_period(
        seconds in MINUTE..=366 * DAY, jitter in 0..DAY, from in moment(), id in any::<u128>(),
    ) {
        let connection = Uuid::from_u128(id);
        let spec = format!("{seconds}s");
        let grid = Schedule::parse(&spec, "UTC", None).expect("a schedule");
        let schedule = Schedule::parse(&spec, "UTC", Some(Duration::from_secs(jitter))).expect("a schedule");
        let mut slot = grid.next_after(from, connection).expect("due");
        let mut now = slot - TimeDelta::milliseconds(1);
        for _ in 0..20 {
            now = schedule.next_after(now, connection).expect("due");
            let next = grid.next_after(slot, connection).expect("due");
            prop_assert!(slot <= now && now < next);
            prop_assert_eq!((next - slot).num_seconds().unsigned_abs(), seconds);
            slot = next;
        }
    }

    #[test]
    fn nothing_that_is_written_breaks_it(spec in ".{0,40}", zone in ".{0,20}", jitter in any::<Option<Duration>>()) {
        let _ = Schedule::parse(&spec, "UTC", jitter);
        let _ = Schedule::parse("1h", &zone, jitter);
    }

    #[test]
    fn what_looks_like_a_schedule_is_read_and_read_again_or_refused(
        spec in prop_oneof![line(), "(every )?[0-9]{1,21}[smhd]{0,2}", "([0-9a-z*/,L#?@-]{1,7} ){4}[0-9a-z*/,-]{1,7}"],
        zone in proptest::sample::select(&ZONES),
        at in any::<i64>(),
    ) {
        let Ok(schedule) = Schedule::parse(&spec, zone, None) else { return Ok(()) };
        prop_assert_eq!(&Schedule::parse(&schedule.spec(), schedule.zone(), Some(schedule.jitter())), &Ok(schedule.clone()));
        let at = DateTime::from_timestamp_millis(at).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let next = schedule.next_after(at, someone());
        prop_assert!(next.is_none_or(|next| next > at));
    }
}
