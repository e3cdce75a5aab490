//! A question's whole way: configured models, their limiters, their servers, and those that stand in for them; because each
//! part can be right and the way through all of them wrong, and then an agent waits for ever, pays twice or asks nobody.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Value as Attribute;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};
use support::conversations::conversation;
use support::spans::{attribute, exported};
use tokio::time::Instant;
use watchfloor::domain::alert::Severity;
use watchfloor::model::answer::RawCall;
use watchfloor::model::error::{ModelError, Noticed};
use watchfloor::model::limit::{BreakerState, Failure, InFlight, PerMinute, Price};
use watchfloor::model::limited::{Bill, LimitedModel, Limiters, Models, ModelsError, NoAnswer, Question, Told};
use watchfloor::model::request::{CallResult, Conversation, Step};
use watchfloor::model::server::fault::Fault;
use watchfloor::model::server::script::{Asked, Failing, Plays, Reply, Saying};
use watchfloor::model::server::{ScriptedServer, Setup, Style};
use watchfloor::model::settings::{DialectChoice, ModelSettings, Seconds};
use watchfloor::ports::clock::{Clock, SystemClock};

/// Nothing here may take longer; real sockets know no paused time.
const BOUND: Duration = Duration::from_secs(20);

async fn server(script: impl Plays + 'static) -> ScriptedServer {
    ScriptedServer::start(Setup::new(script)).await.expect("a port is free")
}

fn settings(server: &ScriptedServer) -> ModelSettings {
    ModelSettings {
        connect_seconds: Seconds::millis(500),
        first_token_seconds: Seconds::millis(400),
        idle_seconds: Seconds::millis(300),
        answer_seconds: Seconds::millis(900),
        longest_wait_seconds: Seconds::millis(50),
        ..ModelSettings::of(server.base_url(), "scripted", 8192)
    }
}

/// Models at work. The test's name keeps its actors apart from those of other tests.
async fn models<const N: usize>(test: &str, of: [(&str, ModelSettings); N]) -> (Models, Limiters) {
    let settings: BTreeMap<String, ModelSettings> =
        of.into_iter().map(|(name, settings)| (name.to_owned(), settings)).collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let models = Models::open(&settings, &format!("limited-{test}"), &clock, |_| None).expect("they are sound");
    let limiters = models.start().await.expect("they start");
    (models, limiters)
}

fn with_fallback(settings: ModelSettings, fallback: &str) -> ModelSettings {
    ModelSettings { fallback: Some(fallback.into()), ..settings }
}

fn good() -> Reply {
    Reply::call("look", &json!({"at": "x"}))
}

fn action() -> Reply {
    Reply::text(json!({"because": "so", "action": {"tool": "look", "arguments": {"at": "x"}}}).to_string())
}

async fn ask_within(
    model: &LimitedModel,
    conversation: &Conversation,
    patience: Duration,
) -> Result<Told, Box<NoAnswer>> {
    let step = Step::of_all(256);
    let deadline = Instant::now() + patience;
    let question = Question { conversation, step: &step, severity: Severity::High, deadline };
    tokio::time::timeout(BOUND, model.ask(&question)).await.expect("a question ends")
}

async fn ask(model: &LimitedModel) -> Result<Told, Box<NoAnswer>> {
    ask_within(model, &conversation(), Duration::from_secs(10)).await
}

