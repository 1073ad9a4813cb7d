//! `twinflow events`

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{LoggedEvent, Names, Store, Wanted};
use anyhow::{Result, bail};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::ValueEnum;
use serde::Serialize;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use twinflow_connectors::{Activity, Kind};

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Times are UTC. --since and --until take 2026-11-01, 2026-11-01T09:00:00Z, or an age: 90m, 12h, 7d."
)]
pub(super) struct Args {
    /// Only this case, by its key or id: acme/shop#12, SHOP-7, 10063
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Only this connection, by its name
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only from then on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many at most, oldest first [default: 100 in a table, all otherwise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For spreadsheets and process-mining tools
    Csv,
    /// One array
    Json,
}

/// Events fetched from the database at a time.
const PAGE: i64 = 2000;

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let clock = Clock::system();
    let store = settings.open_store(clock.clone()).await?;
    let connection = match &args.connection {
        Some(name) => Some(store.connection(name).await?.id),
        None => None,
    };
    let wanted = Wanted {
        connection,
        case: args.case.clone(),
        since: args.since.as_deref().map(|text| moment(text, clock.now())).transpose()?,
        until: args.until.as_deref().map(|text| moment(text, clock.now())).transpose()?,
        after: None,
        limit: PAGE,
    };
    let limit = args.limit.unwrap_or(if args.format == Format::Table { 100 } else { u64::MAX });
    let mut writer = writer(args.format)?;
    let (shown, more) = copy(&*store, wanted, limit, &mut *writer).await?;
    writer.end()?;
    if shown == 0 {
        settings.remark(
            "No events. `twinflow scan` reads them; --since, --until and --case narrow what is shown.",
        );
    } else if more {
        settings.remark(&format!("Only the first {shown}; --limit shows more, --format csv all."));
    }
    Ok(End::Done)
}

/// Streams events to the writer, a page in memory at a time. How many, and whether there are more.
async fn copy(
    store: &dyn Store,
    mut wanted: Wanted,
    limit: u64,
    writer: &mut dyn Writer,
) -> Result<(u64, bool)> {
    let mut dictionary = Dictionary::new(store).await?;
    let mut shown = 0;
    loop {
        let page = store.events(&wanted).await?;
        let full = page.len() as i64 == wanted.limit;
        let Some(last) = page.last() else { return Ok((shown, false)) };
        wanted.after = Some((last.at, last.turn, last.id));
        for event in page {
            if shown == limit {
                return Ok((shown, true));
            }
            writer.event(&dictionary.row(event))?;
            shown += 1;
        }
        if !full {
            return Ok((shown, false));
        }
    }
}

/// A day, a moment, or an age.
pub(super) fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.with_timezone(&Utc));
    }
    if let Some(midnight) = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)) {
        return Ok(midnight.and_utc());
    }
    let age = text.char_indices().next_back().and_then(|(at, unit)| {
        let n: i64 = text.get(..at)?.parse().ok()?;
        match unit {
            'm' => TimeDelta::try_minutes(n),
            'h' => TimeDelta::try_hours(n),
            'd' => TimeDelta::try_days(n),
            _ => None,
        }
    });
    match age.and_then(|age| now.checked_sub_signed(age)) {
        Some(moment) => Ok(moment),
        None => {
            bail!("{text:?} is no time: write 2026-11-01, 2026-11-01T09:00:00Z, or an age like 90m, 12h, 7d")
        }
    }
}

/// An event with the names people use beside the ids.
#[derive(Serialize)]
struct Row {
    at: DateTime<Utc>,
    connection: String,
    case: String,
    key: String,
    activity: String,
    resource: Option<String>,
    resource_name: Option<String>,
    from: Option<String>,
    from_name: Option<String>,
    to: Option<String>,
    to_name: Option<String>,
    id: String,
}

/// The fields of [`Row`], as the heading of a table.
const COLUMNS: [&str; 12] = [
    "at",
    "connection",
    "case",
    "key",
    "activity",
    "resource",
    "resource_name",
    "from",
    "from_name",
    "to",
    "to_name",
    "id",
];

struct Dictionary(HashMap<String, Names>);

impl Dictionary {
    async fn new(store: &dyn Store) -> Result<Self> {
        let mut names = HashMap::new();
        for connection in store.connections().await? {
            names.insert(connection.name.clone(), store.names(connection.id).await?);
        }
        Ok(Self(names))
    }

