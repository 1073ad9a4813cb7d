//! Connecting by consent: the real program, a pretend authorisation server, and a test that plays the browser.

use crate::support::browser::{Waiting, consent_line, dance, get, is_closed, parameter};
use crate::support::program::{Home, PROJECT, facts, jira, jira_url, story};
use serde_json::json;
use std::fs;
use twinflow_fixtures::oauth::{CLIENT_ID, CLIENT_SECRET, Consent, OAuthDialect, SECRET_PREFIX};
use twinflow_fixtures::{Asked, Jira, Service, ServiceOptions, canary, jira::CLOUD_ID, stands};
use url::Url;

async fn consenting(cases: usize) -> (Service, Home) {
    let tool = jira(cases).await;
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    (tool, home)
}

fn tokens_asked(tool: &Service) -> Vec<Asked> {
    tool.ledger().into_iter().filter(|it| it.method == "POST" && it.path == "/oauth/token").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_consents_to_is_connected_and_scanned() {
    let (tool, home) = consenting(20).await;
    let line = format!("{} --project {PROJECT}", consent_line(&tool));
    let waiting = Waiting::start(&home, &line);
    let scopes = "read:jira-work read:jira-user write:jira-work offline_access";
    for (name, value) in [
        ("scope", scopes),
        ("audience", "api.atlassian.com"),
        ("prompt", "consent"),
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
    ] {
        assert_eq!(waiting.asks_for(name).as_deref(), Some(value));
    }
    let page = get(&waiting.consent());
    assert!(page.status == 200 && page.body.contains("go back to the terminal"), "{}", page.body);
    let ran = waiting.end().done();
    assert!(ran.out.contains("Connected Jira as") && ran.out.contains(PROJECT), "{}", ran.out);
    // Before anything is stored a person is shown what will be read.
    for words in ["What will be read", "write:jira-work: to create a ticket", "Never asks for", "summary"] {
        assert!(ran.err.contains(words), "{words}\n{}", ran.err);
    }
    let asked = tokens_asked(&tool);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("content-type"), Some("application/json"));

    let connection = &home.run("connections --json").done().json()[0];
    assert_eq!(connection["base_url"], jira_url(&tool));
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
    assert_eq!(tool.grants(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_with_something_else_is_refused_and_waiting_goes_on() {
    let (tool, home) = consenting(3).await;
    let waiting = Waiting::start(&home, &consent_line(&tool));
    let back = waiting.consent();
    let state = parameter(&back, "state").unwrap();
    let with = |query: String| {
        let mut url = back.clone();
        url.set_query(Some(&query));
        url
    };
    let code = parameter(&back, "code").unwrap();
    for query in [
        format!("code={code}&state={}", "0".repeat(64)),
        format!("code={code}"),
        format!("state={state}"),
        format!("error=access_denied&state={}", "0".repeat(64)),
    ] {
        assert_eq!(get(&with(query)).status, 400);
    }
    let mut elsewhere = back.clone();
    elsewhere.set_path("/");
    assert_eq!(get(&elsewhere).status, 404);
    assert!(tokens_asked(&tool).is_empty());
    assert_eq!(get(&back).status, 200);
    waiting.end().done();
    // The attempt is over, and so is its state.
    assert!(is_closed(&back));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_has_a_state_of_its_own() {
    let (tool, home) = consenting(3).await;
    let first = Waiting::start(&home, &format!("{} --name one", consent_line(&tool)));
    let second = Waiting::start(&home, &format!("{} --name two", consent_line(&tool)));
    let (of_first, of_second) = (first.consent(), second.consent());
    assert_ne!(parameter(&of_first, "state"), parameter(&of_second, "state"));
    // The one's code at the other's address.
    let mut crossed = of_second.clone();
    crossed.set_query(of_first.query());
    assert_eq!(get(&crossed).status, 400);
    for (waiting, back) in [(first, of_first), (second, of_second)] {
        assert_eq!(get(&back).status, 200);
        waiting.end().done();
    }
}

fn stored_nothing(home: &Home) {
    assert_eq!(home.run("connections --json").done().json(), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_that_is_denied_is_said_and_nothing_is_stored() {
    let (tool, home) = consenting(3).await;
    tool.consent(Consent::Denied);
    let ran = dance(&home, &consent_line(&tool)).ends(1);
    assert!(ran.err.contains("consent was denied; nothing was stored"), "{}", ran.err);
    assert!(tokens_asked(&tool).is_empty());
    stored_nothing(&home);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_of_less_or_more_than_was_asked_for_is_refused_and_given_back() {
    let (tool, home) = consenting(3).await;
    for (consent, words) in [
        (Consent::Without("read:jira-user".into()), "lacks read:jira-user (whose token it is)"),
        (Consent::With("manage:jira-project".into()), "more than was asked for (manage:jira-project)"),
    ] {
        tool.consent(consent);
        let ran = dance(&home, &consent_line(&tool)).ends(1);
        assert!(ran.err.contains(words) && ran.err.contains("nothing was stored"), "{}", ran.err);
        stored_nothing(&home);
        assert_eq!(tool.grants(), 0, "what is not stored is not left open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_secret_that_is_wrong_is_said_to_be() {
    let (tool, home) = consenting(3).await;
    fs::write(home.named("secret"), "another secret entirely".replace(' ', "-")).unwrap();
    let line = format!("{} --client-secret-file {}", consent_line(&tool), home.named("secret"));
    let ran = dance(&home, &line).ends(1);
    assert!(ran.err.contains("does not know the app, or its secret is another"), "{}", ran.err);
    stored_nothing(&home);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_whose_secret_is_another_now_is_renewed_with_that_secret() {
    let (tool, home) = consenting(3).await;
    dance(&home, &consent_line(&tool)).done();
    let line = format!("renew jira --no-browser --client-secret-file {}", home.named("secret"));
    fs::write(home.named("secret"), "another-secret").unwrap();
    let ran = dance(&home, &line).ends(1);
    assert!(ran.err.contains("does not know the app, or its secret is another"), "{}", ran.err);
    fs::write(home.named("secret"), CLIENT_SECRET).unwrap();
    dance(&home, &line).done();
    // Without a grant there is no app whose secret it could be.
    let by_token = jira(3).await;
    let elsewhere = Home::allowing(&[&by_token]);
    elsewhere.connect_jira(&by_token).done();
    elsewhere.run(&line).complains(&["--client-id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_renewed_gives_the_former_access_back_where_that_leaves_the_new_one_alone() {
    // The one deletes the token that is shown and no other; the other may end all that the app was granted.
    for (name, said, left) in
        [("zendesk", "has taken back what was granted before", 1), ("gmail", "was granted before", 2)]
    {
        let stand = stands(&story(3)).into_iter().find(|it| it.tool == name).unwrap();
        let service = Service::start(stand.world, ServiceOptions::default()).await.unwrap();
        service.oauth(stand.oauth.unwrap());
        let home = Home::allowing(&[&service]);
        let url = service.url();
        let line =
            format!("connect {name} --client-id {CLIENT_ID} --oauth-url {url} --base-url {url} --no-browser");
        dance(&home, &line).done();
        let ran = dance(&home, &format!("renew {name} --no-browser")).done();
        assert!(ran.out.contains(said) && ran.out.lines().count() == 2, "{}", ran.out);
        assert_eq!(service.grants(), left, "{}", ran.out);
        home.run("scan").done();
    }
}

const TWO_SITES: OAuthDialect = OAuthDialect {
    sites: &[
        (CLOUD_ID, "acme", "https://acme.atlassian.net"),
        ("99999999-2222-4333-8444-555555555555", "other", "https://other.atlassian.net"),
    ],
    ..OAuthDialect::JIRA
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_sites_a_person_names_one() {
    let (tool, home) = consenting(3).await;
    tool.oauth(TWO_SITES);
    let ran = dance(&home, &consent_line(&tool)).ends(1);
    let names = "acme (https://acme.atlassian.net), other (https://other.atlassian.net)";
    assert!(ran.err.contains("--site") && ran.err.contains(names), "{}", ran.err);
    assert_eq!(tool.grants(), 0);
    for (name, site) in [("a", "acme"), ("b", "https://ACME.atlassian.net/"), ("c", "acme.atlassian.net")] {
        dance(&home, &format!("{} --site {site} --name {name}", consent_line(&tool))).done();
    }
    let ran = dance(&home, &format!("{} --site nowhere --name d", consent_line(&tool))).ends(1);
    assert!(ran.err.contains(names), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_prints_every_question_and_sends_none() {
    let (tool, home) = consenting(3).await;
    let ran = home.run(&format!("{} --project {PROJECT} --dry-run", consent_line(&tool))).done();
    for words in [
        "Nothing is sent",
        &format!("GET {}/authorize", tool.url()),
        &format!("POST {}/oauth/token", tool.url()),
        "client_secret=(as given)",
        "/oauth/token/accessible-resources",
        "/rest/api/3/myself",
        "/rest/api/3/search/jql",
        "\"fields\":[",
        "project = ",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert_eq!(tool.asked(), 0);
    assert!(!home.data().exists());
    let github = home.run("connect github --repo acme/shop --dry-run").done();
    assert!(github.out.contains("viewer") && github.out.contains("POST https://api.github.com/graphql"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorisation_server_nobody_listed_is_not_asked() {
    let (tool, home) = consenting(3).await;
    let line =
        format!("connect jira --client-id x --base-url {} --oauth-url https://evil.example", tool.url());
    home.feed("s", &line).complains(&["TWINFLOW_EGRESS_ALLOW=evil.example"]);
    assert_eq!(tool.asked(), 0);
    let line = "connect github --repo a/b --client-id x";
    home.run(line).ends(2);
}

#[test]
fn help_says_what_to_register_at_each_tool() {
    let home = Home::new();
    for tool in ["jira", "linear", "gmail", "salesforce", "zendesk"] {
        let help = home.run(&format!("connect {tool} --help")).done().out;
        for words in ["http://127.0.0.1:PORT/callback", "--client-id", "--redirect-port", "register"] {
            assert!(help.contains(words), "{tool}: {words}\n{help}");
        }
        assert!(!help.contains("--client-secret "), "a secret is no argument");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_grant_is_shown_logged_or_stored_in_plain() {
    let (tool, mut home) = consenting(20).await;
    home.set("TWINFLOW_LOG", "trace");
    home.set("RUST_LOG", "trace");
    let mut printed = vec![dance(&home, &consent_line(&tool)).done()];
    tool.set_now(story(1).options().now + chrono::TimeDelta::hours(2));
    for line in ["scan", "connections --json", "scans --json", "doctor --json", "vault rotate"] {
        printed.push(home.run(line).done());
    }
    tool.end_grants();
    for line in ["scan", "scan", "connections", "doctor"] {
        printed.push(home.run(line));
    }
    printed.push(dance(&home, "renew jira --no-browser").done());
    printed.push(home.run("disconnect jira --purge --yes --json").done());
    let consent_page = |text: &str| text.lines().filter(|it| !it.starts_with("http")).collect::<String>();
    for ran in &printed {
        for text in [&ran.out, &consent_page(&ran.err)] {
            assert!(!text.contains(SECRET_PREFIX), "twinflow {}\n{text}", ran.line);
            assert_eq!(canary::found_in(text), [""; 0], "twinflow {}", ran.line);
        }
        assert!(!ran.err.contains(CLIENT_SECRET) && !ran.err.contains("Bearer"), "{}", ran.err);
    }
    for entry in fs::read_dir(home.data()).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(!has(SECRET_PREFIX), "{:?}", entry.file_name());
    }
}

/// So that the test above would notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_secret_of_a_grant_begins_as_it_is_searched_for() {
    let world = Jira::new(&story(1), PROJECT);
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    let waiting = Waiting::start(&home, &consent_line(&tool));
    let back: Url = waiting.consent();
    assert!(parameter(&back, "code").unwrap().starts_with(SECRET_PREFIX));
    get(&back);
    waiting.end().done();
    let tokens: Vec<_> = tool.ledger().into_iter().filter_map(|it| it.token().map(str::to_owned)).collect();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token.starts_with(SECRET_PREFIX)));
    assert!(CLIENT_SECRET.starts_with(SECRET_PREFIX));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_with_an_authorisation_server_is_connected_by_consent_scanned_and_let_go_of_again() {
    for stand in stands(&story(12)).into_iter().filter(|stand| stand.oauth.is_some()) {
        let (tool, dialect) = (stand.tool, stand.oauth.unwrap());
        let service = Service::start(stand.world, ServiceOptions::default()).await.unwrap();
        service.oauth(dialect);
        let home = Home::allowing(&[&service]);
        fs::write(home.named("secret"), CLIENT_SECRET).unwrap();
        let secret = format!("--client-secret-file {}", home.named("secret"));
        let typed = match tool {
            "linear" => format!("linear --team {} {secret}", stand.streams[0]),
            "zendesk_detailed" => format!("zendesk --detailed --name zendesk_detailed {secret}"),
            "jira" => format!("jira --project {PROJECT} {secret}"),
            "gmail" => format!("gmail --pseudonymise=nobody {secret}"),
            _ => format!("{tool} {secret}"),
        };
        let line = format!(
            "connect {typed} --client-id {CLIENT_ID} --oauth-url {0} --base-url {0} --no-browser",
            service.url()
        );
        dance(&home, &line).done();
        home.run("scan").done();
        let (log, facts) = (home.log(), facts(&[&service]));
        assert!(log == facts, "{tool}: {} events in the log, {} happened", log.len(), facts.len());
        let ended = home.run(&format!("disconnect {tool} --purge --yes --json")).done().json();
        assert_eq!(ended["deleted"]["events"], facts.len(), "{ended}");
        assert_eq!(service.grants(), 0, "{tool}: {ended}");
        assert!(home.log().is_empty());
    }
}
