//! The words of the floor as types: pure rules and no input or output, so that every law can be tested here.

pub mod alert;
pub mod attack;
pub mod case;
pub mod containment;
pub mod draft;
pub mod entity;
pub mod event;
pub mod evidence;
pub mod ids;
pub mod loss;
pub mod obstacle;
pub mod person;
pub mod role;
pub mod route;
pub mod taint;
pub mod trace;
pub mod verdict;
pub mod words;
