//! The constrained action loop: one JSON object a step, a reason and one tool call, held to a schema by the server.
//!
//! For models that never answer with tool calls. The schema is an object at its root, since some servers allow no
//! alternatives there, and the alternatives are the calls of the tools that are offered. Every text and list in it is
//! bounded: a model that starts to repeat itself inside one would otherwise go on until its tokens are used up. Where
//! a server knows no schemas, the same object is asked for in words and looked for in a code fence.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::native::nothing;
use super::{Dialect, Form, Misread, Reading, checked, fenced, offered};
use crate::model::answer::{Answer, Finish, RawCall, RawFunction};
use crate::model::request::{
    Conversation, Measured, Message, Request, ResponseFormat, Said, Step, ToldResults, ToolCard, WireMessage,
};
use crate::model::written::Written;

/// Longest text where a tool's schema sets no limit, in characters. Servers refuse much longer repetitions.
const LONGEST_TEXT: u64 = 512;

/// Longest list where a tool's schema sets no limit.
const LONGEST_LIST: u64 = 16;

/// Longest reason, in characters.
const LONGEST_REASON: u64 = 300;

/// The reason in an action.
const BECAUSE: &str = "because";

/// The call in an action.
const ACTION: &str = "action";

const PROTOCOL: &str = "You work in steps. At each step you answer with one JSON object and nothing else:\n\
{\"because\": \"why, in one sentence\", \"action\": {\"tool\": \"NAME\", \"arguments\": {…}}}\n\
The result of the tool comes with the next message. These are the tools:";

/// One action a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constrained {
    /// Whether the server holds answers to a schema.
    pub schema: bool,
}

impl Dialect for Constrained {
    fn name(&self) -> &'static str {
        "constrained"
    }

    fn request<'a>(&self, conversation: &'a Conversation, step: &'a Step) -> Request<'a> {
        let actions = Actions::of(conversation);
        let mut messages = vec![WireMessage::System { content: Cow::Borrowed(&*actions.system) }];
        messages.extend(conversation.messages.iter().map(|message| match message {
            Message::User(text) => WireMessage::User { content: Cow::Borrowed(text.as_str()) },
            Message::Model(said) => WireMessage::Assistant { content: Some(as_said(said)), tool_calls: &[] },
            Message::Results(results) => WireMessage::Results { content: ToldResults(results.iter().collect()) },
        }));
        let schema = self.schema && !conversation.tools().is_empty();
        let response_format = schema.then(|| ResponseFormat::json_schema("step", actions.schema(conversation, step)));
        // The instructions come before the messages.
        let measured = conversation.measured.map(|known| Measured { messages: known.messages + 1, ..known });
        Request { messages, tools: vec![], tool_choice: None, response_format, max_tokens: step.max_tokens, measured }
    }

    fn read(&self, answer: &Answer, conversation: &Conversation, step: &Step) -> Result<Reading, Misread> {
        match answer.finish {
            Finish::ContentFilter => return Err(Misread::Filtered),
            // Under a schema, a text that was cut is never complete; one that happens to parse was complete before.
            Finish::Length if action(&answer.content).is_none() => {
                return Err(Misread::Length { tokens: step.max_tokens });
            }
            _ => {}
        }
        let (because, found) = match action(&answer.content) {
            Some((because, found)) => (because, vec![found]),
            None => match fenced::find(&answer.content)? {
                Some((prose, found)) => (prose.to_owned(), found),
                None => return Err(nothing(answer, offered(conversation, step))),
            },
        };
        Ok(Reading { because, calls: checked(found, conversation, step)?, form: Form::Action })
    }
}

