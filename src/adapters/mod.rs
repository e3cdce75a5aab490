//! What implements the ports; named only where the floor is assembled.

pub mod context_files;
pub mod embedded;
