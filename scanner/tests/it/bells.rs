//! A bell is a hint: it arrives while it can, and whatever Redis does or holds, the next one arrives again.

use crate::support::bells::{Answering, QUICK, bells, ids, settled_keys, sorted, until};
use crate::support::redis::TestRedis;
use futures::FutureExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use twinflow::scan::bells::{Answerer, BellError, Bells, MOST, MemoryBells, Pace, RedisBells};
use twinflow::scan::watch::StopCord;
use uuid::Uuid;

#[tokio::test]
async fn a_bell_reaches_one_of_two_answerers_and_only_once() {
    let redis = TestRedis::start().await;
    let (one, other) = (Answering::new(&redis, 4), Answering::new(&redis, 4));
    let scans = ids(300);
    assert_eq!(one.bells.ring(&scans).await, Ok(300));
    until("all are heard", async || one.heard().len() + other.heard().len() >= 300).await;
    let mut heard = [one.heard(), other.heard()].concat();
    heard.sort();
    assert_eq!(heard, sorted(&scans));
    assert!(!one.heard().is_empty() && !other.heard().is_empty(), "one of them heard nothing");
}

#[tokio::test]
async fn bells_that_were_answered_leave_nothing_behind() {
    let redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 8);
    answering.hears_again().await;
    let before = settled_keys(&redis, &answering).await;
    for _ in 0..4 {
        assert_eq!(answering.bells.ring(&ids(1000)).await, Ok(1000));
        until("all are taken", async || answering.bells.outstanding().await == Ok(0)).await;
    }
    until("all are heard", async || answering.heard().len() == 4001).await;
    assert_eq!(settled_keys(&redis, &answering).await, before);
    assert_eq!((answering.bells.counted().garbage, answering.bells.counted().restarts), (0, 0));
}

#[tokio::test]
async fn two_installations_that_share_a_redis_hear_their_own_bells_alone() {
    let redis = TestRedis::start().await;
    let [ours, theirs] = ["twinflow", "twinflow-staging"]
        .map(|prefix| Answering::of(bells(&redis).with_prefix(prefix), 4, Semaphore::MAX_PERMITS));
    let scans = ids(40);
    assert_eq!(
        (ours.bells.ring(&scans[..20]).await, theirs.bells.ring(&scans[20..]).await),
        (Ok(20), Ok(20))
    );
    until("all are heard", async || ours.heard().len() + theirs.heard().len() >= 40).await;
    assert_eq!(
        [sorted(&ours.heard()), sorted(&theirs.heard())],
        [sorted(&scans[..20]), sorted(&scans[20..])]
    );
}

#[tokio::test]
async fn no_more_than_a_thousand_bells_wait() {
    let redis = TestRedis::start().await;
    let bells = bells(&redis);
    assert_eq!(bells.ring(&ids(600)).await, Ok(600));
    assert_eq!(bells.ring(&ids(1500)).await, Ok(400));
    assert_eq!(bells.ring(&ids(1)).await, Ok(0));
    assert_eq!(bells.outstanding().await, Ok(MOST));
    let answering = Answering::new(&redis, 8);
    until("all are heard", async || answering.heard().len() == MOST).await;
}

#[tokio::test]
async fn no_more_answers_than_slots_are_given_at_a_time() {
    let redis = TestRedis::start().await;
    let answering = Answering::holding(&redis, 2);
    answering.bells.ring(&ids(5)).await.unwrap();
    until("two are begun", async || answering.begun() == 2).await;
    answering.let_go(1);
    until("a third is begun", async || answering.begun() == 3).await;
    assert_eq!(answering.bells.outstanding().await, Ok(2));
    answering.let_go(4);
    until("all are heard", async || answering.heard().len() == 5).await;
}

