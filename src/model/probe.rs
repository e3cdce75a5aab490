//! What `watchfloor doctor` asks a model: is it there, what can it do, and which dialect suits it?
//!
//! Nothing a server says of itself is believed where it can be tried. The last trial is a contract of two steps, since a
//! model that calls one tool nicely may never come to the second: it reads a meter, and reports what the meter showed.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{ModelClient, Served};
use super::dialect::{Dialect, Form};
use super::error::ModelError;
use super::gate::OpenGate;
use super::request::{CallResult, Conversation, Request, ResponseFormat, Step, ToolCard};
use super::settings::{DialectChoice, ModelSettings, Seconds, SettingsError, Tokenizer};
use super::written::Written;
use crate::domain::words::excerpt;

mod declared;

pub use declared::stand_in;

use declared::Listening;

/// What the meter shows. No model guesses it.
const SHOWN: u64 = 4217;

/// Longest answer in tokens; a model that reasons needs some for its thoughts.
const LONGEST: u32 = 512;

/// Nobody waits longer than this for one answer of a trial.
const LONGEST_WAIT: Seconds = Seconds::whole(180);

const INSTRUCTIONS: &str =
    "You are a careful assistant that works with tools. Do what you are told, one step at a time.";

const CONTRACT: &str = "This takes two steps. First: Call read_meter with {\"name\": \"north\"}. \
Then, when you know what it shows: Call report with {\"value\": NUMBER}, where NUMBER is what the meter shows.";

/// What was found out about a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was tried, in order.
    pub findings: Vec<Finding>,
    /// The dialect that suits it; none if none does.
    pub dialect: Option<&'static str>,
    /// The settings that should be changed, as the configuration writes them.
    pub changes: Vec<String>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was seen, in a sentence.
    pub seen: String,
}

/// How a trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Good,
    /// It is a fact, and another setting fits it better or it limits what can be done.
    Note,
    /// The model cannot be used like this.
    Bad,
}

impl Report {
    /// The worst outcome.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Good)
    }

    fn add(&mut self, check: &'static str, outcome: Outcome, seen: impl Into<String>) {
        self.findings.push(Finding { check, outcome, seen: seen.into() });
    }
}

/// How a model kept the contract in one dialect.
struct Kept {
    /// How its calls came, if there were any.
    form: Option<Form>,
    /// Whether both steps were taken.
    whole: bool,
    /// Whether a step had no answer at all, which says nothing of what the model can do.
    unanswered: bool,
    /// What was seen.
    seen: String,
}

/// Why a step of the contract was not taken.
enum Missed {
    /// The model answered, and not as it should.
    Answered(String),
    /// There was no answer.
    Unanswered(String),
}

/// Tries a model.
///
/// # Errors
/// When the settings cannot be used; what the model fails at is in the report.
pub async fn probe(
    settings: &ModelSettings,
    variable: impl Fn(&str) -> Option<String> + Copy,
) -> Result<Report, SettingsError> {
    let patient = |seconds: Seconds| seconds.min(LONGEST_WAIT);
    let settings = ModelSettings {
        attempts: 1,
        first_token_seconds: patient(settings.first_token_seconds),
        answer_seconds: patient(settings.answer_seconds),
        ..settings.clone()
    };
    let other = ModelSettings { streaming: !settings.streaming, ..settings.clone() };
    let client = ModelClient::open(settings.clone(), variable)?;
    let mut report = Report { findings: Vec::new(), dialect: None, changes: Vec::new() };
    let Some(served) = introduced(&client, &mut report).await else { return Ok(report) };
    let listening = Listening::default();
    let answered = answers(&client, &listening, &mut report).await;
    declared::compare(client.settings(), listening.heard(), served.slots, &mut report);
    if !answered {
        return Ok(report);
    }
    streams(&ModelClient::open(other, variable)?, settings.streaming, &mut report).await;
    let schema = follows_schemas(&client, &mut report).await;
    chooses(&client, schema, &mut report).await;
    Ok(report)
}

