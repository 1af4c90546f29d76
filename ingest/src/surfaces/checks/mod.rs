//! The checks surface (contract section 3).

pub(crate) mod refusal;
