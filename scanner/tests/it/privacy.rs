//! The promise as code: what is asked, decoded and kept stands in a document, and no change to it goes unseen.

use crate::support::program::{Home, github, jira};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use twinflow_connectors::ALL;

#[test]
fn the_privacy_document_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/privacy.md");
    let printed = Home::new().run("contract --format markdown").done().out;
    let written = fs::read_to_string(path).unwrap_or_default();
    // Not assert_eq: two whole documents would help nobody.
    assert!(
        written == printed,
        "docs/privacy.md differs from what the code asks, decodes or keeps: run `just privacy`"
    );
}

#[test]
fn every_operation_of_every_tool_is_shown_to_the_letter_with_all_it_decodes() {
    let home = Home::new();
    let document = home.run("contract --format json").done().json();
    assert_eq!(document["version"], 1);
    let markdown = home.run("contract --format markdown").done().out;
    for (connector, tool) in ALL.iter().zip(document["tools"].as_array().unwrap()) {
        let contract = connector.contract();
        assert_eq!(tool["tool"], contract.tool);
        let shown = tool["operations"].as_array().unwrap();
        assert_eq!(shown.len(), contract.operations.len());
        for operation in shown {
            let body = operation["body"]["text"].as_str().unwrap_or_default();
            assert!(markdown.contains(body) && markdown.contains(operation["path"].as_str().unwrap()));
            let fields = operation["fields"].as_array().unwrap();
            assert!(!fields.is_empty(), "{} decodes nothing", operation["name"]);
            for field in fields {
                assert!(markdown.contains(field["path"].as_str().unwrap()), "{field}");
            }
        }
    }
    let jira = &document["tools"][ALL.iter().position(|it| it.contract().tool == "jira").unwrap()];
    let decoded: Vec<_> = jira["operations"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["fields"].as_array().unwrap())
        .collect();
    assert!(
        decoded
            .iter()
            .any(|field| field["path"] == "issues[].fields.status.id" && field["takes"] == json!(["word"]))
    );
    let prose = ["summary", "description", "toString", "fromString", "comment", "emailAddress"];
    let named = |field: &&&Value| prose.iter().any(|it| field["path"].as_str().unwrap().ends_with(it));
    assert_eq!(decoded.iter().find(named), None);
}

/// The contract of this program, changed.
fn with(contract: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut changed = contract.clone();
    change(&mut changed);
    changed
}

/// Adds to a list of the first tool.
fn push(contract: &Value, list: &str, item: Value) -> Value {
    with(contract, |it| it["tools"][0].pointer_mut(list).unwrap().as_array_mut().unwrap().push(item))
}

#[test]
fn whatever_a_newer_contract_allows_beyond_the_older_one_is_breaking() {
    let home = Home::new();
    let old = home.run("contract --format json").done().json();
    let field = json!({"path": "issues[].title", "kind": "Name", "takes": ["text"]});
    let tool = with(&old["tools"][0], |it| it["tool"] = json!("gitlab"));
    let operation = with(&old["tools"][0]["operations"][0], |it| it["name"] = json!("more"));
    let text =
        old["tools"][0]["operations"][0]["body"]["text"].as_str().unwrap().replacen("id", "id\n title", 1);
    let wider = [
        (with(&old, |it| it["tools"].as_array_mut().unwrap().push(tool)), "gitlab: the tool"),
        (push(&old, "/scopes", json!({"name": "repo", "why": "all"})), "scope repo"),
        (push(&old, "/sign_ins", json!({"way": "basic", "what": "a password"})), "a password"),
        (push(&old, "/hosts_under", json!(".example.org")), "hosts under .example.org"),
        (
            with(&old, |it| it["tools"][0]["base_url"] = json!("https://evil.example")),
            "host https://evil.example",
        ),
        (push(&old, "/operations", operation), "more asks POST"),
        (push(&old, "/operations/0/query", json!({"name": "expand", "value": "all"})), "query expand=all"),
        (with(&old, |it| it["tools"][0]["operations"][0]["path"] = json!("/all")), "asks POST /all"),
        (with(&old, |it| it["tools"][0]["operations"][0]["body"]["text"] = json!(text)), "title"),
        (push(&old, "/operations/0/fields", field.clone()), "decodes issues[].title as Name (text)"),
        (push(&old, "/operations/0/fields/0/takes", json!("anything")), "(anything)"),
        (
            with(&old, |it| it["tools"][0]["operations"][0]["fields"][0]["kind"] = json!("String")),
            " as String (",
        ),
        (push(&old, "/complaints", field), "refusals decode issues[].title"),
        (push(&old, "/stored", json!("titles")), "keeps titles"),
        (
            with(&old, |it| drop(it["tools"][0]["never"].as_array_mut().unwrap().remove(0))),
            "no longer promised",
        ),
    ];
    let write = |name: &str, document: &Value| fs::write(home.named(name), document.to_string()).unwrap();
    write("old.json", &old);
    assert_eq!(home.run("contract diff old.json").done().out, "The same.\n");
    for (new, said) in wider {
        write("new.json", &new);
        let shown = home.run("contract diff old.json new.json").ends(1).out;
        assert!(shown.starts_with("Wider (breaking):") && shown.contains(said), "{said} is not in\n{shown}");
        let changes = home.run("contract diff old.json new.json --json").ends(1).json();
        assert_ne!(changes["wider"], json!([]));
        // And the way back. A text that changed may allow more whichever way it changed.
        let back = home.run("contract diff new.json old.json");
        assert!(
            back.out.contains("Narrower:") && back.code == Some(0) || back.code == Some(1),
            "{}",
            back.out
        );
    }
    let fewer = with(&old, |it| drop(it["tools"].as_array_mut().unwrap().remove(0)));
    write("new.json", &fewer);
    let narrower = home.run("contract diff old.json new.json").done().out;
    assert!(narrower.starts_with("Narrower:") && narrower.contains("the tool"), "{narrower}");
}

