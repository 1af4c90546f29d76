//! One attempt to deliver one event by HTTP: its body, its signature, its answer.

mod client;
mod sign;

pub(crate) use client::{Answer, Client, Signed, TIMED_OUT};
pub(crate) use sign::{body, own_headers, signatures};
