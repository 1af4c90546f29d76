//! Door, queue, scorer, store and cache together, on both ways to run: what contracts.md promises in sections 0, 1 and 6.
//! The roles run in this process, so that a test can move the time and stop the scorer; `processes` runs the binary.

/// Makes each behaviour a test on the embedded default and a test on real services.
macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let mut pipeline = Box::pin(crate::pipeline::fixture::Pipeline::embedded()).await?;
                Box::pin(super::$behaviour(&mut pipeline)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let mut pipeline = Box::pin(crate::pipeline::fixture::Pipeline::production()).await?;
                Box::pin(super::$behaviour(&mut pipeline)).await
            })+
        }
    };
}

mod articles;
mod attempts;
mod backtest;
pub(crate) mod checks;
mod determinism;
mod enrichment;
pub(crate) mod fixture;
mod hearsay;
mod hot_history;
mod idempotency;
mod input;
mod lanes;
mod lists;
mod norms;
mod outcomes;
mod poison;
mod processes;
mod rekey;
mod transactions;
mod velocity;
mod worlds;
