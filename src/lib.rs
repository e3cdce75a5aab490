//! The floor as a library; what it is and does says the page below, which is the project's own.
//!
// For rustdoc alone: a word changed in the page is no reason to build everything anew.
#![cfg_attr(doc, doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]

pub mod adapters;
pub mod analyst;
pub mod cli;
pub mod config;
pub mod detection;
pub mod domain;
pub mod evidence;
pub mod experiment;
#[cfg(test)]
mod fixtures;
pub mod floor;
pub mod journal;
pub mod knowledge;
pub mod model;
pub mod ports;
pub mod scenarios;
pub mod telemetry;
pub mod tools;