#[tokio::test]
async fn after_everything_was_flushed_answers_go_on_in_their_slots_and_new_bells_are_heard() {
    let redis = TestRedis::start().await;
    let answering = Answering::holding(&redis, 2);
    let scans = ids(1);
    answering.bells.ring(&scans).await.unwrap();
    until("it is begun", async || answering.begun() == 1).await;
    redis.ask::<()>(&["FLUSHALL"]).await;
    until("the worker is built anew", async || answering.bells.counted().restarts > 0).await;
    until("the way is whole", async || !answering.bells.is_away()).await;
    answering.bells.ring(&ids(3)).await.unwrap();
    until("the other slot is taken", async || answering.begun() == 2).await;
    answering.let_go(4);
    until("all are heard", async || answering.heard().len() == 4).await;
    assert!(answering.heard().contains(&scans[0]), "it was cut short");
    assert!(answering.most() <= 2, "{} at a time in 2 slots", answering.most());
}

#[tokio::test]
async fn after_a_restart_of_redis_bells_are_heard_again() {
    let mut redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 2);
    for _ in 0..3 {
        answering.hears_again().await;
        redis.stop();
        redis.start_again().await;
    }
    answering.hears_again().await;
}

#[tokio::test]
async fn while_redis_is_away_everybody_is_told_so_soon() {
    let mut redis = TestRedis::not_yet();
    let answering = Answering::new(&redis, 2);
    let ringing = bells(&redis);
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(ringing.ring(&ids(1)).await, Err(BellError::Away));
        assert_eq!(ringing.outstanding().await, Err(BellError::Away));
        assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
        assert!(ringing.is_away());
        until("the worker knows", async || answering.bells.is_away()).await;
        redis.start_again().await;
        answering.hears_again().await;
        until("it rings again", async || ringing.ring(&ids(1)).await == Ok(1)).await;
        assert!(!ringing.is_away());
        redis.stop();
    }
}

#[tokio::test]
async fn a_stall_of_two_seconds_loses_no_worker() {
    let redis = TestRedis::start().await;
    let pace = Pace { response: Pace::default().response, ..QUICK };
    let answering = Answering::of(bells(&redis).with_pace(pace), 2, Semaphore::MAX_PERMITS);
    answering.hears_again().await;
    redis.stall();
    let (scans, ringing) = (ids(1), answering.bells.clone());
    let ring = tokio::spawn(async move { ringing.ring(&scans).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    redis.go_on();
    assert_eq!(ring.await.unwrap(), Ok(1));
    until("it is heard", async || answering.heard().len() == 2).await;
    answering.hears_again().await;
    assert_eq!(answering.bells.counted().restarts, 0);
}

#[tokio::test]
async fn a_stall_that_is_too_long_is_told_and_got_over() {
    let redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 2);
    answering.hears_again().await;
    redis.stall();
    assert_eq!(answering.bells.ring(&ids(1)).await, Err(BellError::Away));
    until("the worker knows", async || answering.bells.counted().restarts > 0).await;
    redis.go_on();
    answering.hears_again().await;
}

/// Forged by somebody who can write to Redis.
const FORGED: &[&[&[&str]]] = &[
    &[&["LPUSH", "active", "x"]],
    &[&["LPUSH", "active", ""]],
    &[&["LPUSH", "active", "00000000000000000000000000000000"]],
    &[
        &["HSET", "data", "a", "{"],
        &["HSET", "meta:a", "attempts", "0", "max_attempts", "1", "status", "Pending"],
        &["LPUSH", "active", "a"],
    ],
    &[
        &["HSET", "data", "a", "x"],
        &["HSET", "meta:a", "attempts", "-1", "status", "?"],
        &["LPUSH", "active", "a"],
    ],
    &[&["HSET", "data", "a", "x"], &["SET", "meta:a", "x"], &["LPUSH", "active", "a"]],
    &[&["ZADD", "scheduled", "1", "x"]],
    &[&["ZADD", "scheduled", "9000000000000000", "x"]],
    &[&["SET", "scheduled", "x"]],
    &[&["DEL", "active"], &["SET", "active", "x"]],
    &[&["DEL", "data"], &["SET", "data", "x"]],
    &[&["DEL", "workers"], &["SET", "workers", "x"]],
    &[&["ZADD", "workers", "1", "dead"], &["SET", "inflight:dead", "x"]],
    &[&["ZADD", "workers", "1", "dead"], &["DEL", "inflight:dead"], &["SADD", "inflight:dead", "x", "y"]],
];

#[tokio::test]
async fn forged_messages_are_thrown_away_and_the_next_bell_is_heard() {
    let redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 2);
    for forged in FORGED {
        answering.hears_again().await;
        for words in *forged {
            let key = format!("twinflow-scans-1:{}", words[1]);
            let words = [&words[..1], &[key.as_str()], &words[2..]].concat();
            redis.ask::<redis::Value>(&words).await;
        }
        answering.hears_again().await;
    }
    redis.ask::<()>(&["SET", "core:apalis:queues:list", "x"]).await;
    redis.ask::<()>(&["DEL", "twinflow-scans-1:workers"]).await;
    answering.hears_again().await;
    assert!(answering.bells.counted().garbage > 0);
}

