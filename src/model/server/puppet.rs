//! A puppet that passes `watchfloor doctor`, or fails it in a chosen way: it follows plain instructions to the letter.
//!
//! It understands `Call NAME with {…}.` anywhere in what it was told last, and answers with that call in the way it is
//! made to: natively, in a code fence, or as an action under a schema. It is how the doctor's own judgement is tested.

use serde_json::{Map, Value, json};

use super::script::{Asked, Plays, Reply};

/// How an instruction to call a tool begins.
pub const CALL: &str = "Call ";

/// What stands between the tool and its arguments.
pub const WITH: &str = " with ";

/// What a puppet can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Puppet {
    /// Calls tools natively, and follows schemas.
    Able,
    /// Writes its calls into a code fence, and follows schemas, as small local models do.
    Fencing,
    /// Talks instead of calling; under a schema it acts.
    Constrained,
    /// Talks instead of calling and ignores schemas, but writes the JSON it is asked for.
    Unconstrained,
    /// Calls the first tool natively and never goes on to the next step.
    Stubborn,
    /// Talks.
    Talkative,
}

impl Plays for Puppet {
    fn reply(&self, asked: &Asked) -> Reply {
        let told = told(asked);
        let call = told.as_deref().and_then(instruction);
        let native = !asked.tools().is_empty();
        let words = || Reply::text("That is a good question, and I would say that it depends on many things.");
        match (self, call) {
            (Self::Talkative, _) => words(),
            (Self::Able | Self::Fencing | Self::Constrained, None) => match asked.schema() {
                Some(schema) => Reply::text(least(schema).to_string()),
                None => Reply::text("pong"),
            },
            (_, None) => Reply::text("pong"),
            (Self::Able, Some((tool, arguments))) if native => Reply::call(&tool, &arguments),
            (Self::Stubborn, Some(_)) => {
                Reply::call(asked.tools().first().unwrap_or(&"none"), &json!({"name": "north"}))
            }
            (Self::Fencing, Some((tool, arguments))) if native => {
                Reply::text(format!("```json\n{}\n```", json!({"name": tool, "arguments": arguments})))
            }
            (Self::Able | Self::Fencing | Self::Constrained, Some((tool, arguments))) if asked.schema().is_some() => {
                Reply::text(action(&tool, &arguments))
            }
            (Self::Unconstrained, Some((tool, arguments))) if !native => {
                Reply::text(format!("```json\n{}\n```", action(&tool, &arguments)))
            }
            (Self::Able, Some((tool, arguments))) => Reply::text(action(&tool, &arguments)),
            (Self::Fencing | Self::Constrained | Self::Unconstrained, Some(_)) => words(),
        }
    }
}

fn action(tool: &str, arguments: &Value) -> String {
    json!({"because": "I was told to.", "action": {"tool": tool, "arguments": arguments}}).to_string()
}

/// What the puppet was told last: the last message, or the instruction before it with the result put in.
fn told(asked: &Asked) -> Option<String> {
    let messages = asked.body["messages"].as_array()?;
    let text = |message: &Value| message["content"].as_str().map(str::to_owned);
    let last = messages.last().and_then(text).unwrap_or_default();
    let instructions = messages.iter().filter(|message| message["role"] == "user").filter_map(text);
    let instructions: Vec<String> = instructions.filter(|text| text.contains(CALL)).collect();
    let instruction = instructions.last()?;
    if last == *instruction {
        return Some(last);
    }
    // A later step: what follows the first instruction, with the number of the result.
    let number: String = last.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let second = instruction.match_indices(CALL).nth(1)?.0;
    Some(instruction[second..].replace("NUMBER", &number))
}

/// The first call that a text asks for.
fn instruction(text: &str) -> Option<(String, Value)> {
    let (tool, rest) = text.split_once(CALL)?.1.split_once(WITH)?;
    let arguments = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
    Some((tool.to_owned(), arguments))
}

/// The least that follows a schema.
fn least(schema: &Value) -> Value {
    let first = |key: &str| schema[key].as_array().and_then(|all| all.first());
    if let Some(one) = first("enum") {
        return one.clone();
    }
    if let Some(one) = first("anyOf").or_else(|| first("oneOf")) {
        return least(one);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fields = required.iter().filter_map(Value::as_str);
            let fields: Map<String, Value> =
                fields.map(|field| (field.to_owned(), least(&schema["properties"][field]))).collect();
            Value::Object(fields)
        }
        Some("array") => json!([]),
        Some("string") => json!("x"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}
