//! The native dialect: OpenAI's `tools` and `tool_calls`, and the calls that a model writes into its text instead.
//!
//! The list of tools is the same at every step: leaving one out would change the beginning of the prompt, and the
//! server would read all of it again. What is not offered is refused when the answer is read.

use std::borrow::Cow;

use super::{Dialect, Form, Found, Misread, Reading, checked, fenced, offered};
use crate::model::answer::{Answer, Finish};
use crate::model::request::{
    CallResult, Conversation, Measured, Message, Request, Said, Step, ToldResults, ToolChoice, WireFunction,
    WireMessage, WireTool,
};

/// OpenAI's own tool calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn request<'a>(&self, conversation: &'a Conversation, step: &'a Step) -> Request<'a> {
        let mut messages = vec![WireMessage::System { content: Cow::Borrowed(conversation.system()) }];
        let mut last: Option<&Said> = None;
        let mut measured = None;
        for (place, message) in conversation.messages.iter().enumerate() {
            match message {
                Message::User(text) => messages.push(WireMessage::User { content: Cow::Borrowed(text) }),
                Message::Model(said) => {
                    last = Some(said);
                    messages.push(as_said(said));
                }
                Message::Results(results) => messages.extend(answers(results, last)),
            }
            if let Some(known) = conversation.measured.filter(|known| known.messages == place + 1) {
                measured = Some(Measured { messages: messages.len(), ..known });
            }
        }
        let tool_choice = match step.only.as_deref() {
            _ if conversation.tools().is_empty() => None,
            Some([one]) => Some(ToolChoice::Named(&one.tool)),
            _ => Some(ToolChoice::Required),
        };
        let tools = conversation.written_tools().map(|(tool, parameters)| WireTool {
            r#type: "function",
            function: WireFunction { name: &tool.name, description: &tool.description, parameters },
        });
        Request {
            messages,
            tools: tools.collect(),
            tool_choice,
            response_format: None,
            max_tokens: step.max_tokens,
            measured,
        }
    }

    fn read(&self, answer: &Answer, conversation: &Conversation, step: &Step) -> Result<Reading, Misread> {
        if answer.finish == Finish::ContentFilter {
            return Err(Misread::Filtered);
        }
        let cut = |misread| {
            if answer.finish == Finish::Length { Misread::Length { tokens: step.max_tokens } } else { misread }
        };
        let (because, found, form) = if answer.calls.is_empty() {
            match fenced::find(&answer.content).map_err(cut)? {
                Some((prose, found)) => (prose, found, Form::Fenced),
                None => return Err(cut(nothing(answer, offered(conversation, step)))),
            }
        } else {
            (answer.content.trim(), native(answer).map_err(cut)?, Form::Native)
        };
        let calls = checked(found, conversation, step)?;
        Ok(Reading { because: because.to_owned(), calls, form })
    }
}

fn native(answer: &Answer) -> Result<Vec<Found>, Misread> {
    let found = answer.calls.iter().map(|call| {
        let (tool, text) = (call.function.name.trim(), &call.function.arguments);
        let arguments = fenced::arguments(text).map_err(|what| Misread::Arguments { tool: tool.into(), what })?;
        Ok(Found { id: Some(call.id.clone()), tool: tool.into(), arguments })
    });
    found.collect()
}

/// What to say of an answer that calls nothing.
pub(super) fn nothing(answer: &Answer, offered: Vec<String>) -> Misread {
    match (answer.content.trim().is_empty(), answer.reasoning.trim().is_empty()) {
        (true, true) => Misread::Empty { offered },
        (true, false) => Misread::ReasoningOnly { offered },
        (false, _) => Misread::Prose { offered },
    }
}

fn as_said(said: &Said) -> WireMessage<'_> {
    let silent = said.content.is_empty() && !said.calls.is_empty();
    let content = (!silent).then_some(Cow::Borrowed(said.content.as_str()));
    WireMessage::Assistant { content, tool_calls: &said.calls }
}

/// Results of native calls are messages of their own; a call that was written into the text has no id to answer to.
fn answers<'a>(results: &'a [CallResult], last: Option<&Said>) -> Vec<WireMessage<'a>> {
    let is_native = |result: &CallResult| last.is_some_and(|said| said.calls.iter().any(|call| call.id == result.call));
    let (native, written): (Vec<&CallResult>, Vec<&CallResult>) = results.iter().partition(|result| is_native(result));
    let mut messages: Vec<_> = native
        .iter()
        .map(|result| WireMessage::Tool { tool_call_id: &result.call, content: &result.content })
        .collect();
    if !written.is_empty() {
        messages.push(WireMessage::Results { content: ToldResults(written) });
    }
    messages
}
