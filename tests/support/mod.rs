//! What whole-program tests share: running the program, stores on a temporary folder, clocks, a journal that dies,
//! scripts, conversations, and the spans that were exported.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod clocks;
pub mod conversations;
pub mod dying;
pub mod http;
pub mod program;
pub mod running;
pub mod scripts;
pub mod spans;
pub mod world;
