#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod analyst;
pub mod domain;
pub mod evidence;
pub mod journal;
pub mod knowledge;
pub mod ports;
pub mod telemetry;
pub mod tools;