async fn until(mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn slugs(failed: &[(watchfloor::model::limit::ModelName, Failure)]) -> Vec<(&str, &str)> {
    failed.iter().map(|(model, why)| (model.as_str(), why.slug())).collect()
}

// Retries and rests.

#[tokio::test]
async fn a_refusal_with_a_rest_is_waited_for_and_then_answered() {
    let served = server(Failing { fault: Fault::RateLimit, from: 0, times: 1, then: |_: &Asked| good() }).await;
    let limited = ModelSettings { requests_per_minute: PerMinute::new(600), ..settings(&served) };
    let (models, limiters) = models("rest", [("big", limited)]).await;
    let big = models.named("big").expect("it is there");
    let (told, spans) = exported(ask(big)).await;
    let told = told.expect("an answer");
    assert_eq!(told.reading.expect("a call").calls[0].tool, "look");
    assert_eq!((told.bill.attempts, told.bill.spending.unknown()), (2, 1), "the refusal cost nothing");
    assert!(!told.origin.is_fallback() && told.origin.failed.is_empty());
    // The wait of the client, and one of the limiter if its rest was not quite over.
    let waits = waits(&spans);
    assert!(!waits.is_empty() && waits.iter().all(|kind| kind == "retry_after"), "{waits:?}");
    until(|| big.limiter().figures().in_flight == 0).await;
    assert_eq!(big.limiter().figures().requests.expect("a quota").0, 2, "each attempt counts");
    limiters.stop().await;
}

#[tokio::test]
async fn a_rest_that_is_too_long_goes_to_the_stand_in_and_is_kept_to() {
    let (busy, free) = (server(|_: &Asked| Fault::RateLimitLong.into()).await, server(|_: &Asked| good()).await);
    let of = [("big", with_fallback(settings(&busy), "small")), ("small", settings(&free))];
    let (models, limiters) = models("long-rest", of).await;
    let big = models.named("big").expect("it is there");
    let told = ask(big).await.expect("an answer");
    assert_eq!(told.origin.to_string(), "small, in place of big (too_many_requests)");
    // An hour was asked for, five minutes are kept to, and the next question does not wait for them.
    let rests = big.limiter().figures().rests_for;
    assert!(rests > Duration::from_secs(290) && rests <= Duration::from_secs(300), "{rests:?}");
    let told = ask(big).await.expect("an answer");
    assert_eq!(slugs(&told.origin.failed), [("big", "not_in_time")]);
    assert_eq!(busy.received().len(), 1, "it was left alone");
    limiters.stop().await;
}

#[tokio::test]
async fn without_a_stand_in_the_caller_is_told_when_to_come_again() {
    let busy = server(|_: &Asked| Fault::RateLimitLong.into()).await;
    let (models, limiters) = models("come-again", [("big", settings(&busy))]).await;
    let big = models.named("big").expect("it is there");
    for (attempts, kind) in [(1, "rate_limited"), (0, "not_admitted")] {
        let refused = ask(big).await.expect_err("it rests");
        assert_eq!((refused.why.kind(), refused.bill.attempts), (kind, attempts));
        let rest = refused.come_again.expect("it is known");
        assert!(rest > Duration::from_secs(280) && rest <= Duration::from_secs(300), "{rest:?}");
    }
    limiters.stop().await;
}

// Servers that do not answer.

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_alone_and_the_stand_in_answers_at_once() {
    let broken = server(Failing { fault: Fault::Unavailable, from: 0, times: 5, then: |_: &Asked| good() }).await;
    let sound = server(|_: &Asked| good()).await;
    let of = [("big", with_fallback(settings(&broken), "small")), ("small", settings(&sound))];
    let (models, limiters) = models("breaker", of).await;
    let big = models.named("big").expect("it is there");
    let first = ask(big).await.expect("an answer");
    assert_eq!((first.bill.attempts, slugs(&first.origin.failed)), (4, vec![("big", "server_error")]));
    let second = ask(big).await.expect("an answer");
    // Five failures in a row opened the breaker: the third attempt was not made.
    assert_eq!((second.bill.attempts, slugs(&second.origin.failed)), (3, vec![("big", "not_in_time")]));
    assert_eq!((broken.received().len(), big.limiter().figures().breaker), (5, BreakerState::Open));
    let begun = Instant::now();
    let third = ask(big).await.expect("an answer");
    assert!(third.origin.is_fallback() && begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(broken.received().len(), 5, "it was left alone");
    // After its rest, one question finds out that it is back.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let back = ask(big).await.expect("an answer");
    assert!(!back.origin.is_fallback());
    until(|| big.limiter().figures().breaker == BreakerState::Closed).await;
    limiters.stop().await;
}

#[tokio::test]
async fn models_of_one_server_share_what_is_known_of_it() {
    let broken = server(|_: &Asked| Fault::Unavailable.into()).await;
    let of = [("one", settings(&broken)), ("other", settings(&broken))];
    let (models, limiters) = models("shared", of).await;
    let (one, other) = (models.named("one").expect("it is there"), models.named("other").expect("it is there"));
    ask(one).await.expect_err("it is broken");
    ask_within(one, &conversation(), Duration::from_secs(1)).await.expect_err("it is broken");
    assert_eq!(other.limiter().figures().breaker, BreakerState::Open);
    let refused = ask_within(other, &conversation(), Duration::from_secs(1)).await.expect_err("its server rests");
    assert_eq!((refused.why.kind(), refused.bill.attempts), ("not_admitted", 0));
    assert!(refused.come_again.is_some_and(|rest| rest <= Duration::from_secs(5)), "{refused:?}");
    limiters.stop().await;
}

#[tokio::test]
async fn who_answers_in_whose_place_and_why_is_told_along_the_whole_chain() {
    let hangs = server(|_: &Asked| Fault::Hang.into()).await;
    let denies = ScriptedServer::start(Setup { key: Some("k".into()), ..Setup::new(|_: &Asked| good()) }).await;
    let (denies, sound) = (denies.expect("a port is free"), server(|_: &Asked| good()).await);
    let of = [
        ("a", with_fallback(settings(&hangs), "b")),
        ("b", with_fallback(settings(&denies), "c")),
        ("c", settings(&sound)),
    ];
    let (models, limiters) = models("chain", of).await;
    let told = ask(models.named("a").expect("it is there")).await.expect("an answer");
    assert_eq!(told.origin.to_string(), "c, in place of a (timeout) and b (unauthorised)");
    // Two attempts that hung may have cost something, one that was denied did not, and the answer has no price.
    assert_eq!((told.bill.attempts, told.bill.spending.unknown()), (4, 3));
    limiters.stop().await;
}

#[tokio::test]
async fn a_request_that_is_wrong_is_not_asked_of_everybody() {
    let (overflows, sound) = (server(|_: &Asked| Fault::Overflow.into()).await, server(|_: &Asked| good()).await);
    let of = [("big", with_fallback(settings(&overflows), "small")), ("small", settings(&sound))];
    let (models, limiters) = models("wrong", of).await;
    let refused = ask(models.named("big").expect("it is there")).await.expect_err("it does not fit");
    assert_eq!((refused.why.kind(), sound.received().len()), ("context_overflow", 0));
    assert_eq!(refused.to_string().matches("big").count(), 1, "{refused}");
    limiters.stop().await;
}

// Dialects.

#[tokio::test]
async fn a_stand_in_is_asked_in_its_own_dialect_and_the_conversation_goes_on() {
    let fails_second = Failing { fault: Fault::UnknownModel, from: 1, times: 1, then: |_: &Asked| good() };
    let (native, local) = (server(fails_second).await, server(|_: &Asked| action()).await);
    let constrained = ModelSettings { dialect: DialectChoice::Constrained, ..settings(&local) };
    let of = [("big", with_fallback(settings(&native), "small")), ("small", constrained)];
    let (models, limiters) = models("dialects", of).await;
    let big = models.named("big").expect("it is there");
    let mut conversation = conversation();
    let mut answered = Vec::new();
    for _ in 0..3 {
        let told = ask_within(big, &conversation, Duration::from_secs(10)).await.expect("an answer");
        let reading = told.reading.as_ref().expect("a call").clone();
        told.heard_in(&mut conversation);
        assert_eq!(conversation.measured.is_some(), !told.origin.is_fallback(), "tokens are not the same everywhere");
        let results = reading.calls.iter().flat_map(|call| call.ids.iter().map(|id| (id, &call.tool)));
        let result = |(id, tool): (&String, &String)| CallResult {
            call: id.clone(),
            tool: tool.clone(),
            content: "seen".into(),
        };
        conversation.returned(results.map(result).collect());
        answered.push(told.origin.answered.as_str().to_owned());
    }
    assert_eq!(answered, ["big", "small", "big"]);
    for served in [&native, &local] {
        let broken: Vec<String> = served.received().into_iter().flat_map(|request| request.violations).collect();
        assert_eq!(broken, Vec::<String>::new());
    }
    let asked = &local.received()[0].body;
    assert!(asked["tools"].is_null() && asked["response_format"].is_object(), "{asked}");
    // The native call before is shown as the action that it would have been.
    assert!(asked["messages"].to_string().contains("\\\"action\\\""), "{asked}");
    limiters.stop().await;
}

// What it costs.

fn price(currency: &str, input: &str, output: &str) -> Option<Price> {
    let text = format!("currency = '{currency}'\ninput = '{input}'\noutput = '{output}'");
    Some(toml::from_str(&text).expect("a price"))
}

#[tokio::test]
async fn what_questions_used_and_cost_is_summed() {
    let flaky = server(Failing { fault: Fault::Reset, from: 1, times: 1, then: |_: &Asked| good() }).await;
    let other = server(|_: &Asked| good()).await;
    let of = [
        ("usd", ModelSettings { price: price("USD", "2.5", "10"), ..settings(&flaky) }),
        ("eur", ModelSettings { price: price("EUR", "1", "1"), ..settings(&other) }),
        ("free", settings(&other)),
    ];
    let (models, limiters) = models("cost", of).await;
    let mut bill = Bill::default();
    let mut exact: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut input, mut output) = (0, 0);
    for (name, in_price, out_price) in
        [("usd", 2_500_000, 10_000_000), ("usd", 2_500_000, 10_000_000), ("eur", 1_000_000, 1_000_000), ("free", 0, 0)]
    {
        let told = ask(models.named(name).expect("it is there")).await.expect("an answer");
        let usage = told.answer.usage.expect("the server counts");
        let micros = (usage.input * in_price + usage.output * out_price).div_ceil(1_000_000);
        *exact.entry(name).or_default() += micros;
        (input, output) = (input + usage.input, output + usage.output);
        bill.add(&told.bill);
    }
    assert_eq!((bill.usage.input, bill.usage.output), (input, output));
    let known: Vec<(String, u64)> =
        bill.spending.known().map(|cost| (cost.currency.to_string(), cost.micros)).collect();
    assert_eq!(known, [("EUR".to_owned(), exact["eur"]), ("USD".to_owned(), exact["usd"])]);
    // The attempt that broke off, and the model without a price.
    assert_eq!((bill.attempts, bill.spending.unknown()), (5, 2));
    limiters.stop().await;
}

// Giving up.

#[tokio::test]
async fn a_question_that_is_given_up_gives_its_permit_and_its_place_back() {
    let served = server(Failing { fault: Fault::Hang, from: 0, times: 1, then: |_: &Asked| good() }).await;
    let patient = ModelSettings {
        calls_in_flight: InFlight::new(1).expect("one"),
        first_token_seconds: Seconds::whole(600),
        answer_seconds: Seconds::whole(600),
        ..settings(&served)
    };
    let (models, limiters) = models("given-up", [("big", patient)]).await;
    let big = models.named("big").expect("it is there").clone();
    let asking = |big: LimitedModel| {
        tokio::spawn(async move { ask_within(&big, &conversation(), Duration::from_secs(60)).await.map(drop) })
    };
    let under_way = asking(big.clone());
    until(|| served.received().len() == 1).await;
    let (waits, waits_too) = (asking(big.clone()), asking(big.clone()));
    until(|| big.limiter().figures().waiting == 2).await;
    // One that waits goes away, then the one that is under way.
    waits_too.abort();
    until(|| big.limiter().figures().waiting == 1).await;
    assert_eq!((big.limiter().figures().in_flight, served.given_up()), (1, 0));
    under_way.abort();
    waits.await.expect("no panic").expect("the one that waited is answered");
    until(|| big.limiter().figures().in_flight == 0 && served.given_up() == 1).await;
    assert_eq!((big.limiter().figures().waiting, served.received().len()), (0, 2));
    limiters.stop().await;
}

#[tokio::test]
async fn who_waits_when_the_floor_stops_is_told_and_asks_nobody_else() {
    let served = server(|_: &Asked| Fault::Hang.into()).await;
    let slow = ModelSettings {
        calls_in_flight: InFlight::new(1).expect("one"),
        first_token_seconds: Seconds::whole(5),
        answer_seconds: Seconds::whole(5),
        ..settings(&served)
    };
    let sound = server(|_: &Asked| good()).await;
    let of = [("big", with_fallback(slow, "small")), ("small", settings(&sound))];
    let (models, limiters) = models("stops", of).await;
    let big = models.named("big").expect("it is there").clone();
    let asking = |big: LimitedModel| tokio::spawn(async move { ask_within(&big, &conversation(), BOUND).await });
    let under_way = asking(big.clone());
    until(|| served.received().len() == 1).await;
    let waits = asking(big.clone());
    until(|| big.limiter().figures().waiting == 1).await;
    limiters.stop().await;
    let refused = waits.await.expect("no panic").expect_err("it stopped");
    assert_eq!((slugs(&refused.failed), refused.bill.attempts), (vec![("big", "cancelled")], 0));
    assert!(refused.to_string().contains("the floor is stopping"), "{refused}");
    assert_eq!(sound.received().len(), 0);
    under_way.abort();
}

// Sizes.

#[tokio::test]
async fn what_does_not_fit_into_the_context_or_the_quota_is_never_sent() {
    let served = server(|_: &Asked| good()).await;
    let small = ModelSettings { context_tokens: 1024, ..settings(&served) };
    let scarce = ModelSettings { tokens_per_minute: PerMinute::new(1000), ..settings(&served) };
    let (models, limiters) = models("sizes", [("small", small), ("scarce", scarce)]).await;
    let mut conversation = conversation();
    conversation.say("the process wrote a file. ".repeat(300));
    let small = models.named("small").expect("it is there");
    assert!(small.size(&conversation, &Step::of_all(256)) > u64::from(small.context_tokens()));
    let refused = ask_within(small, &conversation, Duration::from_secs(5)).await.expect_err("it does not fit");
    let here = matches!(refused.why, ModelError::ContextOverflow { noticed: Noticed::Here, .. });
    assert!(here && refused.bill == Bill::default(), "{refused:?}");
    let scarce = models.named("scarce").expect("it is there");
    let refused = ask_within(scarce, &conversation, Duration::from_secs(5)).await.expect_err("it is too much");
    assert_eq!(slugs(&refused.failed), [("scarce", "too_large")]);
    assert_eq!(served.received().len(), 0);
    assert!(models.all().all(|model| model.limiter().figures().in_flight == 0));
    limiters.stop().await;
}

#[tokio::test]
async fn a_count_that_lies_changes_neither_quota_nor_bill_nor_the_next_request() {
    let lies = [
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({"prompt_tokens": -5, "completion_tokens": -1}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}),
        json!({"prompt_tokens": 100, "completion_tokens": 1_000_000_000}),
        json!({"prompt_tokens": 1e30, "completion_tokens": 5}),
        json!({"prompt_tokens": "many", "completion_tokens": null}),
        json!("none"),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        for streaming in [true, false] {
            let said = lie.clone();
            let served = server(move |_: &Asked| {
                let calls = vec![RawCall::new("a", "look", "{\"at\":\"x\"}")];
                Reply::Says(Saying { calls, usage: Some(said.clone()), ..Saying::default() })
            })
            .await;
            let limited = ModelSettings {
                streaming,
                tokens_per_minute: PerMinute::new(600_000),
                price: price("USD", "1", "1"),
                ..settings(&served)
            };
            let (models, limiters) = models(&format!("lies-{number}-{streaming}"), [("big", limited)]).await;
            let big = models.named("big").expect("it is there");
            let mut conversation = conversation();
            let estimate = big.size(&conversation, &Step::of_all(256));
            for _ in 0..2 {
                let told = ask_within(big, &conversation, Duration::from_secs(10)).await;
                let told = told.unwrap_or_else(|error| panic!("{lie}: {error}"));
                assert_eq!((told.answer.usage, told.bill.spending.unknown()), (None, 1), "{lie}");
                assert_eq!(told.bill.spending.known().count(), 0, "{lie}");
                told.heard_in(&mut conversation);
                let id = told.answer.calls[0].id.clone();
                conversation.returned(vec![CallResult { call: id, tool: "look".into(), content: "seen".into() }]);
            }
            // What was estimated stays charged.
            until(|| big.limiter().figures().in_flight == 0).await;
            let used = big.limiter().figures().tokens.expect("a quota").0;
            assert!(used >= estimate && used < estimate * 4, "{lie}: {used} of {estimate}");
            limiters.stop().await;
        }
    }
}

