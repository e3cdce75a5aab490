//! Model servers: how a model is asked over OpenAI's protocol, and what can go wrong with it.
//!
//! A [`Conversation`](request::Conversation) is what an agent keeps. A [`Dialect`](dialect::Dialect) writes it as a
//! request and reads the answer as tool calls: native ones, or the actions of the constrained loop for the many local
//! models that never call tools. The client sends it, bounded in every direction, and says of each failure what it
//! is and whether it was worth another attempt. Nothing in here knows what a case is.

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
