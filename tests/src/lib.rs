//! What the integration tests stand on: private real servers, isolation by test, the real binary, and fakes of those
//! whom Touchstone talks to.
//!
//! Guarantee: a missing service is a failure, never a skip; no test sees another's data; nothing is left running.

mod backend;
mod client;
mod eventually;
mod http;
pub mod process;
mod receiver;
pub mod servers;
mod tls;
mod touchstone;

pub use self::{
    backend::{Backend, Tables},
    client::{Credentials, SignedClient},
    eventually::eventually,
    http::{Answer, HttpClient},
    receiver::{Behaviour, Delivery, Flood, Receiver},
    tls::{Authority, Says, ServerFiles},
    touchstone::{Printed, Touchstone, touchstone, touchstone_json, touchstone_running, touchstone_with},
};
