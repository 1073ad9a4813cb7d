//! The contracts as a document to read.

use super::document::{Decoded, Document, Operation, Tool, Write};

const OPENING: &str = "\
# What TwinFlow asks, decodes and keeps

The program made this document from its own code (`twinflow contract --format markdown`), and a test fails when the two
differ. It is complete: a request is made from one of the operations below or not at all, and an answer is decoded into
one of the types below or not at all. What a tool sends beyond the fields listed is skipped unread.

*Takes* says what a field's type accepts: a *word* has no spaces, so no sentence fits in; a *text* may be a sentence. Of
the texts, a `Name` is kept (128 characters, made safe to show) and an `Id` only if it is a word; of an error's message
no more than whether it says one certain thing, never the message. Type names are those of the code.
";

pub(super) fn of(document: &Document) -> String {
    let tools = document.tools.iter().map(tool);
    std::iter::once(OPENING.to_owned()).chain(tools).collect::<Vec<_>>().join("\n")
}

fn tool(tool: &Tool) -> String {
    let mut text = format!("## {}\n\nA stream is {}.\n", tool.title, tool.stream);
    let mut list = |heading: &str, items: &[String]| {
        if !items.is_empty() {
            text += &format!("\n{heading}\n\n");
            items.iter().for_each(|item| text += &format!("- {item}\n"));
        }
    };
    let mut hosts = vec![format!("`{}`", tool.base_url)];
    hosts.extend(tool.hosts_under.iter().map(|under| format!("hosts under `{under}`")));
    list("Where it is asked, unless the operator lists another host:", &hosts);
    list("Ways to sign in:", &tool.sign_ins.iter().map(way_in).collect::<Vec<_>>());
    list("Kept:", &tool.stored);
    list("Never asked for:", &tool.never);
    if !tool.scopes.is_empty() {
        text += "\n| Scope | Why |\n| --- | --- |\n";
        tool.scopes.iter().for_each(|it| text += &format!("| `{}` | {} |\n", it.name, it.why));
    }
    tool.operations.iter().for_each(|it| text += &operation(tool, it));
    text += &tool.write.as_ref().map(|it| write(tool, it)).unwrap_or_default();
    if !tool.complaints.is_empty() {
        text += &format!(
            "\n### {}: refusals\n\nOf an answer that is a \"no\", whatever was asked:\n",
            tool.title
        );
        text += &fields(&tool.complaints);
    }
    text
}

fn way_in(way: &super::document::WayIn) -> String {
    let details: Vec<_> = way.details.iter().filter(|(_, value)| !value.is_empty()).collect();
    let details: Vec<_> = details.into_iter().map(|(key, value)| format!("{key} `{value}`")).collect();
    if details.is_empty() { way.what.clone() } else { format!("{}: {}", way.what, details.join(", ")) }
}

fn operation(tool: &Tool, operation: &Operation) -> String {
    let query: Vec<_> = operation.query.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut text = format!(
        "\n### {}: {}\n\n`{} {}{query}`: {}.\n",
        tool.title, operation.name, operation.method, operation.path, operation.why
    );
    if let Some(body) = &operation.body {
        text += &format!("\n```{}\n{}\n```\n", body.language, body.text);
    }
    text += &fields(&operation.fields);
    text
}

fn write(tool: &Tool, write: &Write) -> String {
    let mut text = format!(
        "\n### {}: {}, the only write\n\n`{} {}`: {}. It is made only by `{}` and only when a person says yes; a scan \
         cannot. It takes the scope `{}`: {}.\n\n```{}\n{}\n```\n\nAround it, and only then, this is asked:\n",
        tool.title,
        write.name,
        write.method,
        write.path,
        write.why,
        write.only_by,
        write.scope.name,
        write.scope.why,
        write.body.language,
        write.body.text
    );
    write.asks_around.iter().for_each(|it| text += &operation(tool, it));
    text
}

fn fields(fields: &[Decoded]) -> String {
    let mut text = "\n| Field | Type | Takes |\n| --- | --- | --- |\n".to_owned();
    for field in fields {
        text += &format!("| `{}` | {} | {} |\n", field.path, field.kind, field.takes.join(", "));
    }
    text
}
