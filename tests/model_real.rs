//! A real model server, whichever `WATCHFLOOR_TEST_MODEL_URL` names: it answers through a dialect, within its bounds, and
//! the doctor's report of it agrees with what it does; because a scripted server only does what somebody thought of.
//!
//! `WATCHFLOOR_TEST_MODEL` names the model; the first one that the server lists is taken if it does not. Without a server
//! the tests say that they were skipped.

use serde_json::json;
use watchfloor::model::client::ModelClient;
use watchfloor::model::error::{ModelError, Noticed};
use watchfloor::model::gate::OpenGate;
use watchfloor::model::probe;
use watchfloor::model::request::{Conversation, Step, ToolCard};
use watchfloor::model::settings::{DialectChoice, ModelSettings, Tokenizer};

/// The settings of the server to test, if there is one.
async fn settings() -> Option<ModelSettings> {
    let Ok(url) = std::env::var("WATCHFLOOR_TEST_MODEL_URL") else {
        println!("skipped: WATCHFLOOR_TEST_MODEL_URL names no model server");
        return None;
    };
    let any = ModelSettings::of(url, "any", 4096);
    let model = match std::env::var("WATCHFLOOR_TEST_MODEL") {
        Ok(model) => model,
        Err(_) => {
            let listed = open(any.clone()).listed().await.expect("the server lists its models");
            listed.into_iter().next().expect("it has one").name
        }
    };
    Some(ModelSettings { model, temperature: Some(0.0), ..any })
}

fn open(settings: ModelSettings) -> ModelClient {
    ModelClient::open(settings, |name| std::env::var(name).ok()).expect("the settings are sound")
}

fn conversation() -> Conversation {
    let parameters = json!({"type": "object", "required": ["host"],
        "properties": {"host": {"type": "string", "maxLength": 30}}, "additionalProperties": false});
    let tool = ToolCard { name: "list_events".into(), description: "Lists events of a host.".into(), parameters };
    let mut conversation = Conversation::new("You investigate alerts with tools.", vec![tool]);
    conversation.say("An alert was raised on the host wks-1. List the events of that host.");
    conversation
}

#[tokio::test]
async fn the_constrained_loop_yields_a_call_streamed_or_not() {
    let Some(settings) = settings().await else { return };
    let (dialect, step) = (DialectChoice::Constrained.dialect(), Step::of_all(200));
    for streaming in [true, false] {
        let client = open(ModelSettings { streaming, ..settings.clone() });
        let conversation = conversation();
        let answer = client.ask(&dialect.request(&conversation, &step), &OpenGate).await.expect("an answer");
        println!("streaming {streaming}: {} in {:?}, {:?}", answer.content, answer.took, answer.usage);
        let reading = dialect.read(&answer, &conversation, &step).expect("an action");
        assert_eq!(reading.calls[0].tool, "list_events");
        let usage = answer.usage.expect("it counts");
        assert!(usage.input > 20 && usage.output > 5, "{usage:?}");
    }
}

#[tokio::test]
async fn the_native_dialect_yields_a_call_or_says_why_not() {
    let Some(settings) = settings().await else { return };
    let (dialect, step, conversation) = (DialectChoice::Native.dialect(), Step::of_all(200), conversation());
    let answer = open(settings).ask(&dialect.request(&conversation, &step), &OpenGate).await.expect("an answer");
    match dialect.read(&answer, &conversation, &step) {
        Ok(reading) => println!("{:?}: {:?}", reading.form, reading.calls),
        Err(misread) => println!("{}: {misread} ({:?})", misread.kind(), answer.content),
    }
}

#[tokio::test]
async fn what_is_too_large_is_noticed_here_or_by_the_server() {
    let Some(settings) = settings().await else { return };
    let (dialect, step, mut conversation) = (DialectChoice::Native.dialect(), Step::of_all(64), conversation());
    conversation.say("svchost.exe wrote 4096 bytes to C:\\Temp\\a.tmp; ".repeat(4000));
    let here = open(settings.clone()).ask(&dialect.request(&conversation, &step), &OpenGate).await;
    assert!(matches!(here, Err(ModelError::ContextOverflow { noticed: Noticed::Here, .. })), "{here:?}");
    let unaware = open(ModelSettings { context_tokens: u32::MAX, ..settings });
    let there = unaware.ask(&dialect.request(&conversation, &step), &OpenGate).await;
    println!("the server says: {there:?}");
    assert!(matches!(there, Err(ModelError::ContextOverflow { noticed: Noticed::Server, .. })), "{there:?}");
}

#[tokio::test]
async fn what_is_estimated_is_near_what_is_counted() {
    let Some(settings) = settings().await else { return };
    let client = open(settings);
    let (dialect, step) = (DialectChoice::Native.dialect(), Step::of_all(8));
    let texts = [
        "The process was started by the service host, wrote a file, and ended after a few seconds. ".repeat(8),
        "powershell.exe -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMA ".repeat(6),
        "{\"event\": 4688, \"time\": \"2026-11-02T08:14:09.123Z\", \"sha256\": \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b\"}\n".repeat(8),
    ];
    for text in texts {
        let mut conversation = Conversation::new("You read.", vec![]);
        conversation.say(text);
        let request = dialect.request(&conversation, &step);
        let estimated = client.count(&request).total();
        let counted = client.ask(&request, &OpenGate).await.expect("an answer").usage.expect("it counts").input;
        println!("estimated {estimated}, counted {counted}");
        assert!(estimated >= counted, "an estimate is on the safe side: {estimated} of {counted}");
        assert!(estimated < counted * 3, "and not far from it: {estimated} of {counted}");
    }
}

#[tokio::test]
async fn the_doctor_tells_what_it_is_good_for() {
    let Some(settings) = settings().await else { return };
    let report = probe::probe(&settings, |name| std::env::var(name).ok()).await.expect("it is tried");
    println!("{report:#?}");
    let seen = |check: &str| report.findings.iter().any(|finding| finding.check == check);
    assert!(seen("reachable") && seen("answer") && seen("tool calls") && seen("dialect"), "{report:#?}");
    let counts = [Tokenizer::LlamaCpp, Tokenizer::Vllm];
    println!("counts: {:?}", [open(settings.clone()).counts(counts[0]).await, open(settings).counts(counts[1]).await]);
}
