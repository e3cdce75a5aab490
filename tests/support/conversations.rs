//! A conversation that begins, for tests of what models are asked.

use serde_json::json;
use watchfloor::model::request::{Conversation, ToolCard};

/// One tool, `look`, and an alert.
pub fn conversation() -> Conversation {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]});
    let card = ToolCard { name: "look".into(), description: "Looks.".into(), parameters };
    let mut conversation = Conversation::new("You investigate.", vec![card]);
    conversation.say("An alert was raised.");
    conversation
}
