//! Every span and attribute name in one file, so that a change of the conventions is a change here.
//!
//! Pinned to OpenTelemetry semantic conventions v1.41.0 + genai v0.1.0. The published constants for `gen_ai.*` are
//! deprecated since the conventions moved to their own repository, hence our own. `run_guardrail` is a draft of that
//! repository; only its operation name is used, its draft attributes are not. Names under `wf.` and the spans `move`
//! and `case write` are ours.

// Spans. Names are of low cardinality: ids and free text are attributes.

/// The root span: one run of a case.
pub const SPAN_CASE: &str = "invoke_workflow case";
/// One attempt of a tier; exported as `invoke_agent tier1`.
pub const SPAN_AGENT: &str = "invoke_agent";
/// One move of an analyst.
pub const SPAN_MOVE: &str = "move";
/// One tool call; exported as `execute_tool {tool}`.
pub const SPAN_TOOL: &str = "execute_tool";
/// One call of a model; exported as `chat {model}`, and its operation too.
pub const SPAN_CHAT: &str = "chat";
/// One attempt of a call.
pub const SPAN_ATTEMPT: &str = "POST /chat/completions";
/// A wait before an attempt.
pub const SPAN_WAIT: &str = "wait ratelimit";
/// When the first of an answer came.
pub const EVENT_FIRST_TOKEN: &str = "wf.model.first_token";
/// One decision of the gatekeeper.
pub const SPAN_GATE: &str = "run_guardrail containment_gate";
/// One write to the case desk.
pub const SPAN_CASE_WRITE: &str = "case write";

// OpenTelemetry's own fields, read by the tracing layer.

/// Replaces a span's static name.
pub const OTEL_NAME: &str = "otel.name";
/// The kind of a span, where it is not internal.
pub const OTEL_KIND: &str = "otel.kind";
/// A call to another program.
pub const KIND_CLIENT: &str = "client";
/// `error` where the operation failed. A malicious verdict is no error.
pub const OTEL_STATUS_CODE: &str = "otel.status_code";
/// The kind of failure, of low cardinality.
pub const ERROR_TYPE: &str = "error.type";

// GenAI conventions.

/// What the span does, as the conventions name it.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Who provides the agent. Required on agent spans.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The agent, and since genai v0.1.0 the workflow too.
pub const GEN_AI_AGENT_NAME: &str = "gen_ai.agent.name";
/// What ties spans of one conversation together: the case.
pub const GEN_AI_CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// The model that is asked, by the name that the configuration gives it.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// The tool that is called.
pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
/// The longest answer allowed, in tokens.
pub const GEN_AI_REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// Whether the answer is streamed.
pub const GEN_AI_REQUEST_STREAM: &str = "gen_ai.request.stream";
/// `json` or `text`.
pub const GEN_AI_OUTPUT_TYPE: &str = "gen_ai.output.type";
/// The server's id of the answer.
pub const GEN_AI_RESPONSE_ID: &str = "gen_ai.response.id";
/// The model that answered, as it names itself.
pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the answer ended; a list of one.
pub const GEN_AI_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Until the first of the answer, in seconds.
pub const GEN_AI_RESPONSE_FIRST: &str = "gen_ai.response.time_to_first_chunk";
/// Tokens read.
pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Of these, known from an earlier request.
pub const GEN_AI_CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Tokens written.
pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of these, thought and not said.
pub const GEN_AI_REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Who the protocol is of; the server may be anybody's.
pub const PROVIDER_OPENAI: &str = "openai";
/// The server's host.
pub const SERVER_ADDRESS: &str = "server.address";
/// The server's port.
pub const SERVER_PORT: &str = "server.port";
/// Operation of [`SPAN_CASE`].
pub const OPERATION_WORKFLOW: &str = "invoke_workflow";
/// Operation of [`SPAN_AGENT`].
pub const OPERATION_AGENT: &str = "invoke_agent";
/// Operation of [`SPAN_TOOL`].
pub const OPERATION_TOOL: &str = "execute_tool";
/// Operation of [`SPAN_GATE`].
pub const OPERATION_GUARDRAIL: &str = "run_guardrail";
/// The name of the workflow of [`SPAN_CASE`].
pub const WORKFLOW_CASE: &str = "case";
/// The provider of agents that run in this process, and the service's name unless the environment gives another.
pub const WATCHFLOOR: &str = "watchfloor";