/// What the model said. Calls that were made natively, by a model that this one stands in for, are shown as the actions
/// that they would have been: their results follow, and would otherwise follow nothing.
fn as_said(said: &Said) -> Cow<'_, str> {
    if said.calls.is_empty() || action(&said.content).is_some() {
        return Cow::Borrowed(&said.content);
    }
    let actions = said.calls.iter().map(|RawCall { function: RawFunction { name, arguments }, .. }| {
        // What is no JSON is shown as the text it is.
        let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| Value::from(arguments.as_str()));
        json!({BECAUSE: said.content.trim(), ACTION: {"tool": name, "arguments": arguments}}).to_string()
    });
    Cow::Owned(actions.collect::<Vec<_>>().join("\n"))
}

/// The action that a text consists of, in a code fence or not.
fn action(text: &str) -> Option<(String, super::Found)> {
    let text = text.trim();
    let inside = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    let text = inside.and_then(|inside| inside.trim_end().strip_suffix("```")).unwrap_or(text);
    let Value::Object(mut object) = serde_json::from_str(text).ok()? else { return None };
    let found = fenced::call(object.remove(ACTION)?)?;
    let because = object.get(BECAUSE).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((because, found))
}

/// What is said of the tools of a conversation, the same at every step, written once.
#[derive(Debug, Clone)]
pub struct Actions {
    /// The instructions, the protocol and the tools.
    system: String,
    /// For each tool, what a call of it looks like.
    calls: Vec<String>,
    /// What an answer looks like where all tools are offered.
    all: Written,
}

impl Actions {
    fn of(conversation: &Conversation) -> &Self {
        conversation.actions.get_or_init(|| {
            let mut system = format!("{}\n\n{PROTOCOL}", conversation.system());
            for ToolCard { name, description, parameters } in conversation.tools() {
                // Writing to a text cannot fail.
                let _ = write!(system, "\n- {name}: {description} Arguments: {parameters}");
            }
            let calls = conversation.tools().iter().map(|tool| call_of(&tool.name, &tool.parameters));
            let calls: Vec<String> = calls.collect();
            let all = answer_of(calls.iter().map(String::as_str));
            Self { system, calls, all }
        })
    }

    /// What an answer must look like at this step.
    fn schema(&self, conversation: &Conversation, step: &Step) -> Written {
        let Some(only) = &step.only else { return self.all.clone() };
        // In the order of the conversation, whatever the order of the offers.
        let offered = conversation.tools().iter().zip(&self.calls).filter_map(|(tool, call)| {
            let offer = only.iter().find(|offer| offer.tool == tool.name)?;
            Some(
                offer
                    .narrowed
                    .as_ref()
                    .map_or(Cow::Borrowed(&**call), |narrowed| Cow::Owned(call_of(&tool.name, narrowed))),
            )
        });
        let offered: Vec<Cow<'_, str>> = offered.collect();
        answer_of(offered.iter().map(|call| &**call))
    }
}

/// What a call of a tool looks like. The order counts: a model writes the fields in it, and should know the tool before
/// its arguments.
fn call_of(tool: &str, parameters: &Value) -> String {
    let named = json!({"type": "string", "enum": [tool]});
    object(&[("tool", &named.to_string()), ("arguments", &bounded(parameters.clone()).to_string())])
}

/// What an answer looks like that may be any of these calls.
fn answer_of<'c>(calls: impl Iterator<Item = &'c str>) -> Written {
    let reason = json!({"type": "string", "maxLength": LONGEST_REASON}).to_string();
    let action = format!("{{\"anyOf\":[{}]}}", calls.collect::<Vec<_>>().join(","));
    Written::text(object(&[(BECAUSE, &reason), (ACTION, &action)]))
}

/// The schema of an object with exactly these fields, in this order. The names are ours and need no escape.
fn object(fields: &[(&str, &str)]) -> String {
    let properties: Vec<String> = fields.iter().map(|(name, schema)| format!("\"{name}\":{schema}")).collect();
    let required: Vec<String> = fields.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    format!(
        "{{\"type\":\"object\",\"properties\":{{{}}},\"required\":[{}],\"additionalProperties\":false}}",
        properties.join(","),
        required.join(",")
    )
}