/// Whether the server is there and has the model; what it says of its context. Nothing if it is not there.
async fn introduced(client: &ModelClient, report: &mut Report) -> Option<Served> {
    let settings = client.settings();
    let listed = match client.listed().await {
        Ok(listed) => {
            report.add("reachable", Outcome::Good, format!("{} answers", settings.base_url));
            listed
        }
        // Not every server lists its models; that it answers is enough.
        Err(ModelError::Refused { status, .. }) => {
            report.add(
                "reachable",
                Outcome::Good,
                format!("{} answers, and lists no models ({status})", settings.base_url),
            );
            Vec::new()
        }
        Err(error) => {
            report.add("reachable", Outcome::Bad, error.to_string());
            return None;
        }
    };
    let named = listed.iter().find(|model| model.name == settings.model);
    if named.is_none() && !listed.is_empty() {
        let names: Vec<&str> = listed.iter().map(|model| &*model.name).take(10).collect();
        // llama.cpp answers under any name; an answer will show whether this one does.
        let seen = format!("the server lists no {}, but {}", settings.model, names.join(", "));
        report.add("model", Outcome::Note, seen);
        report.changes.push(format!("model = \"{}\"", names[0]));
    } else if named.is_some() {
        report.add("model", Outcome::Good, format!("the server has {}", settings.model));
    }
    let served = client.served().await;
    let context = served.context.or_else(|| named.and_then(|model| model.context));
    let ours = u64::from(settings.context_tokens);
    match context {
        Some(theirs) if theirs < ours => {
            report.add(
                "context",
                Outcome::Bad,
                format!("the server takes {theirs} tokens, and the settings say {ours}"),
            );
            report.changes.push(format!("context_tokens = {theirs}"));
        }
        Some(theirs) => {
            report.add("context", Outcome::Good, format!("the server takes {theirs} tokens, {ours} are used"))
        }
        None => report.add("context", Outcome::Good, format!("the server does not say what it takes; {ours} are used")),
    }
    counts(client, served.llama_cpp, report).await;
    Some(served)
}

/// Who can count tokens.
async fn counts(client: &ModelClient, llama_cpp: bool, report: &mut Report) {
    let offered = if llama_cpp { Tokenizer::LlamaCpp } else { Tokenizer::Vllm };
    let has = client.counts(offered).await;
    match (has, client.settings().tokenizer) {
        (true, set) if set == offered => report.add("tokenizer", Outcome::Good, "the server counts tokens"),
        (true, _) => {
            let seen = "the server counts tokens exactly, and the settings rely on an estimate";
            report.add("tokenizer", Outcome::Note, seen);
            report.changes.push(format!("tokenizer = \"{}\"", offered.word()));
        }
        (false, Tokenizer::Estimate) => {
            report.add("tokenizer", Outcome::Good, "the server does not count tokens; they are estimated");
        }
        (false, set) => {
            let seen = format!("the server does not count tokens as `{}` says", set.word());
            report.add("tokenizer", Outcome::Note, seen);
            report.changes.push("tokenizer = \"estimate\"".into());
        }
    }
}

fn plain(text: &str) -> Conversation {
    let mut conversation = Conversation::new(INSTRUCTIONS, Vec::new());
    conversation.say(text);
    conversation
}

async fn asked(client: &ModelClient, conversation: &Conversation) -> Result<Answer, ModelError> {
    let step = Step::of_all(LONGEST);
    let dialect = DialectChoice::Native.dialect();
    client.ask(&dialect.request(conversation, &step), &OpenGate).await
}

/// Whether it answers at all, and how fast.
async fn answers(client: &ModelClient, listening: &Listening, report: &mut Report) -> bool {
    let conversation = plain("Count from one to twenty in words, separated by spaces. Write nothing else.");
    let (step, dialect) = (Step::of_all(LONGEST), DialectChoice::Native.dialect());
    let answer = match client.ask(&dialect.request(&conversation, &step), listening).await {
        Ok(answer) => answer,
        Err(error) => {
            report.add("answer", Outcome::Bad, error.to_string());
            return false;
        }
    };
    let said = match (answer.content.trim(), answer.reasoning.trim()) {
        ("", "") => "nothing".into(),
        ("", _) => "nothing but thoughts".into(),
        (content, _) => format!("“{}”", excerpt(content, 40)),
    };
    let outcome = if answer.content.trim().is_empty() { Outcome::Note } else { Outcome::Good };
    report.add("answer", outcome, format!("it says {said} after {}", time(answer.took.whole)));
    match answer.usage {
        Some(usage) => {
            report.add("usage", Outcome::Good, format!("{} tokens read, {} written", usage.input, usage.output))
        }
        None => report.add(
            "usage",
            Outcome::Note,
            "the server does not say what an answer costs, or what cannot be: it is estimated",
        ),
    }
    if let Some(speed) = speed(&answer) {
        report.add("speed", Outcome::Good, speed);
    }
    true
}