#[test]
fn what_is_no_contract_or_one_of_another_version_is_not_compared() {
    let home = Home::new();
    home.run("contract diff old.json").complains(&["old.json", "cannot be read"]);
    fs::write(home.named("old.json"), "{\"tools\": 7}").unwrap();
    home.run("contract diff old.json").complains(&["old.json is no contract"]);
    fs::write(home.named("old.json"), "{\"version\": 2, \"tools\": []}").unwrap();
    home.run("contract diff old.json").complains(&["version 2", "version 1"]);
}

/// What is left out of a comparison may be what is wider.
#[test]
fn a_contract_that_says_something_unknown_is_not_compared() {
    let home = Home::new();
    let old = home.run("contract --format json").done().json();
    fs::write(home.named("old.json"), old.to_string()).unwrap();
    let operation = "/tools/0/operations/0";
    for place in ["", "/tools/0", "/tools/0/scopes/0", operation, &format!("{operation}/fields/0")] {
        let add = |it: &mut Value| it.pointer_mut(place).unwrap()["headers"] = json!("Cookie");
        fs::write(home.named("new.json"), with(&old, add).to_string()).unwrap();
        home.run("contract diff old.json new.json").complains(&["new.json was made by a newer program"]);
    }
}

// --- What one scan asked and kept ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_shows_what_it_asked_of_the_tool_and_what_it_kept() {
    let tool = jira(30).await;
    let home = Home::allowing(&[&tool]);
    home.connect_jira(&tool).done();
    let before = tool.asked();
    home.run("scan").done();
    let scan = &home.run("scans --json").done().json()[0];
    let id = scan["id"].as_str().unwrap();
    let shown = home.run(&format!("scans show {} --json", &id[..6])).done().json();
    assert_eq!((&shown["id"], &shown["requests"]), (&scan["id"], &scan["requests"]));
    let ledger = &shown["streams"][0]["ledger"];
    let asked = ledger["asked"].as_object().unwrap();
    let requests: u64 = asked.values().map(|it| it["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, (tool.asked() - before) as u64);
    assert!(
        asked["changelogs"]["bytes"].as_u64() > Some(1000) && asked.contains_key("backfill_project"),
        "{asked:?}"
    );
    let events = home.run("events --format json --limit 100000").done().json();
    let count = |key: &str, value: &str| {
        events.as_array().unwrap().iter().filter(|it| it[key] == value).count() as u64
    };
    assert_eq!(ledger["kept"]["event status_changed"], count("activity", "status_changed"));
    assert_eq!(ledger["kept"]["case"], 30);
    assert!(ledger["kept"]["name of a person"].as_u64() > Some(1));
    let text = home.run(&format!("scans show {id}")).done().out;
    for word in ["SHOP", "asked", "changelogs", "kept", "event status_changed", "case.assignee"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    assert!(home.run("scans").done().out.contains(&id[..8]));
    home.run("scans show ffffffff").complains(&["no scan's id begins with", "twinflow scans"]);
    home.run("scan").done();
    home.run("scans show ").ends(2);
}

// --- Pseudonyms ---

/// Everything the event log and its dictionary say of people, and of the rest.
fn exported(home: &Home, connection: &str) -> Vec<Value> {
    let all =
        home.run(&format!("events --connection {connection} --format json --limit 100000")).done().json();
    all.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_kept_under_pseudonyms_alone_where_that_was_said_and_stay_the_same_ones() {
    let tool = github(40).await;
    let home = Home::allowing(&[&tool]);
    let connect = |name: &str, how: &str| {
        let at = format!("connect github --repo acme/shop --base-url {} --name {name} {how}", tool.url());
        home.feed(twinflow_fixtures::github::TOKEN, &at).done();
        home.run(&format!("scan {name}")).done();
        exported(&home, name)
    };
    let plain = connect("plain", "");
    let masked = connect("masked", "--pseudonymise");
    assert_eq!(plain.len(), masked.len());
    let is_pseudonym = |id: &str| id.len() == 28 && id.starts_with("p_");
    let mut pairs = BTreeMap::new();
    let key = |it: &Value| {
        (it["at"].to_string(), it["case"].to_string(), it["activity"].to_string(), it["turn"].to_string())
    };
    for it in &masked {
        let activity = it["activity"].as_str().unwrap();
        let people: &[&str] =
            if activity.ends_with("assigned") { &["resource", "from", "to"] } else { &["resource"] };
        for field in people.iter().filter_map(|field| it[*field].as_str()) {
            assert!(is_pseudonym(field), "{it}");
        }
        let same: Vec<_> = plain.iter().filter(|other| key(other) == key(it)).collect();
        if let [same] = same.as_slice() {
            if let (Some(id), Some(pseudonym)) = (same["resource"].as_str(), it["resource"].as_str()) {
                assert_eq!(
                    *pairs.entry(id.to_owned()).or_insert(pseudonym.to_owned()),
                    pseudonym,
                    "not one pseudonym"
                );
            }
            if !activity.ends_with("assigned") {
                assert_eq!((&same["from"], &same["to"]), (&it["from"], &it["to"]));
            }
        }
    }
    assert!(pairs.len() > 2, "{pairs:?}");
    let kinds: BTreeSet<_> = pairs.values().collect();
    assert_eq!(kinds.len(), pairs.len(), "two people share a pseudonym");

    // Nobody's login or id is anywhere among what the masked connection kept.
    let people: Vec<_> = pairs.keys().cloned().collect();
    let mut database =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", home.data().join("twinflow.db").display()))
            .await
            .unwrap();
    let kept: Vec<String> = sqlx::query_scalar(
        "SELECT n.id || ' ' || n.name FROM names n JOIN connections c ON c.id = n.connection_id WHERE c.name = 'masked' AND kind = 'person'
         UNION ALL SELECT coalesce(assignee, '') FROM cases k JOIN connections c ON c.id = k.connection_id WHERE c.name = 'masked'",
    ).fetch_all(&mut database).await.unwrap();
    assert!(kept.len() > 40);
    for row in &kept {
        assert!(row.split(' ').all(|word| word.is_empty() || is_pseudonym(word)), "{row}");
    }
    database.close().await.unwrap();

    // The vault's keys are rotated; the pseudonyms stay.
    let old = fs::read_to_string(home.data().join("vault.key")).unwrap();
    let fresh = home.run("vault keygen").done().out;
    let both = format!("{fresh}{}", old.replace("primary", "former"));
    let key_file = home.data().join("vault.key");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::remove_file(&key_file).unwrap();
        fs::write(&key_file, text).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o400)).unwrap();
    };
    write(&both);
    home.run("vault rotate").done();
    write(&fresh);
    let again = connect("again", "--pseudonymise=everybody");
    let who = |events: &[Value]| {
        events.iter().filter_map(|it| it["resource"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    assert_eq!(who(&again), who(&masked));
    assert!(people.iter().all(|id| !who(&again).contains(id)));
}