// Spans.

fn named<'s>(spans: &'s [SpanData], name: &str) -> Vec<&'s SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn waits(spans: &[SpanData]) -> Vec<String> {
    let waits = named(spans, "wait ratelimit");
    waits.iter().map(|span| attribute(span, "wf.wait.kind").expect("a kind").to_string()).collect()
}

#[tokio::test]
async fn every_wait_is_a_span_with_its_kind_under_the_call_that_waits() {
    let setup = Setup { delay: Duration::from_millis(30), ..Setup::new(|_: &Asked| good()) };
    let served = ScriptedServer::start(setup).await.expect("a port is free");
    let of = [
        ("in_flight", ModelSettings { calls_in_flight: InFlight::new(1).expect("one"), ..settings(&served) }),
        // A cell every 200 ms, and a burst of three.
        ("requests", ModelSettings { requests_per_minute: PerMinute::new(300), ..settings(&served) }),
        // A question is estimated at more than 300 tokens: about 150 ms of the quota.
        ("tokens", ModelSettings { tokens_per_minute: PerMinute::new(120_000), ..settings(&served) }),
    ];
    let (models, limiters) = models("waits", of).await;
    for kind in ["in_flight", "requests", "tokens"] {
        let model = models.named(kind).expect("it is there");
        let asking = async {
            for told in futures::future::join_all((0..8).map(|_| ask(model))).await {
                told.expect("an answer");
            }
        };
        let ((), spans) = exported(asking).await;
        let chats: Vec<_> = named(&spans, "chat scripted").iter().map(|span| span.span_context.span_id()).collect();
        let held = named(&spans, "wait ratelimit");
        assert_eq!(chats.len(), 8);
        assert!(held.iter().all(|wait| chats.contains(&wait.parent_span_id)), "{kind}");
        let kinds = waits(&spans);
        assert!(kinds.iter().any(|seen| seen == kind), "{kind}: {kinds:?}");
        assert!(kinds.iter().all(|seen| seen == kind || seen == "queue"), "{kind}: {kinds:?}");
        let behind = held.iter().filter_map(|wait| attribute(wait, "wf.wait.behind"));
        assert!(behind.into_iter().all(|behind| behind == Attribute::from(kind)), "{kind}");
    }
    limiters.stop().await;
}