/// How fast an answer was read and written.
fn speed(answer: &Answer) -> Option<String> {
    let rate = |tokens: u64, seconds: f64| {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        (seconds > 0.0 && tokens > 0).then(|| f64::from(tokens) / seconds)
    };
    if let Some(timings) = answer.timings {
        let reading = rate(timings.read, timings.reading_ms / 1000.0)?;
        let writing = rate(timings.written, timings.writing_ms / 1000.0)?;
        return Some(format!("reads {reading:.0} and writes {writing:.1} tokens a second, by its own clock"));
    }
    let writing_time = answer.took.whole.saturating_sub(answer.took.first.unwrap_or_default());
    let writing = rate(answer.usage?.output, writing_time.as_secs_f64())?;
    Some(format!("writes about {writing:.1} tokens a second"))
}

/// Whether the other way of transport works too.
async fn streams(other: &ModelClient, streaming: bool, report: &mut Report) {
    let tried = if streaming { "whole answers" } else { "streamed answers" };
    match asked(other, &plain("Answer with the one word: pong")).await {
        Ok(answer) => {
            let first = answer.took.first.map(|first| format!(", the first of it after {}", time(first)));
            let seen = format!("{tried} work as well{}", first.unwrap_or_default());
            report.add("streaming", Outcome::Good, seen);
        }
        Err(error) => report.add("streaming", Outcome::Note, format!("{tried} do not work: {error}")),
    }
}

/// Whether answers can be held to a schema.
async fn follows_schemas(client: &ModelClient, report: &mut Report) -> bool {
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["colour", "count"], "properties": {
        "colour": {"type": "string", "enum": ["teal"]}, "count": {"type": "integer", "minimum": 3, "maximum": 3}}});
    let conversation = plain("What is your favourite colour, and how many cats do you have?");
    let step = Step::of_all(LONGEST);
    let dialect = DialectChoice::Native.dialect();
    let request = Request {
        response_format: Some(ResponseFormat::json_schema("trial", Written::of(&schema))),
        ..dialect.request(&conversation, &step)
    };
    match client.ask(&request, &OpenGate).await {
        Ok(answer) => {
            let follows = serde_json::from_str::<Value>(&answer.content).is_ok_and(|said| said["colour"] == "teal");
            let seen = match follows {
                true => "answers can be held to a JSON schema".into(),
                false => format!("a JSON schema is accepted and not followed: “{}”", excerpt(&answer.content, 40)),
            };
            report.add("schema", if follows { Outcome::Good } else { Outcome::Note }, seen);
            follows
        }
        Err(error) => {
            report.add("schema", Outcome::Note, format!("answers cannot be held to a JSON schema: {error}"));
            false
        }
    }
}

/// Which dialect suits it: the first in which it keeps the contract.
async fn chooses(client: &ModelClient, schema: bool, report: &mut Report) {
    let native = keeps(client, &*DialectChoice::Native.dialect()).await;
    let seen = match native.form {
        Some(Form::Native) => "it calls tools natively",
        Some(Form::Fenced | Form::Action) => "it writes its calls into its text as JSON, where they are found",
        None if native.unanswered => "whether it calls tools is not known: it did not answer",
        None => "it does not call tools",
    };
    report.add("tool calls", if native.form.is_some() { Outcome::Good } else { Outcome::Note }, seen);
    report.add("contract, native", if native.whole { Outcome::Good } else { Outcome::Note }, native.seen);
    let (mut fitting, mut unanswered) = (native.whole.then_some(DialectChoice::Native), native.unanswered);
    // A model that only writes its calls is better held to a schema, where there is one.
    if native.form != Some(Form::Native) || !native.whole {
        let ways = [
            (schema, DialectChoice::Constrained, "contract, constrained"),
            (true, DialectChoice::Unconstrained, "contract, unconstrained"),
        ];
        for (usable, choice, check) in ways {
            if !usable || (fitting.is_some() && choice == DialectChoice::Unconstrained) {
                continue;
            }
            let kept = keeps(client, &*choice.dialect()).await;
            unanswered |= kept.unanswered;
            report.add(check, if kept.whole { Outcome::Good } else { Outcome::Note }, kept.seen);
            if kept.whole {
                fitting = Some(choice);
                break;
            }
        }
    }
    let set = client.settings().dialect;
    report.dialect = fitting.map(DialectChoice::word);
    match fitting {
        Some(fits) if fits == set => report.add("dialect", Outcome::Good, format!("`{}` suits it", fits.word())),
        Some(fits) => {
            let seen = format!("`{}` suits it, and the settings say `{}`", fits.word(), set.word());
            report.add("dialect", Outcome::Note, seen);
            report.changes.push(format!("dialect = \"{}\"", fits.word()));
        }
        // A busy server is no stupid model.
        None if unanswered => {
            let seen = "which dialect suits it is not known, since some trials had no answer: try again when the server is less busy, or take a faster one";
            report.add("dialect", Outcome::Bad, seen);
        }
        None => {
            let seen = "it keeps the contract of two steps in no dialect: it cannot investigate; take a larger model";
            report.add("dialect", Outcome::Bad, seen);
        }
    }
}

