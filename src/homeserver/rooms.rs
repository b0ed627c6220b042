//! Rooms.

pub mod tree;
