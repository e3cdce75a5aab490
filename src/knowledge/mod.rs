//! Facts and pure functions that many parts need: canonical forms, decoding, paths, masks, fingerprints.

pub mod access_mask;
pub mod canonical;
pub mod command;
pub mod fingerprints;
pub mod guid;
pub mod paths;
pub mod programs;
pub mod template;
