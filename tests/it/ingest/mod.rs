//! The front door: every status code of the signed surface, the order of its checks, its limits, its promises.

pub(crate) mod centra;
mod deliveries;
pub(crate) mod fixture;
mod keys;
mod limits;
pub(crate) mod orders;
mod replays;
mod signed;
mod tenancy;
mod uploads;
