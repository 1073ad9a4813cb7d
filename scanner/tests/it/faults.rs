//! Whatever a tool answers: nothing of a bad page is stored, everything before it is kept, a sentence says what
//! happened, and the next scan goes on from there.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::sqlite;
use std::time::Duration;
use twinflow::scan::egress::Bounds;
use twinflow::store::State;
use twinflow_fixtures::{Fault, GitHub, Jira, RetryAfter, Service, ServiceOptions, canary};

/// Requests that connecting takes: whose token, and the stream's first page.
const CONNECTING_GITHUB: usize = 2;
const CONNECTING_JIRA: usize = 3;

async fn github() -> Bench {
    let clock = TestClock::new();
    let world = GitHub::new(&story(260, &clock), "acme/shop");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    quick(Bench::new(clock.clone(), sqlite(&clock).await, tool, &["acme/shop"]).await)
}

async fn jira() -> Bench {
    let clock = TestClock::new();
    let world = Jira::new(&story(650, &clock), "SHOP");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    quick(Bench::new(clock.clone(), sqlite(&clock).await, tool, &["SHOP"]).await)
}

/// Bounds that make a hang short and a large answer small.
fn quick(mut bench: Bench) -> Bench {
    bench.scanner.bounds = Bounds { deadline: Duration::from_secs(2), biggest: 4 << 20, side_by_side: 8 };
    bench
}

/// From the third round on every answer is bad: the first two pages are kept and no more, the sentence holds
/// `says`, no canary gets through, and when the tool is well again the log is the oracle's.
async fn survives(bench: Bench, connecting: usize, rounds: std::ops::Range<usize>, fault: Fault, says: &str) {
    let what = format!("{fault:?}");
    for nth in rounds {
        bench.tool.faults().on_request(connecting + nth, fault.clone());
    }
    let outcome = bench.scan().await;
    let before = bench.log().await;
    assert_eq!(outcome.state, State::Failed, "{what}: {:?}", outcome.reasons);
    assert!(outcome.reasons[0].contains(says), "{what}: {:?}", outcome.reasons);
    assert_eq!(canary::found_in(&format!("{outcome:?}")), Vec::<&str>::new(), "{what}");
    let facts = bench.facts();
    assert!(!before.is_empty() && before.len() < facts.len(), "{what}: {} kept", before.len());
    assert!(before.iter().all(|event| facts.contains(event)), "{what}: something made up was kept");

    bench.tool.faults().clear();
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Complete, "{what}: {:?}", outcome.reasons);
    assert!(bench.log().await == facts, "{what}: the log differs from what happened");
}

/// A promise for each way of going wrong, on both tools.
macro_rules! survives {
    ($($name:ident: $fault:expr, $says:literal;)+) => {
        mod github_answers { $(#[tokio::test] async fn $name() {
            // The timelines of long issues are asked for beside pages: all from the third round on are bad.
            super::survives(super::github().await, super::CONNECTING_GITHUB, 4..120, $fault, $says).await;
        })+ use super::*; }
        mod jira_answers { $(#[tokio::test] async fn $name() {
            super::survives(super::jira().await, super::CONNECTING_JIRA, 5..120, $fault, $says).await;
        })+ use super::*; }
    };
}

survives! {
    that_are_cut_short: Fault::Truncated, "ends in the middle";
    that_break_off: Fault::CutConnection, "broke off";
    that_are_a_login_page: Fault::Html, "a web page where JSON was expected";
    that_have_other_types: Fault::WrongType, "unexpected shape";
    that_are_not_utf8: Fault::NotUtf8, "not valid UTF-8";
    that_are_nested_too_deep: Fault::DeepKnown(10_000), "shape";
    that_are_far_too_large: Fault::Huge { bytes: 100 << 20 }, "larger than 4 MiB";
    that_unfold_to_something_far_too_large: Fault::GzipBomb { bytes: 100 << 20 }, "larger than 4 MiB";
    that_say_gzip_and_are_none: Fault::BadGzip, "broke off";
    that_are_half_a_gzip: Fault::TruncatedGzip, "broke off";
    that_come_from_the_year_0: Fault::Year(0), "unexpected shape";
    that_come_from_the_year_9999: Fault::Year(9999), "unexpected shape";
    that_are_full_of_nulls: Fault::Null, "unexpected shape";
    that_send_elsewhere: Fault::RedirectTo("http://127.0.0.1:1/".into()), "points elsewhere (HTTP 302)";
    that_are_trouble_for_ever: Fault::ServerError(503), "in trouble (HTTP 503)";
    that_go_in_circles: Fault::SamePageForEver, "same page again and again";
    that_are_empty_for_ever: Fault::EmptyForEver, "same page again and again";
}

/// The slow ones, each once: five tries of two seconds would be sat out for real.
async fn times_out(fault: Fault) {
    let mut bench = github().await;
    bench.scanner.bounds.deadline = Duration::from_secs(1);
    survives(bench, CONNECTING_GITHUB, 4..120, fault, "no whole answer came within").await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up() {
    times_out(Fault::Hang).await;
}

#[tokio::test]
async fn an_answer_whose_body_never_comes_is_given_up() {
    times_out(Fault::HeadersOnly).await;
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up() {
    times_out(Fault::Slow { bytes: 1, every: Duration::from_millis(20) }).await;
}

#[tokio::test]
async fn what_is_nested_deep_where_nobody_looks_is_skipped_and_harms_nothing() {
    for bench in [github().await, jira().await] {
        bench.tool.faults().always(Fault::DeepUnknown(10_000));
        assert_eq!(bench.scan().await.state, State::Complete);
        assert!(bench.log().await == bench.facts());
    }
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_token_to_another_host() {
    let bench = github().await;
    let clock = TestClock::new();
    let elsewhere =
        Service::start(GitHub::new(&story(1, &clock), "acme/shop"), ServiceOptions::default()).await.unwrap();
    bench.tool.faults().always(Fault::RedirectTo(format!("{}/graphql", elsewhere.url())));
    assert_eq!(bench.scan().await.state, State::Failed);
    assert!(elsewhere.ledger().is_empty());
}

#[tokio::test]
async fn bad_answers_now_and_then_cost_a_second_try_and_nothing_else() {
    let passing = [
        Fault::Truncated,
        Fault::ServerError(500),
        Fault::Html,
        Fault::CutConnection,
        Fault::WrongType,
        Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(3)) },
        Fault::BadGzip,
        Fault::ServerError(504),
    ];
    for bench in [github().await, jira().await] {
        for (nth, fault) in passing.iter().enumerate() {
            bench.tool.faults().on_request(5 + 3 * nth, fault.clone());
        }
        let outcome = bench.scan().await;
        assert_eq!(outcome.state, State::Complete, "{:?}", outcome.reasons);
        assert!(bench.log().await == bench.facts());
    }
}

#[tokio::test]
async fn a_storm_of_limits_is_waited_out_and_never_answered_with_a_busy_loop() {
    let bench = github().await;
    bench.tool.faults().every(2, Fault::GitHubSecondaryLimit { status: 200, retry_after: None });
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Complete, "{:?}", outcome.reasons);
    assert!(bench.log().await == bench.facts());
    assert!(bench.clock.waits().iter().all(|wait| *wait >= Duration::from_secs(60)));
}
