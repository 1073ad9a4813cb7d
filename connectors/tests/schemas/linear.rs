//! What Linear is asked for, by name; and what may never be.

use super::{graphql, pretend, selected};
use std::collections::BTreeSet;
use twinflow_connectors::find;

/// Fields of Linear's that carry prose, lead to what does, or are made from a title.
const NEVER: [&str; 28] = [
    "activitySummary",
    "attachment",
    "attachmentId",
    "attachments",
    "avatarUrl",
    "bodyData",
    "branchName",
    "changes",
    "comments",
    "content",
    "cycle",
    "description",
    "descriptionState",
    "displayIconUrl",
    "documentContent",
    "email",
    "fromTitle",
    "issueImport",
    "needs",
    "project",
    "suggestions",
    "summary",
    "syncedWith",
    "title",
    "toTitle",
    "url",
    "urlKey",
    "userDisplayName",
];

fn asked() -> BTreeSet<(String, String)> {
    let linear = find("linear").unwrap().contract();
    let schema = pretend("linear");
    let all = graphql(linear).into_iter().flat_map(|(_, document)| selected(&schema, document));
    all.map(|(parent, field, _)| (parent, field)).collect()
}

#[test]
fn linear_is_asked_for_no_field_that_carries_prose_or_is_made_from_a_title() {
    let denied: Vec<_> = asked().into_iter().filter(|(_, field)| NEVER.contains(&field.as_str())).collect();
    assert_eq!(denied, []);
}

/// The whole of what Linear is asked about issues and their histories. Whoever adds a field adds it here, in sight of a
/// reviewer.
#[test]
fn what_linear_is_asked_for_about_issues_is_this_and_nothing_else() {
    let of = |wanted: &str| -> Vec<String> {
        asked().into_iter().filter(|(parent, _)| parent == wanted).map(|(_, field)| field).collect()
    };
    let issue = "assignee botActor createdAt creator history id identifier priority state updatedAt";
    assert_eq!(of("Issue").join(" "), issue);
    let entry = "actorId addedLabelIds archived botActor createdAt fromAssigneeId fromCycleId fromDueDate \
                 fromEstimate fromParentId fromPriority fromProjectId fromStateId fromTeamId id removedLabelIds \
                 toAssigneeId toCycleId toDueDate toEstimate toParentId toPriority toProjectId toStateId toTeamId \
                 trashed updatedAt updatedDescription";
    assert_eq!(of("IssueHistory").join(" "), entry);
    assert_eq!(of("User").join(" "), "displayName id");
    assert_eq!(of("Team").join(" "), "id name");
    assert_eq!(of("WorkflowState").join(" "), "id name type");
    assert_eq!(of("IssueLabel").join(" "), "id name");
    assert_eq!(of("ActorBot").join(" "), "id name");
    assert_eq!(of("Organization").join(" "), "createdAt");
}
