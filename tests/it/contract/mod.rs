//! What every adapter of a port must do, run on each of them.

mod cache;
mod queue;
mod store;
