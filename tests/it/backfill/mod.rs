//! Past orders through the real binary: every format and source, on both ways to run.

mod effects;
mod files;
mod fixture;
mod forms;
mod hot_history;
mod interruption;
mod leases;
mod object_store;
mod rekey;
mod uploads;