/// The schema with a limit for every text and list, and without formats that servers' grammars do not know.
fn bounded(mut schema: Value) -> Value {
    bound(&mut schema);
    schema
}

fn bound(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is = |kind: &str| match object.get("type") {
                Some(Value::String(only)) => only == kind,
                Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
                _ => false,
            };
            let (text, list) = (is("string"), is("array"));
            let is_type = object.get("type").is_some();
            if text && !["enum", "const", "maxLength", "pattern"].iter().any(|key| object.contains_key(*key)) {
                object.insert("maxLength".into(), LONGEST_TEXT.into());
            }
            if list && !object.contains_key("maxItems") {
                object.insert("maxItems".into(), LONGEST_LIST.into());
            }
            if is_type && object.get("format").is_some_and(Value::is_string) {
                object.remove("format");
            }
            object.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request::Offer;

    #[test]
    fn an_answer_is_any_call_that_is_offered_with_its_narrower_arguments() {
        let card = |name: &str| ToolCard {
            name: name.into(),
            description: "Looks.".into(),
            parameters: json!({"type": "object", "properties": {"at": {"type": "string", "maxLength": 9}}}),
        };
        let conversation = Conversation::new("s", vec![card("look"), card("a \"tool\"")]);
        let actions = Actions::of(&conversation);
        let schema = |only| {
            let schema = actions.schema(&conversation, &Step { only, max_tokens: 9 });
            serde_json::from_str::<Value>(schema.get()).expect("JSON")
        };
        let call = |tool: &str, arguments: &Value| {
            json!({"type": "object", "properties": {"tool": {"type": "string", "enum": [tool]}, "arguments": arguments},
                "required": ["tool", "arguments"], "additionalProperties": false})
        };
        let answer = |calls: &[Value]| {
            json!({"type": "object", "properties": {"because": {"type": "string", "maxLength": 300},
                "action": {"anyOf": calls}}, "required": ["because", "action"], "additionalProperties": false})
        };
        let wide = card("look").parameters;
        assert_eq!(schema(None), answer(&[call("look", &wide), call("a \"tool\"", &wide)]));
        let narrow = json!({"type": "object", "properties": {"at": {"enum": ["E1"]}}});
        let offer = |tool: &str, narrowed| Offer { tool: tool.into(), narrowed };
        let only = vec![offer("a \"tool\"", Some(narrow.clone())), offer("look", None)];
        assert_eq!(schema(Some(only)), answer(&[call("look", &wide), call("a \"tool\"", &narrow)]));
    }

    #[test]
    fn native_calls_of_another_model_are_shown_as_actions() {
        let call =
            |arguments: &str| Said { content: " I look. ".into(), calls: vec![RawCall::new("a", "look", arguments)] };
        let shown = as_said(&call("{\"at\": 1}")).into_owned();
        assert_eq!(shown, r#"{"because":"I look.","action":{"tool":"look","arguments":{"at":1}}}"#);
        assert!(action(&shown).is_some(), "as it would have been said here");
        assert!(as_said(&call("{at")).contains("\"{at\""));
    }

    #[test]
    fn every_text_and_list_is_bounded() {
        let schema = json!({"type": "object", "properties": {
            "host": {"type": ["string", "null"], "format": "hostname"}, "kind": {"type": "string", "enum": ["a"]},
            "ids": {"type": "array", "items": {"type": "string", "maxLength": 4}},
            "format": {"type": "string"},
        }});
        let bounded = bounded(schema);
        assert_eq!(bounded["properties"]["host"], json!({"type": ["string", "null"], "maxLength": 512}));
        assert_eq!(bounded["properties"]["kind"], json!({"type": "string", "enum": ["a"]}));
        assert_eq!(bounded["properties"]["ids"]["maxItems"], 16);
        assert_eq!(bounded["properties"]["ids"]["items"]["maxLength"], 4);
        assert_eq!(bounded["properties"]["format"]["maxLength"], 512);
    }
}
