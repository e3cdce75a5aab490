//! Model servers: how a model is asked over OpenAI's protocol, and what can go wrong with it.
//!
//! A [`Conversation`](request::Conversation) is what an agent keeps. A [`Dialect`](dialect::Dialect) writes it as a
//! request and reads the answer as tool calls: native ones, or the actions of the constrained loop for the many local
//! models that never call tools. The client sends it, bounded in every direction, and says of each failure what it
//! is and whether it was worth another attempt. Nothing in here knows what a case is.
//!
//! Agents ask a [`LimitedModel`](limited::LimitedModel): [`Models`](limited::Models) builds one for each `[models.NAME]`,
//! with its client, its limiter and those that stand in for it. What servers and models do wrong (M1–M14), and which test
//! shows each to be bounded, is a table at the head of `tests/model.rs`; `tests/model_attacks.rs` has those that mean harm.

pub mod answer;
pub mod client;
pub mod dialect;
pub mod error;
pub mod gate;
pub mod limit;
pub mod limited;
pub mod probe;
pub mod request;
pub mod server;
pub mod settings;
pub mod tokens;
pub mod written;
