//! Plain text as an Atlassian document (ADF), which is what Jira takes for a description: a paragraph to the line, no
//! marks, links or mentions. <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>

use serde::ser::{Serialize, SerializeMap as _, Serializer};

pub(crate) struct Document<'a>(pub(crate) &'a str);

struct Lines<'a>(&'a str);
struct Paragraph<'a>(&'a str);
struct Text<'a>(&'a str);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "doc")?;
        map.serialize_entry("version", &1)?;
        map.serialize_entry("content", &Lines(self.0))?;
        map.end()
    }
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.lines().map(Paragraph))
    }
}

impl Serialize for Paragraph<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "paragraph")?;
        // A text without letters is not allowed; a paragraph without texts is.
        let texts: &[Text<'_>] = if self.0.is_empty() { &[] } else { &[Text(self.0)] };
        map.serialize_entry("content", texts)?;
        map.end()
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "text")?;
        map.serialize_entry("text", self.0)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, to_value};

    #[test]
    fn every_line_is_a_paragraph_and_an_empty_one_has_no_text() {
        let text = |text: &str| json!({"type": "paragraph", "content": [{"type": "text", "text": text}]});
        let empty = json!({"type": "paragraph", "content": []});
        let expected = json!({"type": "doc", "version": 1, "content": [text("*a* [b]"), empty, text("c")]});
        assert_eq!(to_value(Document("*a* [b]\r\n\nc\n")).ok(), Some(expected));
        assert_eq!(to_value(Document("")).ok(), Some(json!({"type": "doc", "version": 1, "content": []})));
    }
}
