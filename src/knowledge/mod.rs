//! Facts and pure functions that many parts need: canonical forms, decoding, paths, masks, fingerprints.

pub mod access_mask;
pub mod canonical;
mod capability;
pub mod command;
pub mod credential_stores;
mod decoding;
pub mod discovery;
pub mod fingerprints;
pub mod guid;
pub mod lolbins;
pub mod making;
pub mod named;
pub mod observers;
pub mod own_writes;
pub mod paths;
pub mod pipes;
pub mod places_on_the_net;
pub mod programs;
pub mod proxies;
pub mod registry;
pub mod template;