    fn row(&mut self, event: LoggedEvent) -> Row {
        let names = self.0.entry(event.connection.clone()).or_default();
        let name = |kind: Option<Kind>, id: &Option<String>| {
            id.as_deref().map(|id| kind.map_or(id, |kind| names.name(kind, id)).to_owned())
        };
        let kind = value_of(&event.activity);
        Row {
            resource_name: name(Some(Kind::Person), &event.resource),
            from_name: name(kind, &event.from),
            to_name: name(kind, &event.to),
            at: event.at,
            key: event.key.unwrap_or_else(|| event.case.clone()),
            connection: event.connection,
            case: event.case,
            activity: event.activity,
            resource: event.resource,
            from: event.from,
            to: event.to,
            id: event.id.to_string(),
        }
    }
}

/// What kind of thing an activity's `from` and `to` are.
fn value_of(activity: &str) -> Option<Kind> {
    match Activity::from_word(activity)? {
        Activity::StatusChanged => Some(Kind::Status),
        Activity::Assigned | Activity::Unassigned => Some(Kind::Person),
        Activity::Labelled | Activity::Unlabelled => Some(Kind::Label),
        Activity::PriorityChanged => Some(Kind::Priority),
        _ => None,
    }
}

trait Writer {
    fn event(&mut self, row: &Row) -> Result<()>;
    fn end(&mut self) -> Result<()>;
}

fn writer(format: Format) -> Result<Box<dyn Writer>> {
    let out = BufWriter::new(io::stdout());
    Ok(match format {
        Format::Table => Box::new(Table(format::table(["AT", "CASE", "ACTIVITY", "BY", "FROM", "TO"]))),
        Format::Csv => Box::new(Csv::new(out)?),
        Format::Json => Box::new(Json { out, any: false }),
    })
}

struct Table(comfy_table::Table);

impl Writer for Table {
    fn event(&mut self, row: &Row) -> Result<()> {
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        self.0.add_row([
            format::moment(row.at),
            row.key.clone(),
            row.activity.clone(),
            shown(&row.resource_name),
            shown(&row.from_name),
            shown(&row.to_name),
        ]);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { format::print(&self.0) }
    }
}

struct Csv(csv::Writer<BufWriter<io::Stdout>>);

impl Csv {
    /// The heading is written at once, so that a log without events is a table too.
    fn new(out: BufWriter<io::Stdout>) -> Result<Self> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        writer.write_record(COLUMNS)?;
        Ok(Self(writer))
    }
}

impl Writer for Csv {
    fn event(&mut self, row: &Row) -> Result<()> {
        let safe = |text: &String| harmless(text);
        let maybe = |text: &Option<String>| text.as_ref().map(safe);
        Ok(self.0.serialize(Row {
            at: row.at,
            connection: safe(&row.connection),
            case: safe(&row.case),
            key: safe(&row.key),
            activity: row.activity.clone(),
            resource: maybe(&row.resource),
            resource_name: maybe(&row.resource_name),
            from: maybe(&row.from),
            from_name: maybe(&row.from_name),
            to: maybe(&row.to),
            to_name: maybe(&row.to_name),
            id: row.id.clone(),
        })?)
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// Spreadsheets run what begins like a formula; an apostrophe before it stops them (OWASP, CSV injection).
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

struct Json {
    out: BufWriter<io::Stdout>,
    any: bool,
}

impl Writer for Json {
    fn event(&mut self, row: &Row) -> Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"[\n" })?;
        self.any = true;
        Ok(serde_json::to_writer(&mut self.out, row)?)
    }

    fn end(&mut self) -> Result<()> {
        self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" })?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_a_moment_and_an_age_are_all_times() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T12:00:00Z").expect("a time").to_utc();
        let shown = |text| moment(text, now).map(format::moment).ok();
        assert_eq!(shown("2026-11-01").as_deref(), Some("2026-11-01T00:00:00Z"));
        assert_eq!(shown("2026-11-01T09:00:00+02:00").as_deref(), Some("2026-11-01T07:00:00Z"));
        assert_eq!(shown("36h").as_deref(), Some("2026-11-21T00:00:00Z"));
        for nonsense in ["", "d", "yesterday", "7y", "99999999999999999999d", "-", "é"] {
            assert_eq!(shown(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn what_begins_like_a_formula_is_not_run_by_a_spreadsheet() {
        assert_eq!(harmless("=cmd|'/C calc'!A0"), "'=cmd|'/C calc'!A0");
        assert_eq!(harmless("SHOP-1"), "SHOP-1");
    }
}
