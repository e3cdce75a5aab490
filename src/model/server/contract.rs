//! What a request has to keep to: OpenAI's protocol as the strictest servers read it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Fields of a request that are known.
const FIELDS: [&str; 12] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "stream",
    "stream_options",
    "seed",
];

/// Longest name of a tool or a schema.
const LONGEST_NAME: usize = 64;

/// Everything in which a request breaks the protocol.
pub(super) fn violations(body: &Value) -> Vec<String> {
    let Some(fields) = body.as_object() else { return vec!["the body is no JSON object".into()] };
    let mut found = Vec::new();
    for field in fields.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        found.push(format!("`{field}` is no field of a request"));
    }
    if !body["model"].is_string() {
        found.push("`model` is missing".into());
    }
    match body["messages"].as_array() {
        Some(messages) if !messages.is_empty() => check_messages(messages, &mut found),
        _ => found.push("`messages` is missing or empty".into()),
    }
    check_tools(body, &mut found);
    check_form(body, &mut found);
    found
}

fn check_messages(messages: &[Value], found: &mut Vec<String>) {
    // Calls of the last assistant message that wait for their results.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (place, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            found.push(format!("message {place} comes before the results of {open:?}"));
            open.clear();
        }
        match role {
            "system" | "developer" | "user" => {
                if !message["content"].is_string() && !message["content"].is_array() {
                    found.push(format!("message {place} ({role}) has no content"));
                }
                if role == "system" && place > 0 {
                    found.push(format!("message {place} gives instructions in the middle"));
                }
            }
            "assistant" => open = check_assistant(place, message, found),
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !open.remove(id) {
                    found.push(format!("message {place} is the result of a call `{id}` that nobody waits for"));
                }
                if !message["content"].is_string() {
                    found.push(format!("message {place} (tool) has no content"));
                }
            }
            other => found.push(format!("message {place} has the role `{other}`")),
        }
    }
    if !open.is_empty() {
        found.push(format!("the results of {open:?} are missing"));
    }
}

fn check_assistant<'m>(place: usize, message: &'m Value, found: &mut Vec<String>) -> BTreeSet<&'m str> {
    let mut open = BTreeSet::new();
    let calls = message.get("tool_calls").map(|calls| calls.as_array().map(Vec::as_slice).unwrap_or_default());
    if calls.is_some_and(<[Value]>::is_empty) {
        found.push(format!("message {place} has an empty list of calls"));
    }
    let calls = calls.unwrap_or_default();
    if calls.is_empty() && !message["content"].is_string() {
        found.push(format!("message {place} (assistant) has neither content nor calls"));
    }
    for call in calls {
        let id = call["id"].as_str().unwrap_or_default();
        if id.is_empty() || !open.insert(id) {
            found.push(format!("message {place} has a call without an id of its own (`{id}`)"));
        }
        if call["type"] != "function" {
            found.push(format!("call `{id}` is no function"));
        }
        if !call["function"]["name"].is_string() || !call["function"]["arguments"].is_string() {
            found.push(format!("call `{id}` has no name, or arguments that are no text"));
        }
    }
    open
}

fn check_tools(body: &Value, found: &mut Vec<String>) {
    let tools = body.get("tools").map(|tools| tools.as_array().map(Vec::as_slice).unwrap_or_default());
    if tools.is_some_and(<[Value]>::is_empty) {
        found.push("`tools` is empty".into());
    }
    let mut names = BTreeSet::new();
    for tool in tools.unwrap_or_default() {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        if tool["type"] != "function" || !is_name(name) || !names.insert(name) {
            found.push(format!("the tool `{name}` is no function with a name of its own"));
        }
        if function["parameters"]["type"] != "object" {
            found.push(format!("the arguments of `{name}` are no object"));
        }
    }
    match &body["tool_choice"] {
        Value::Null => {}
        _ if names.is_empty() => found.push("`tool_choice` without `tools`".into()),
        Value::String(choice) if ["none", "auto", "required"].contains(&choice.as_str()) => {}
        choice => {
            let named = choice["function"]["name"].as_str().unwrap_or_default();
            if choice["type"] != "function" || !names.contains(named) {
                found.push(format!("`tool_choice` names the unknown tool `{named}`"));
            }
        }
    }
}

fn check_form(body: &Value, found: &mut Vec<String>) {
    let limits = ["max_tokens", "max_completion_tokens"].map(|field| &body[field]);
    let set: Vec<&&Value> = limits.iter().filter(|limit| !limit.is_null()).collect();
    if set.len() > 1 {
        found.push("both `max_tokens` and `max_completion_tokens`".into());
    } else if set.iter().any(|limit| limit.as_u64().unwrap_or(0) == 0) {
        found.push("the longest answer is no number above 0".into());
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        found.push("`stream_options` without `stream`".into());
    }
    let form = &body["response_format"];
    if form["type"] == "json_schema" {
        let schema = &form["json_schema"];
        if !is_name(schema["name"].as_str().unwrap_or_default()) || !schema["schema"].is_object() {
            found.push("`response_format` has no named schema".into());
        } else if schema["schema"]["type"] != "object" {
            found.push("the schema of `response_format` is no object".into());
        }
    } else if !form.is_null() && form["type"] != "json_object" && form["type"] != "text" {
        found.push("`response_format` is of no known type".into());
    }
    let temperature = &body["temperature"];
    if !temperature.is_null() && !temperature.as_f64().is_some_and(|value| (0.0..=2.0).contains(&value)) {
        found.push("`temperature` is not between 0 and 2".into());
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(messages: &Value) -> Vec<String> {
        violations(&json!({"model": "m", "messages": messages}))
    }

    #[test]
    fn a_result_needs_its_call_and_a_call_its_result() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let user = json!({"role": "user", "content": "x"});
        let asks = json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
        assert_eq!(of(&json!([user, asks, result("b"), result("a"), user])), Vec::<String>::new());
        assert_eq!(of(&json!([user, asks, result("a"), user])).len(), 1);
        assert_eq!(of(&json!([user, result("a")])).len(), 1);
        assert_eq!(of(&json!([user, asks, result("a"), result("a")])).len(), 2);
        let twins = json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("a")]});
        assert_eq!(of(&json!([twins, result("a")])).len(), 1);
    }

    #[test]
    fn what_no_server_knows_is_refused() {
        let found = violations(&json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "n_predict": 1,
            "tool_choice": "required", "stream_options": {}, "response_format": {"type": "json_schema"}}));
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(violations(&json!([])).len(), 1);
    }
}
