//! The checks surface (contract section 3).

mod basic;
pub(crate) mod check;
pub(crate) mod document;
pub(crate) mod refusal;
pub(crate) mod update;
