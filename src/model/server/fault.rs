//! Faults of model servers and of models, each by a name: all were met in practice.

use serde::Deserialize;
use serde_json::json;

use super::script::{Asked, Reply, Saying};
use crate::model::answer::{Finish, RawCall};

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The request is taken and nothing comes.
    Hang,
    /// The answer begins and nothing more comes.
    Stall,
    /// 429, come again in no time.
    RateLimit,
    /// 429, come again in an hour.
    RateLimitLong,
    /// 503.
    Unavailable,
    /// The connection breaks in the middle of the answer.
    Reset,
    /// The stream ends in the middle of the answer, properly closed.
    ShortStream,
    /// An error where the answer should go on.
    ErrorInStream,
    /// The arguments of a call are no JSON.
    MalformedArguments,
    /// The arguments of a call are empty.
    EmptyArguments,
    /// A tool that does not exist is called.
    UnknownTool,
    /// The arguments are a list.
    WrongTypes,
    /// The same is asked twice at once.
    DuplicateCalls,
    /// The same is asked again and again.
    Loop,
    /// The answer has nothing in it.
    Empty,
    /// The answer ends at its limit.
    Length,
    /// 400, the context is too small.
    Overflow,
    /// 404, there is no such model.
    UnknownModel,
    /// The answer is no UTF-8.
    NotUtf8,
    /// A page instead of an answer.
    NotJson,
    /// A hundred calls at once.
    ManyCalls,
    /// Thoughts, and no answer.
    ReasoningOnly,
    /// An answer that does not end.
    Endless,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Hang,
        Self::Stall,
        Self::RateLimit,
        Self::RateLimitLong,
        Self::Unavailable,
        Self::Reset,
        Self::ShortStream,
        Self::ErrorInStream,
        Self::MalformedArguments,
        Self::EmptyArguments,
        Self::UnknownTool,
        Self::WrongTypes,
        Self::DuplicateCalls,
        Self::Loop,
        Self::Empty,
        Self::Length,
        Self::Overflow,
        Self::UnknownModel,
        Self::NotUtf8,
        Self::NotJson,
        Self::ManyCalls,
        Self::ReasoningOnly,
        Self::Endless,
    ];

    /// What a model says that fails in this way; none where it is the server that fails.
    pub(super) fn saying(self, asked: &Asked) -> Option<Saying> {
        let tool = asked.tools().first().copied().unwrap_or("look").to_owned();
        let call = |name: &str, arguments: &str| RawCall::new("call_1", name, arguments);
        let says = |calls| Some(Saying { calls, ..Saying::default() });
        match self {
            Self::MalformedArguments => says(vec![call(&tool, "{\"at\": \"x\", ")]),
            Self::EmptyArguments => says(vec![call(&tool, "")]),
            Self::UnknownTool => says(vec![call("format_disk", "{}")]),
            Self::WrongTypes => says(vec![call(&tool, "[1, 2]")]),
            Self::DuplicateCalls => {
                let arguments = json!({"at": "x"}).to_string();
                says(["call_1", "call_2"].map(|id| RawCall::new(id, &tool, &arguments)).into())
            }
            Self::Loop => says(vec![call(&tool, "{\"at\":\"x\"}")]),
            Self::ManyCalls => {
                says((0..100).map(|n| RawCall::new(format!("call_{n}"), &tool, format!("{{\"at\":{n}}}"))).collect())
            }
            Self::Empty => says(vec![]),
            Self::Length => {
                let content = "{\"because\": \"the process was".to_owned();
                Some(Saying { content, finish: Some(Finish::Length), ..Saying::default() })
            }
            Self::ReasoningOnly => Some(Saying { reasoning: "Let me think.".into(), ..Saying::default() }),
            Self::Hang
            | Self::Stall
            | Self::RateLimit
            | Self::RateLimitLong
            | Self::Unavailable
            | Self::Reset
            | Self::ShortStream
            | Self::ErrorInStream
            | Self::Overflow
            | Self::UnknownModel
            | Self::NotUtf8
            | Self::NotJson
            | Self::Endless => None,
        }
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self::Fails(fault)
    }
}
