//! What whole-program tests share: stores on a temporary folder, clocks, a journal that dies, and scripts.

// Each test program uses a part of it.
#![allow(dead_code)]

pub mod clocks;
pub mod dying;
pub mod scripts;
pub mod world;