/// Whether a model keeps the contract in a dialect.
async fn keeps(client: &ModelClient, dialect: &dyn Dialect) -> Kept {
    let mut conversation = Conversation::new(INSTRUCTIONS, tools());
    conversation.say(CONTRACT);
    let steps = [("read_meter", json!({"name": "north"})), ("report", json!({"value": SHOWN}))];
    let mut kept = Kept { form: None, whole: false, unanswered: false, seen: String::new() };
    for (place, (tool, arguments)) in steps.iter().enumerate() {
        let reading = match taken(client, dialect, &mut conversation).await {
            Ok(reading) => reading,
            Err(missed) => {
                let unanswered = matches!(missed, Missed::Unanswered(_));
                let (Missed::Answered(seen) | Missed::Unanswered(seen)) = missed;
                return Kept { seen: format!("step {}: {seen}", place + 1), unanswered, ..kept };
            }
        };
        kept.form = Some(reading.form);
        let call = &reading.calls[0];
        if call.tool != *tool || Value::Object(call.arguments.clone()) != *arguments {
            let said = Value::Object(call.arguments.clone()).to_string();
            let seen = format!("step {}: it called {} with {}", place + 1, call.tool, excerpt(&said, 60));
            return Kept { seen, ..kept };
        }
        let results = call.ids.iter().map(|id| CallResult {
            call: id.clone(),
            tool: call.tool.clone(),
            content: format!("The meter shows {SHOWN}.").into(),
        });
        conversation.returned(results.collect());
    }
    Kept { whole: true, seen: "it kept both steps".into(), ..kept }
}

/// One step, with one remark if the answer could not be read.
async fn taken(
    client: &ModelClient,
    dialect: &dyn Dialect,
    conversation: &mut Conversation,
) -> Result<super::dialect::Reading, Missed> {
    let step = Step::of_all(LONGEST);
    let mut last = String::new();
    for _ in 0..2 {
        let answer = client.ask(&dialect.request(conversation, &step), &OpenGate).await;
        let answer = answer.map_err(|error| Missed::Unanswered(error.to_string()))?;
        let read = dialect.read(&answer, conversation, &step);
        conversation.heard(&answer);
        match read {
            Ok(reading) if reading.calls.len() == 1 => return Ok(reading),
            Ok(reading) => {
                // What it asked for has to be answered before it is told anything.
                let ids = reading.calls.iter().flat_map(|call| call.ids.iter().map(|id| (id, &call.tool)));
                let refused = ids.map(|(id, tool)| CallResult {
                    call: id.clone(),
                    tool: tool.clone(),
                    content: "Not done: one call at a time.".into(),
                });
                conversation.returned(refused.collect());
                last = format!("it called {} tools at once", reading.calls.len());
            }
            Err(misread) => {
                last = format!("its answer is {} (“{}”)", misread.kind(), excerpt(answer.content.trim(), 40));
                if !answer.calls.is_empty() {
                    // Its calls cannot be carried out and would wait for results for ever.
                    return Err(Missed::Answered(last));
                }
                conversation.say(misread.to_string());
            }
        }
    }
    Err(Missed::Answered(last))
}

fn tools() -> Vec<ToolCard> {
    let card = |name: &str, description: &str, field: &str, schema: Value| ToolCard {
        name: name.into(),
        description: description.into(),
        parameters: json!({"type": "object", "properties": {field: schema}, "required": [field], "additionalProperties": false}),
    };
    vec![
        card("read_meter", "Reads a meter.", "name", json!({"type": "string", "maxLength": 20})),
        card("report", "Reports what a meter showed.", "value", json!({"type": "integer"})),
    ]
}

fn time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
