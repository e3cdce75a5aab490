//! Scripts: what a scripted server answers, to which request.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use crate::model::answer::{Finish, RawCall};

/// Plays the model.
pub trait Plays: Send + Sync {
    /// The reply to a request.
    fn reply(&self, asked: &Asked) -> Reply;
}

impl<F: Fn(&Asked) -> Reply + Send + Sync> Plays for F {
    fn reply(&self, asked: &Asked) -> Reply {
        self(asked)
    }
}

/// A request, as a script sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its body.
    pub body: Value,
    /// Which one it is, counted from 0.
    pub number: usize,
}

impl Asked {
    /// The names of its tools.
    #[must_use]
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        tools.iter().filter_map(|tool| tool.pointer("/function/name")?.as_str()).collect()
    }

    /// The text of its last message.
    #[must_use]
    pub fn last(&self) -> &str {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        last.and_then(|message| message["content"].as_str()).unwrap_or_default()
    }

    /// The schema that the answer shall follow.
    #[must_use]
    pub fn schema(&self) -> Option<&Value> {
        self.body.pointer("/response_format/json_schema/schema")
    }

    /// Whether the answer is to be streamed.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.body["stream"] == true
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// An answer.
    Says(Saying),
    /// A failure.
    Fails(Fault),
}

/// An answer as a model might give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saying {
    /// Its text.
    pub content: String,
    /// What it thought.
    pub reasoning: String,
    /// Its calls.
    pub calls: Vec<RawCall>,
    /// Why it ends; what fits if left out.
    pub finish: Option<Finish>,
    /// What it is said to have cost; the truth if left out.
    pub usage: Option<Value>,
}

impl Reply {
    /// A text.
    #[must_use]
    pub fn text(content: impl Into<String>) -> Self {
        Self::Says(Saying { content: content.into(), ..Saying::default() })
    }

    /// A call.
    #[must_use]
    pub fn call(tool: &str, arguments: &Value) -> Self {
        Self::calls(vec![RawCall::new("call_1", tool, arguments.to_string())])
    }

    /// Calls.
    #[must_use]
    pub fn calls(calls: Vec<RawCall>) -> Self {
        Self::Says(Saying { calls, ..Saying::default() })
    }
}

/// Replies in order. When they are used up, the last one is given again.
#[derive(Debug)]
pub struct Sequence {
    replies: Vec<Reply>,
    next: AtomicUsize,
}

impl Sequence {
    /// These replies; a text if there are none.
    #[must_use]
    pub fn new(mut replies: Vec<Reply>) -> Self {
        if replies.is_empty() {
            replies.push(Reply::text("The script is empty."));
        }
        Self { replies, next: AtomicUsize::new(0) }
    }
}

impl Plays for Sequence {
    fn reply(&self, _: &Asked) -> Reply {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.replies[next.min(self.replies.len() - 1)].clone()
    }
}

/// A script as a file says it: `[[reply]]` tables, each with `text`, `call` and `arguments`, or `fault`; with `when`, it
/// answers requests whose last message holds that text, any number of times; without, it is used once, in order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptFile {
    reply: Vec<Line>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    when: Option<String>,
    text: Option<String>,
    call: Option<String>,
    arguments: Option<Value>,
    fault: Option<Fault>,
}

impl Line {
    fn reply(&self) -> Reply {
        let content = self.text.clone().unwrap_or_default();
        if let Some(fault) = self.fault {
            return Reply::Fails(fault);
        }
        let arguments = self.arguments.as_ref().map_or_else(|| "{}".into(), Value::to_string);
        let calls = self.call.iter().map(|tool| RawCall::new("call_1", tool, arguments.clone())).collect();
        Reply::Says(Saying { content, calls, ..Saying::default() })
    }
}

/// A script read from a file.
#[derive(Debug)]
pub struct Written {
    conditional: Vec<(String, Reply)>,
    inorder: Sequence,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read.
    #[error("the script {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not understood.
    #[error(
        "the script {path} is not understood: {what}; it is a list of [[reply]] with text, call and arguments, or fault, and perhaps when"
    )]
    Unknown {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

impl Written {
    /// Reads a script.
    ///
    /// # Errors
    /// When it cannot be read or is not understood.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ScriptError::Unreadable { path: shown(), source })?;
        Self::parse(&text).map_err(|error| ScriptError::Unknown { path: shown(), what: error.message().to_owned() })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let file: ScriptFile = toml::from_str(text)?;
        let (conditional, inorder): (Vec<Line>, Vec<Line>) =
            file.reply.into_iter().partition(|line| line.when.is_some());
        let conditional =
            conditional.iter().map(|line| (line.when.clone().unwrap_or_default(), line.reply())).collect();
        Ok(Self { conditional, inorder: Sequence::new(inorder.iter().map(Line::reply).collect()) })
    }
}

impl Plays for Written {
    fn reply(&self, asked: &Asked) -> Reply {
        let matching = self.conditional.iter().find(|(when, _)| asked.last().contains(when.as_str()));
        matching.map_or_else(|| self.inorder.reply(asked), |(_, reply)| reply.clone())
    }
}

/// A script that fails some requests and leaves the others to another one.
pub struct Failing<P> {
    /// The failure.
    pub fault: Fault,
    /// Which request fails first, counted from 0.
    pub from: usize,
    /// How many fail.
    pub times: usize,
    /// Who answers the others.
    pub then: P,
}

impl<P: Plays> Plays for Failing<P> {
    fn reply(&self, asked: &Asked) -> Reply {
        if asked.number >= self.from && asked.number - self.from < self.times {
            return Reply::Fails(self.fault);
        }
        self.then.reply(asked)
    }
}

impl Plays for Box<dyn Plays> {
    fn reply(&self, asked: &Asked) -> Reply {
        self.as_ref().reply(asked)
    }
}

/// How long a server hangs that hangs: longer than anybody waits.
pub(super) const FOR_GOOD: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_is_read_from_a_file() {
        let script = Written::parse(
            "[[reply]]\ncall = 'look'\narguments = { at = 'x' }\n[[reply]]\nwhen = 'bye'\ntext = 'good bye'\n[[reply]]\nfault = 'hang'\n",
        )
        .expect("it is understood");
        let asked = |text: &str| Asked { body: json!({"messages": [{"role": "user", "content": text}]}), number: 0 };
        let said = |reply: Reply| match reply {
            Reply::Says(saying) => saying,
            Reply::Fails(fault) => panic!("{fault:?}"),
        };
        assert_eq!(said(script.reply(&asked("well, bye"))).content, "good bye");
        assert_eq!(said(script.reply(&asked("hello"))).calls, [RawCall::new("call_1", "look", "{\"at\":\"x\"}")]);
        assert!(matches!(script.reply(&asked("hello")), Reply::Fails(Fault::Hang)));
        assert!(Written::parse("[[reply]]\nsay = 'x'\n").is_err());
    }
}
