//! Orders that a Centra shop holds, from the notice to resume or cancel, against a double of the shop that executes every
//! operation, on both ways to run.

/// Makes each behaviour a test on the embedded default and a test on real services, with a shop whose mutations take
/// their order by `order` and with one where they take it by `id`.
macro_rules! on_both_ways_to_run {
    (@tests $argument:ident, $backend:expr, $($behaviour:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() -> anyhow::Result<()> {
            let by = touchstone_schema::centra::OrderArgument::$argument;
            let shop = Box::pin(crate::centra::fixture::HeldShop::open_by($backend, by)).await?;
            Box::pin(super::super::$behaviour(shop)).await
        })+
    };
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            mod by_order {
                on_both_ways_to_run!(@tests Order, touchstone_tests::Backend::embedded()?, $($behaviour),+);
            }
            mod by_id {
                on_both_ways_to_run!(@tests Id, touchstone_tests::Backend::embedded()?, $($behaviour),+);
            }
        }
        mod production {
            mod by_order {
                on_both_ways_to_run!(@tests Order, touchstone_tests::Backend::production().await?, $($behaviour),+);
            }
            mod by_id {
                on_both_ways_to_run!(@tests Id, touchstone_tests::Backend::production().await?, $($behaviour),+);
            }
        }
    };
}

mod arguments;
mod described;
mod endings;
mod faults;
mod fixture;
mod operations;
mod screening;
mod storm;
mod sweeping;
