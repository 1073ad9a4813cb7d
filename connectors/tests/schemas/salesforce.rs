//! Salesforce publishes no schema. Our queries' columns are held against a real description of Case, and against typed
//! declarations of the other objects.

use crate::beside;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use twinflow_connectors::{Method, find};

const DESCRIBED: &str = "salesforce/Case.describe.v48.json";
const DECLARED: &str = "salesforce/standard-schema.ts";

/// A query: its object, what it selects, what it compares or sorts by.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    operation: &'static str,
    object: String,
    selected: BTreeSet<String>,
    compared: BTreeSet<String>,
}

fn questions() -> Vec<Question> {
    let operations = find("salesforce").unwrap().contract().operations;
    let queries = operations.iter().flat_map(|it| it.query.iter().map(|(_, soql)| (it.name, *soql)));
    queries.map(|(operation, soql)| question(operation, soql)).collect()
}

/// The semi-join inside a query is on Case, by columns that other queries hold as well.
fn question(operation: &'static str, soql: &str) -> Question {
    let soql = soql.replace("(SELECT Id FROM Case WHERE SystemModstamp >= {since})", "()");
    let rest = soql.trim().strip_prefix("SELECT ").unwrap();
    let (columns, rest) = rest.split_once("FROM ").unwrap();
    let (object, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let words = rest.split(|c: char| !(c.is_alphanumeric() || "'{}_.".contains(c)));
    let keywords = ["WHERE", "AND", "OR", "IN", "ORDER", "BY", "LIMIT"];
    let compared =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()) && !keywords.contains(word));
    Question {
        operation,
        object: object.to_owned(),
        selected: columns.split(',').map(|column| column.trim().to_owned()).collect(),
        compared: compared.map(str::to_owned).collect(),
    }
}

/// Fields of `type Fields$Object = { … };`.
fn declared(text: &str, object: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(&format!("type Fields${object} = {{")).unwrap();
    let (body, _) = rest.split_once("};").unwrap();
    let fields = body.lines().filter_map(|line| line.trim().split_once(':'));
    fields.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn a_query_is_taken_apart_as_it_is_written() {
    let apart = question(
        "it",
        "SELECT Id, Name\nFROM User\nWHERE Type = 'Queue' AND Id > '{after}'\nORDER BY Id\nLIMIT {size}\n",
    );
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!((apart.object.as_str(), apart.selected), ("User", set(&["Id", "Name"])));
    assert_eq!(apart.compared, set(&["Type", "Id"]));
}

/// The whole of what Salesforce is asked about anything. Whoever adds a column adds it here, in sight of a reviewer.
#[test]
fn what_salesforce_is_asked_for_is_this_and_nothing_else() {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for question in questions() {
        all.entry(question.object).or_default().extend(question.selected);
    }
    let shown: Vec<String> = all
        .iter()
        .map(|(object, columns)| {
            format!("{object}: {}", columns.iter().cloned().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected = [
        "Case: CaseNumber CreatedById CreatedDate Id IsDeleted MasterRecordId OwnerId Priority Status SystemModstamp",
        "CaseHistory: CaseId CreatedById CreatedDate Field Id NewValue OldValue",
        "CaseHistory2: CaseId Id LastModifiedById LastModifiedDate OwnerId Status",
        "CaseStatus: ApiName IsClosed IsDefault MasterLabel",
        "FieldDefinition: IsFieldHistoryTracked QualifiedApiName",
        "Group: DeveloperName Id",
        "User: Id Name",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn salesforce_is_only_ever_read_from() {
    for operation in find("salesforce").unwrap().contract().operations {
        assert_eq!(operation.method, Method::Get, "{}", operation.name);
    }
}

#[test]
fn every_column_of_a_case_exists_holds_no_prose_and_can_be_filtered_by_where_it_is() {
    let Some(text) = beside(DESCRIBED) else { return };
    let described: Value = serde_json::from_str(&text).unwrap();
    let fields: BTreeMap<&str, &Value> = described["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["name"].as_str().unwrap(), field))
        .collect();
    assert_eq!(
        (fields["Description"]["type"].as_str(), fields["Subject"]["type"].as_str()),
        (Some("textarea"), Some("string"))
    );
    let short = ["id", "reference", "picklist", "boolean", "datetime"];
    for question in questions().into_iter().filter(|it| it.object == "Case") {
        for column in &question.selected {
            let field = fields
                .get(column.as_str())
                .unwrap_or_else(|| panic!("no {column} in {}", question.operation));
            let kind = field["type"].as_str().unwrap();
            assert!(short.contains(&kind) || column == "CaseNumber", "{column} is a {kind}");
        }
        for column in &question.compared {
            let field = fields
                .get(column.as_str())
                .unwrap_or_else(|| panic!("no {column} in {}", question.operation));
            assert!(field["filterable"] == true && field["sortable"] == true, "{column}");
        }
    }
}

#[test]
fn every_column_of_the_other_objects_is_declared() {
    let Some(text) = beside(DECLARED) else { return };
    let mut held = BTreeSet::new();
    // Case is described by itself; CaseHistory2 is younger than the declarations.
    let others = questions().into_iter().filter(|it| !["Case", "CaseHistory2"].contains(&it.object.as_str()));
    for question in others {
        let known = declared(&text, &question.object);
        assert!(known.contains("Id") && !known.contains("Nonsense"));
        let through = |column: &str| column.starts_with("EntityDefinition.");
        let unknown: Vec<&String> = question
            .selected
            .union(&question.compared)
            .filter(|column| !known.contains(*column) && !through(column))
            .collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{}", question.operation);
        held.insert(question.object);
    }
    assert_eq!(held.len(), 5);
}
