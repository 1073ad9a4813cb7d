//! `twinflow ticket`, as people run it.

use crate::leaks::leaks;
use crate::support::program::{Home, PROJECT, Ran, jira_url, story};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use twinflow_fixtures::jira::{Labels, TicketSwitches, WRITE_TOKEN};
use twinflow_fixtures::{Fault, Jira, Service, ServiceOptions, canary};

const KEY: &str = "7f3c1a2e-5b5e-4a4e-9a58-0d8a4e0c1b2d";
const WRITE: &str = "twinflow.idempotency";

async fn jira(switches: TicketSwitches) -> Service {
    let world = Jira::new(&story(10), PROJECT).with_tickets(switches);
    Service::start(world, ServiceOptions::default()).await.unwrap()
}

/// A home in which Jira is connected with a token that may write.
fn home(tool: &Service) -> Home {
    let home = Home::allowing(&[tool]);
    let line = format!("connect jira --project {PROJECT} --base-url {}", jira_url(tool));
    home.feed(WRITE_TOKEN, &line).done();
    home
}

fn create(more: &str) -> String {
    format!("ticket create --connection jira --project {PROJECT} --type Task --key {KEY} {more}")
}

fn made(tool: &Service) -> usize {
    tool.cases().len() - 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_without_a_yes_and_what_is_asked_about_is_shown() {
    let tool = jira(TicketSwitches::default()).await;
    let home = home(&tool);
    let ran = home.run(&create("--summary words")).ends(1);
    assert!(ran.err.contains("\"summary\": \"words\"") && ran.err.contains("--yes"), "{}", ran.err);
    assert!(ran.err.contains(&format!("POST {}/rest/api/3/issue\n{{", jira_url(&tool))), "{}", ran.err);
    assert_eq!((made(&tool), ran.out.as_str()), (0, ""));
    assert_eq!(
        home.run("ticket list").done().out,
        "No tickets yet. Create one with `twinflow ticket create`.\n"
    );

    let ran = home.run(&create("--summary words --yes")).done();
    assert_eq!((made(&tool), ran.out.as_str()), (1, "Created SHOP-11.\n"));
    let list = home.run("ticket list --json").done().json();
    assert_eq!((&list[0]["key"], &list[0]["issue_key"]), (&KEY.into(), &"SHOP-11".into()));
    assert!(home.run("ticket list").done().out.contains("SHOP-11"));
    assert_eq!(home.run(&create("--summary others")).done().out, "Created SHOP-11.\n");
    assert_eq!(home.run(&format!("ticket check {KEY}")).done().out, "Created SHOP-11.\n");
    assert_eq!(made(&tool), 1);
}

/// Types an answer at a terminal of its own.
fn at_a_terminal(home: &Home, line: &str, answer: &str) -> Ran {
    let program = format!("{} {line}", env!("CARGO_BIN_EXE_twinflow"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
    let like = home.command(line);
    script.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    Ran::of(line, child.wait_with_output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_terminal_only_a_yes_sends_it() {
    let tool = jira(TicketSwitches::default()).await;
    let home = home(&tool);
    for no in ["n\n", "\n", "yep\n"] {
        let ran = at_a_terminal(&home, &create("--summary words"), no).ends(1);
        assert!(ran.out.contains("Send it? [y/N]") && ran.out.contains("Nothing was sent."), "{}", ran.out);
    }
    assert_eq!(made(&tool), 0);
    let ran = at_a_terminal(&home, &create("--summary words"), "y\n").done();
    assert!(ran.out.contains("Created SHOP-11."), "{}", ran.out);
    assert_eq!(made(&tool), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_killed_between_sending_and_the_answer_leaves_a_ticket_that_is_found_again() {
    let tool = jira(TicketSwitches { found_after: 1, ..Default::default() }).await;
    let home = home(&tool);
    tool.faults().when_body_contains(WRITE, Fault::Hang);
    let mut running = home.command(&create("--summary words --yes")).spawn().unwrap();
    while made(&tool) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(home.run("ticket list --json").done().json()[0]["state"], "sending");

    // Both ways find it, and neither sends it.
    let ran = home.run(&create("--summary words --yes --json")).done();
    assert_eq!(ran.json()["issue_key"], "SHOP-11");
    assert_eq!(home.run(&format!("ticket check {KEY}")).done().out, "Created SHOP-11.\n");
    let writes = tool.ledger().iter().filter(|asked| asked.body.contains(WRITE)).count();
    assert_eq!((writes, made(&tool)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_typed_is_kept_logged_or_shown() {
    let tool = jira(TicketSwitches::default()).await;
    let mut home = home(&tool);
    home.set("TWINFLOW_LOG", "trace");
    home.set("RUST_LOG", "trace");
    let typed = |marker: &str| canary::all().into_iter().find(|it| it.contains(marker)).unwrap();
    let description = format!("First line\n{}\n", typed("jira-description"));
    let new_key = |nth: usize| create("").replace(KEY, &KEY.replace("7f3c1a2e", &format!("7f3c1a{nth:02x}")));
    let more = format!("--summary {} --label {} --yes", typed("jira-summary"), typed("jira-custom-text"));
    let mut printed = vec![];
    let faults =
        [Fault::Status(400), Fault::Status(401), Fault::Status(404), Fault::ServerErrorAfterAll(503)];
    for (nth, fault) in faults.into_iter().map(Some).chain([None]).enumerate() {
        tool.faults().clear();
        if let Some(fault) = fault {
            tool.faults().when_body_contains(WRITE, fault);
        }
        let line = format!("{} {more} --description-file -", new_key(nth));
        printed.push(home.feed(&description, &line));
        // The command line itself is no place of the program's.
        printed.last_mut().unwrap().line = "ticket create".to_owned();
    }
    assert_eq!(made(&tool), 2, "{printed:?}");
    printed.push(home.feed(&description, &format!("{} --summary {}", create("--yes"), "x".repeat(256))));
    for line in
        ["ticket list", "ticket list --json", "scan", "events --limit 10000", "report", "contract jira"]
    {
        printed.push(home.run(line).done());
    }
    let sent = tool
        .ledger()
        .into_iter()
        .any(|asked| canary::found_in(&asked.body).len() == 3 && asked.body.contains("First line"));
    assert!(sent, "it was sent");
    let found = leaks(&home, &printed).await;
    assert!(found.is_empty(), "{found:#?}");
    let log: String = printed.iter().map(|ran| ran.err.as_str()).collect();
    assert!(log.contains("sending a ticket"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_cannot_be_found_again_is_announced_as_such() {
    let tool = jira(TicketSwitches { labels: Labels::OffScreen, ..Default::default() }).await;
    let home = home(&tool);
    tool.faults().when_body_contains(WRITE, Fault::ServerErrorAfterAll(502));
    let ran = home.run(&create("--summary words --yes")).ends(3);
    assert!(ran.err.contains("without a label"), "{}", ran.err);
    assert!(ran.out.contains("Look in SHOP yourself"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complaints_are_sentences() {
    let tool = jira(TicketSwitches::default()).await;
    let home = home(&tool);
    let line = |kind: &str| create("--summary words --yes").replace("Task", kind);
    home.run(&line("Wish")).complains(&["Wish", "Bug, Story, Task"]);
    home.run(&create("--summary words --yes --description-file nowhere"))
        .complains(&["nowhere cannot be read"]);
    home.run(&create("--summary words").replace("jira", "nobody")).complains(&["nobody"]);
    home.run(&format!("ticket check {KEY}")).complains(&["no ticket with the key"]);
    home.run("ticket check x").ends(2);
    assert_eq!(made(&tool), 0);
}

#[test]
fn the_contract_shows_the_only_write_and_what_is_asked_around_it() {
    let home = Home::new();
    let text = home.run("contract jira").done().out;
    assert!(text.contains("Writes, only by `twinflow ticket create`"), "{text}");
    assert!(text.contains("    POST /rest/api/3/issue: ") && text.contains("write:jira-work"), "{text}");
    let all = home.run("contract --format json").done().json();
    for tool in all["tools"].as_array().unwrap() {
        assert_eq!(tool["write"].is_object(), tool["tool"] == "jira", "{}", tool["tool"]);
    }
    let markdown = home.run("contract jira --format markdown").done().out;
    assert!(
        markdown.contains("the only write\n\n`POST /rest/api/3/issue`") && markdown.contains("\"{summary}\""),
        "{markdown}"
    );
    assert!(markdown.contains("createmeta/{project}/issuetypes/{kind}"), "{markdown}");
    assert!(!home.run("contract github").done().out.contains("Writes"));
}