#[tokio::test]
async fn a_question_that_went_to_a_stand_in_shows_both_calls() {
    let (broken, sound) = (server(|_: &Asked| Fault::NotJson.into()).await, server(|_: &Asked| good()).await);
    let gone = ModelSettings { model: "other".into(), ..settings(&broken) };
    let of = [("big", with_fallback(gone, "small")), ("small", settings(&sound))];
    let (models, limiters) = models("both", of).await;
    let (told, spans) = exported(ask(models.named("big").expect("it is there"))).await;
    assert!(told.expect("an answer").origin.is_fallback());
    let errors = |name: &str| named(&spans, name).iter().map(|span| attribute(span, "error.type")).collect::<Vec<_>>();
    assert_eq!(errors("chat other"), [Some("unknown_model".into())]);
    assert_eq!(errors("chat scripted"), [None]);
    limiters.stop().await;
}

#[tokio::test]
async fn an_answer_that_asks_for_nothing_is_seen_in_its_span() {
    let kinds = [
        (Fault::MalformedArguments, "arguments"),
        (Fault::UnknownTool, "unknown_tool"),
        (Fault::WrongTypes, "arguments"),
        (Fault::Empty, "empty"),
        (Fault::Length, "length"),
        (Fault::ManyCalls, "too_many_calls"),
        (Fault::ReasoningOnly, "reasoning_only"),
    ];
    for (fault, kind) in kinds {
        let served = server(move |_: &Asked| fault.into()).await;
        let (models, limiters) = models(&format!("misread-{fault:?}"), [("big", settings(&served))]).await;
        let (told, spans) = exported(ask(models.named("big").expect("it is there"))).await;
        assert_eq!(told.expect("an answer").reading.map_err(|misread| misread.kind()), Err(kind), "{fault:?}");
        let chat = named(&spans, "chat scripted")[0];
        assert_eq!(attribute(chat, "wf.model.misread"), Some(kind.into()), "{fault:?}");
        assert_eq!(attribute(chat, "error.type"), None, "the call itself did not fail");
        assert_eq!(served.received().len(), 1, "what is wrong is told to the model, and not asked again: {fault:?}");
        limiters.stop().await;
    }
}

