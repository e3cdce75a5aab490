//! Models: what stands between an analyst that asks a model and the server that answers.

pub mod limit;
