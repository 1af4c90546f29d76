//! Connections and bytes: the accept loop, the limits of a request, and what every answer carries.

pub(crate) mod accept;
pub(crate) mod body;
mod linger;
pub(crate) mod service;
