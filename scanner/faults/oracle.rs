//! What really happened, beside what the event log says.

use crate::world::World;
use anyhow::Result;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::ops::AddAssign;
use twinflow_fixtures::Fact;
use uuid::Uuid;

/// By how much the log differs from what happened; all zero is what is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Difference {
    /// Happened, and is not in the log.
    pub(crate) lost: usize,
    /// Is in the log more often than it happened.
    pub(crate) twice: usize,
    /// Is in the log of whoever it did not happen to.
    pub(crate) foreign: usize,
    /// Cursors that moved back.
    pub(crate) back: usize,
}

impl Difference {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Difference {
    fn add_assign(&mut self, more: Self) {
        self.lost += more.lost;
        self.twice += more.twice;
        self.foreign += more.foreign;
        self.back += more.back;
    }
}

type Row = (Uuid, Uuid, String, DateTime<Utc>, String, Option<String>, Option<String>, Option<String>);

/// Compares everything that any tenant's log holds with what happened at the tools.
pub(crate) async fn compare(world: &World) -> Result<(Difference, Vec<String>)> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT tenant_id, connection_id, case_id, at, activity, resource, from_id, to_id FROM events",
    )
    .fetch_all(&world.database.superuser)
    .await?;
    let mut logs: HashMap<(Uuid, Uuid), HashMap<Fact, usize>> = HashMap::new();
    for (tenant, connection, case, at, activity, resource, from, to) in rows {
        let fact = Fact { stream: String::new(), case, at, activity, resource, from, to };
        *logs.entry((tenant, connection)).or_default().entry(fact).or_default() += 1;
    }
    let happened: Vec<HashMap<Fact, usize>> =
        world.tools.iter().map(|tool| counted(tool.service.facts())).collect();
    let (mut sum, mut examples) = (Difference::default(), vec![]);
    for connection in &world.connections {
        let log = logs.remove(&(connection.tenant, connection.id)).unwrap_or_default();
        let found = difference(&log, &happened[connection.tool]);
        sum += found;
        if !found.is_none() {
            examples.push(format!(
                "{}: {found:?}, as {}",
                connection.name,
                example(&log, &happened[connection.tool])
            ));
        }
    }
    // Nobody's, or somebody's under another tenant's name.
    sum.foreign += logs.values().flat_map(HashMap::values).sum::<usize>();
    let back: i64 =
        sqlx::query_scalar("SELECT count(*) FROM watch.back").fetch_one(&world.database.superuser).await?;
    sum.back = usize::try_from(back)?;
    Ok((sum, examples))
}

fn counted(facts: Vec<Fact>) -> HashMap<Fact, usize> {
    let mut counts = HashMap::new();
    for fact in facts {
        // The log does not repeat the stream per event.
        *counts.entry(Fact { stream: String::new(), ..fact }).or_default() += 1;
    }
    counts
}

fn difference(log: &HashMap<Fact, usize>, happened: &HashMap<Fact, usize>) -> Difference {
    let mut found = Difference::default();
    for (fact, times) in happened {
        let logged = log.get(fact).copied().unwrap_or(0);
        found.lost += times.saturating_sub(logged);
        found.twice += logged.saturating_sub(*times);
    }
    found.foreign =
        log.iter().filter(|(fact, _)| !happened.contains_key(*fact)).map(|(_, times)| times).sum();
    found
}

/// The first that is on one side alone.
fn example(log: &HashMap<Fact, usize>, happened: &HashMap<Fact, usize>) -> String {
    let lost = happened
        .iter()
        .filter(|(fact, times)| log.get(*fact) != Some(*times))
        .map(|(fact, _)| ("happened", fact));
    let made_up = log.keys().filter(|fact| !happened.contains_key(*fact)).map(|fact| ("logged", fact));
    let first = lost.chain(made_up).min_by_key(|(_, fact)| (fact.at, fact.case.clone()));
    first.map(|(side, fact)| format!("{side}: {fact}")).unwrap_or_default()
}
