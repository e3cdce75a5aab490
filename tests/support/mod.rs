//! What whole-program tests share: running the program, stores on a temporary folder, clocks, a journal that dies,
//! and scripts.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod clocks;
pub mod dying;
pub mod http;
pub mod program;
pub mod running;
pub mod scripts;
pub mod world;