// Building.

#[tokio::test]
async fn models_that_cannot_be_used_are_named() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let open = |name: &str, settings: ModelSettings| {
        let settings = BTreeMap::from([(name.to_owned(), settings)]);
        Models::open(&settings, "limited-named", &clock, |_| None).map(drop)
    };
    let keyed = ModelSettings { api_key_env: Some("NO_KEY".into()), ..ModelSettings::of("http://h/v1", "m", 4096) };
    let refused = open("big", keyed).expect_err("there is no key").to_string();
    assert!(refused.starts_with("[models.big] cannot be used: ") && refused.contains("NO_KEY is not set"), "{refused}");
    let alone = with_fallback(ModelSettings::of("http://h/v1", "m", 4096), "b");
    assert!(matches!(open("big", alone), Err(ModelsError::Fallbacks(_))));
}

#[tokio::test]
async fn a_limiter_that_breaks_is_started_again_and_the_question_is_answered() {
    let setup = Setup { style: Style::LlamaCpp, delay: Duration::from_millis(50), ..Setup::new(|_: &Asked| good()) };
    let served = ScriptedServer::start(setup).await.expect("a port is free");
    let one = ModelSettings { calls_in_flight: InFlight::new(1).expect("one"), ..settings(&served) };
    let (models, limiters) = models("restart", [("big", one)]).await;
    let big = models.named("big").expect("it is there").clone();
    let asking = |big: LimitedModel| tokio::spawn(async move { ask(&big).await.map(|told| told.bill.attempts) });
    let both = [asking(big.clone()), asking(big.clone())];
    until(|| served.received().len() == 1).await;
    ractor::registry::where_is(models.lines()[0].actor()).expect("it is there").kill();
    for asked in both {
        assert_eq!(asked.await.expect("no panic").expect("an answer"), 1);
    }
    assert!(!limiters.broke_down());
    let counted: Vec<Value> = served.received().into_iter().map(|request| request.body["model"].clone()).collect();
    assert_eq!(counted, ["scripted", "scripted"]);
    limiters.stop().await;
}