#[tokio::test]
async fn a_message_of_ten_megabytes_and_a_flood_of_them_are_thrown_away() {
    let redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 2);
    answering.hears_again().await;
    let (id, huge) = (Uuid::new_v4().simple().to_string(), "9".repeat(10_000_000));
    let meta = format!("twinflow-scans-1:meta:{id}");
    redis.ask::<()>(&["HSET", "twinflow-scans-1:data", &id, &huge]).await;
    redis.ask::<()>(&["HSET", &meta, "attempts", "0", "max_attempts", "1", "status", "Pending"]).await;
    redis.ask::<()>(&["LPUSH", "twinflow-scans-1:active", &id]).await;
    until("it is counted", async || answering.bells.counted().garbage > 0).await;
    answering.hears_again().await;
    // Few enough to be no flood, and too many to trip over one by one.
    let some: Vec<String> = (0..2000).map(|n| format!("x{n}")).collect();
    let some = some.iter().map(String::as_str);
    redis.ask::<()>(&["LPUSH", "twinflow-scans-1:active"].into_iter().chain(some).collect::<Vec<_>>()).await;
    answering.hears_again().await;
    // More than Lua's `unpack` takes.
    let many: Vec<String> = (0..9000).map(|n| format!("x{n}")).collect();
    let scored: Vec<&str> = many.iter().flat_map(|id| ["1", id.as_str()]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    redis.ask::<()>(&[&["LPUSH", "twinflow-scans-1:active"], many.as_slice()].concat()).await;
    answering.hears_again().await;
    redis.ask::<()>(&[&["ZADD", "twinflow-scans-1:scheduled"], scored.as_slice()].concat()).await;
    answering.hears_again().await;
    redis.ask::<()>(&["ZADD", "twinflow-scans-1:workers", "1", "dead"]).await;
    redis.ask::<()>(&[&["SADD", "twinflow-scans-1:inflight:dead"], many.as_slice()].concat()).await;
    answering.hears_again().await;
    let ids = ["HSET", "twinflow-scans-1:data"].into_iter().chain(many.iter().flat_map(|id| [*id, "x"]));
    redis.ask::<()>(&ids.collect::<Vec<_>>()).await;
    answering.hears_again().await;
    until("whoever rings throws it all away", async || {
        answering.bells.outstanding().await == Ok(0) && answering.left(&redis).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn who_stops_takes_no_new_bell_finishes_its_answers_and_leaves_no_entry() {
    let redis = TestRedis::start().await;
    let answering = Answering::holding(&redis, 2);
    answering.bells.ring(&ids(5)).await.unwrap();
    until("two are begun", async || answering.begun() == 2).await;
    answering.stop.pull();
    answering.let_go(1);
    until("one is finished", async || answering.heard().len() == 1).await;
    assert!(!answering.task.is_finished(), "it left before its last answer");
    answering.let_go(4);
    let ringing = answering.bells.clone();
    let heard = answering.ended().await;
    assert_eq!(heard.len(), 2);
    assert_eq!(ringing.outstanding().await, Ok(3));
    let workers: Vec<String> = redis.ask(&["KEYS", "*worker*"]).await;
    let inflight: Vec<String> = redis.ask(&["KEYS", "*inflight*"]).await;
    assert_eq!((workers, inflight), (vec![], vec![]));
    let next = Answering::new(&redis, 2);
    until("somebody else hears the others", async || next.heard().len() == 3).await;
}

#[tokio::test]
async fn who_stops_while_redis_is_away_or_stalled_still_ends() {
    let mut redis = TestRedis::start().await;
    let (one, other) = (Answering::new(&redis, 2), Answering::new(&redis, 2));
    one.hears_again_or(&other).await;
    redis.stall();
    let began = Instant::now();
    one.stop.pull();
    one.ended().await;
    redis.go_on();
    redis.stop();
    other.stop.pull();
    other.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
}

#[test]
fn the_bell_of_a_worker_that_died_is_heard_by_another() {
    let start = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (ours, theirs) = (start(), start());
    let redis = ours.block_on(TestRedis::start());
    let scans = ids(1);
    theirs.block_on(async {
        let dying = Answering::holding(&redis, 1);
        dying.bells.ring(&scans).await.unwrap();
        until("it is begun", async || dying.begun() == 1).await;
    });
    theirs.shutdown_background();
    ours.block_on(async {
        let answering = Answering::new(&redis, 1);
        until("it is heard", async || answering.heard() == scans).await;
    });
}

#[tokio::test]
async fn an_answer_that_panics_gives_its_slot_back() {
    let redis = TestRedis::start().await;
    let (bells, stop) = (bells(&redis), StopCord::default());
    let answer: Answerer = Arc::new(|_| async { panic!("a fault of ours") }.boxed());
    let (answering, cord) = (bells.clone(), stop.clone());
    let task = tokio::spawn(async move { answering.answer(1, answer, cord).await });
    bells.ring(&ids(5)).await.unwrap();
    until("all are answered", async || bells.counted().answered == 5).await;
    assert_eq!(bells.counted().restarts, 0);
    stop.pull();
    task.await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_full_or_read_only_is_an_error_and_no_more() {
    let redis = TestRedis::start().await;
    let answering = Answering::new(&redis, 2);
    let both: [(&[&str], &[&str], &str); 2] = [
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], "OOM"),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "READONLY"),
    ];
    for (begin, end, word) in both {
        answering.hears_again().await;
        redis.ask::<()>(begin).await;
        assert_eq!(answering.bells.ring(&ids(1)).await, Err(BellError::Refused(word.to_owned())));
        until("the worker knows", async || answering.bells.is_away()).await;
        redis.ask::<()>(end).await;
        answering.hears_again().await;
    }
}

#[tokio::test]
async fn no_error_tells_the_password() {
    let redis = TestRedis::start().await;
    redis.ask::<()>(&["CONFIG", "SET", "requirepass", "right"]).await;
    let url = |password: &str| format!("{}?pass={password}", redis.url());
    let wrong = RedisBells::new(&url("hunter2"), "us").unwrap().with_pace(QUICK);
    let error = wrong.ring(&ids(1)).await.unwrap_err();
    let garbled = RedisBells::new("redis://:hunter2@[host", "us").unwrap_err();
    for text in [format!("{error} {error:?}"), format!("{garbled} {garbled:?}"), format!("{wrong:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let right = RedisBells::new(&url("right"), "us").unwrap().with_pace(QUICK);
    assert_eq!(right.ring(&ids(1)).await, Ok(1));
}

#[tokio::test]
async fn bells_in_memory_reach_as_many_slots_as_there_are_and_stop() {
    let bells = MemoryBells::default();
    assert_eq!(bells.ring(&ids(1500)).await, Ok(MOST));
    let answering = Answering::of(bells.clone(), 3, 0);
    until("three are begun", async || answering.begun() == 3).await;
    assert_eq!(bells.outstanding().await, Ok(MOST - 3));
    answering.stop.pull();
    answering.let_go(3);
    assert_eq!(answering.ended().await.len(), 3);
    let next = Answering::of(bells.clone(), 3, Semaphore::MAX_PERMITS);
    until("all are heard", async || bells.counted().answered == MOST as u64).await;
    assert!(next.most() <= 3);
}