// Ours: where a span belongs.

/// The case, as `WF-12`.
pub const CASE_ID: &str = "wf.case.id";
/// The part of the floor that did the work.
pub const ROLE: &str = "wf.role";
/// The tier, as `tier1`.
pub const TIER: &str = "wf.tier";
/// Which attempt of the tier.
pub const ATTEMPT: &str = "wf.attempt";
/// Attempts that a call took.
pub const ATTEMPTS: &str = "wf.attempts";
/// Why nothing could be done with a model's answer, though there was one: a word of a closed set.
pub const MISREAD: &str = "wf.model.misread";
/// Why something waited: a word of a closed set.
pub const WAIT_KIND: &str = "wf.wait.kind";
/// How long, in milliseconds.
pub const WAIT_MS: &str = "wf.wait_ms";
/// The step's number within its attempt.
pub const ORDINAL: &str = "wf.ordinal";

/// Role of the root span.
pub const ROLE_FLOOR: &str = "floor";
/// Role of the gatekeeper's spans.
pub const ROLE_GATE: &str = "gate";
/// Role of the case writer's spans.
pub const ROLE_WRITER: &str = "writer";

// Ours: what a span found.

/// Digest of a tool call's arguments; the arguments themselves are in the journal.
pub const TOOL_DIGEST: &str = "wf.tool.digest";
/// Rows a tool returned.
pub const TOOL_ROWS: &str = "wf.tool.rows";
/// Whether a tool had more rows than it returned.
pub const TOOL_TRUNCATED: &str = "wf.tool.truncated";
/// The proposal the gatekeeper decided on, as `P-12.1`.
pub const GATE_PROPOSAL: &str = "wf.gate.proposal";
/// What was asked for.
pub const GATE_ACTION: &str = "wf.gate.action";
/// The machine it was asked for.
pub const GATE_TARGET: &str = "wf.gate.target";
/// What the gatekeeper answered; on the root, the outcome of the whole run.
pub const GATE_OUTCOME: &str = "wf.gate.outcome";
/// The rule that decided.
pub const GATE_RULE: &str = "wf.gate.rule";
/// What was written to the case.
pub const WRITE_WHAT: &str = "wf.write.what";
/// A verdict; on the root, the last one.
pub const VERDICT: &str = "wf.verdict";
/// Whether a killed process began this work and another continued it.
pub const RESUMED: &str = "wf.resumed";

/// Of a wait in the queue, what held up the calls before it most of the time.
pub const WAIT_BEHIND: &str = "wf.wait.behind";
/// The same as text to search for, such as `10-30s`.
pub const WAIT_BUCKET: &str = "wf.wait.bucket";
/// The severity by which it had its place in the queue.
pub const PRIORITY: &str = "wf.priority";

// Ours, on the root only: what Jaeger's search is asked for must stand on one span, as text.

/// The status the run left the case in.
pub const STATUS: &str = "wf.status";
/// Whether the second tier was asked.
pub const ESCALATED: &str = "wf.escalated";
/// The rule behind the case's first alert.
pub const ALERT_RULE: &str = "wf.alert.rule";
/// The loudest severity of the case.
pub const ALERT_SEVERITY: &str = "wf.alert.severity";
/// The case's host.
pub const HOST: &str = "wf.host";
/// Tool calls of the whole run, on the root.
pub const TOOL_CALLS: &str = "wf.tool_calls";
