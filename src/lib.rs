#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod detection;
pub mod domain;
pub mod ports;
