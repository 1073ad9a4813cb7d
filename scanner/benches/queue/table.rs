//! What came of it, in a table for each question.

use crate::machine::Machine;
use crate::measure::{Measured, slots};
use comfy_table::{CellAlignment, Table, presets};

pub(crate) fn print(all: &[Measured], postgres: &str) {
    println!("Postgres {postgres}, commits durable; a worker has {} slots\n", slots(1));
    scheduler(all);
    workers(all);
    fairness(all);
    if let Ok(machine) = Machine::now() {
        println!("{machine} at the end");
    }
}

fn scheduler(all: &[Measured]) {
    println!("The scheduler: milliseconds of a tick (p50, p95), MB resident afterwards");
    let head = ["connections", "load", "opened/s", "idle", "p95", "all due", "p95", "rung/tick", "MB"];
    table(
        &head,
        all.iter().map(|it| {
            let megabytes = it.ring.resident_kib.max(it.fire.tick.resident_kib) as f64 / 1024.0;
            vec![
                it.connections.to_string(),
                format!("{:.1}", it.machine.load),
                format!("{:.0}", it.fire.per_second),
                format!("{:.1}", it.idle.p50_ms),
                format!("{:.1}", it.idle.p95_ms),
                format!("{:.1}", it.ring.p50_ms),
                format!("{:.1}", it.ring.p95_ms),
                format!("{:.0}", it.ring.rung as f64 / crate::measure::TICKS as f64),
                format!("{megabytes:.0}"),
            ]
        }),
    );
}

fn workers(all: &[Measured]) {
    println!(
        "Claimed and settled, end to end; beside the same ids through bare ones, with as many consumers"
    );
    let head = [
        "connections",
        "workers",
        "scans/s",
        "SKIP LOCKED/s",
        "ours/bare",
        "BRPOP/s",
        "ours/bare",
        "MB each",
    ];
    table(
        &head,
        all.iter().flat_map(|it| {
            it.drains.iter().map(|drain| {
                let ours = drain.ours.per_second;
                let beside = |bare: f64| format!("{:.3}", ours / bare);
                vec![
                    it.connections.to_string(),
                    drain.workers.to_string(),
                    format!("{ours:.0}"),
                    format!("{:.0}", drain.bare_postgres.per_second),
                    beside(drain.bare_postgres.per_second),
                    format!("{:.0}", drain.bare_redis.per_second),
                    beside(drain.bare_redis.per_second),
                    format!("{:.0}", drain.worker_kib as f64 / 1024.0),
                ]
            })
        }),
    );
}

fn fairness(all: &[Measured]) {
    println!("Milliseconds until a small tenant's scan begins, alone and beside a huge tenant's backlog");
    let head = ["connections", "alone", "p95", "beside", "p95", "p95 beside/alone", "backlog"];
    table(
        &head,
        all.iter().map(|it| {
            let it_is = &it.fairness;
            let (from, to) = it_is.backlog;
            vec![
                it.connections.to_string(),
                format!("{:.0}", it_is.alone.p50_ms),
                format!("{:.0}", it_is.alone.p95_ms),
                format!("{:.0}", it_is.beside_backlog.p50_ms),
                format!("{:.0}", it_is.beside_backlog.p95_ms),
                format!("{:.2}", it_is.beside_backlog.p95_ms / it_is.alone.p95_ms),
                format!("{from} to {to}"),
            ]
        }),
    );
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(head);
    table.add_rows(rows);
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{table}\n");
}
