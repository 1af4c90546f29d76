//! Orders as real shops send them: odd optional fields never stop an order, and become warnings of its verdict.

mod mutations;
mod strict;
mod surfaces;
mod warnings;
