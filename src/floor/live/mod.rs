//! Live input: the sources of a floor that keeps running, each an actor under a supervisor of their own.
//!
//! [`follow`] reads files that grow, [`listen`] takes what forwarders send to Elasticsearch. Both hand their events to
//! the [`detector`], the one place where live events pass the rules, and nothing is acknowledged (no cursor moves, no
//! request is answered) before events and alerts are on record. What they have in common is told by [`source`].

pub mod access;
pub mod body;
pub mod bulk;
pub mod cluster;
pub mod connections;
pub mod detector;
pub mod encoding;
pub mod follow;
pub mod health;
pub mod listen;
mod losses;
pub mod scan;
pub mod source;
pub mod sources;
pub mod tail;
