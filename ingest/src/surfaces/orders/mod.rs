//! The orders surface (contract section 2).

pub(crate) mod refusal;
