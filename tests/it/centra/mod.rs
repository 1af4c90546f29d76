//! Orders that a Centra shop holds, from the notice to resume or cancel, against a double of the shop that executes every
//! operation, on both ways to run: what contracts.md promises in section 4.

/// Makes each behaviour a test on the embedded default and a test on real services.
macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let shop = Box::pin(crate::centra::fixture::HeldShop::open(touchstone_tests::Backend::embedded()?)).await?;
                Box::pin(super::$behaviour(shop)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let backend = touchstone_tests::Backend::production().await?;
                let shop = Box::pin(crate::centra::fixture::HeldShop::open(backend)).await?;
                Box::pin(super::$behaviour(shop)).await
            })+
        }
    };
}

mod described;
mod endings;
mod faults;
mod fixture;
mod operations;
mod screening;
mod storm;
mod sweeping;
