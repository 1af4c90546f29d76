//! The argument by which a shop's mutations take their order: what the shop shows is kept and sent.

use anyhow::{Result, ensure};
use touchstone_centra_double::{Kind, Order, Settings as ShopSettings};
use touchstone_schema::centra::{ConnectionSettings, HoldOutcome, OrderArgument, OrderArguments};
use touchstone_tests::Backend;

use super::fixture::HeldShop;

on_both_ways_to_run!(
    a_shop_is_asked_before_its_first_mutation_and_its_answer_kept,
    an_argument_that_the_shop_refuses_is_looked_up_again_and_the_order_settled,
);

fn both(argument: OrderArgument) -> OrderArguments {
    OrderArguments { resume: Some(argument), cancel: Some(argument) }
}

/// The arguments of the mutations of an order.
fn sent(shop: &HeldShop, id: &str) -> Vec<&'static str> {
    let applied = shop.centra.applied(id).into_iter();
    let names = |argument: &OrderArgument, of: &serde_json::Value| !of[argument.as_str()].is_null();
    applied
        .flat_map(|mutation| OrderArgument::ALL.iter().filter(move |argument| names(argument, &mutation.arguments)))
        .map(|argument| argument.as_str())
        .collect()
}

/// The only argument that the shop knows.
async fn only(shop: &HeldShop) -> Result<OrderArgument> {
    let id = shop.hold(Order::ordinary(1)).await?;
    ensure!(shop.ended(&id).await? == [HoldOutcome::Resumed], "the first order is resumed");
    let kept = shop.kept_arguments().await?.and_then(|kept| kept.resume);
    kept.ok_or_else(|| anyhow::anyhow!("no argument is kept"))
}

async fn a_shop_is_asked_before_its_first_mutation_and_its_answer_kept(shop: HeldShop) -> Result<()> {
    assert_eq!(shop.kept_arguments().await?, None);
    let argument = only(&shop).await?;
    assert_eq!(shop.kept_arguments().await?, Some(both(argument)));
    let critical = shop.hold(Order::suspicious(2)).await?;
    assert_eq!(shop.ended(&critical).await?, [HoldOutcome::Cancelled]);
    assert_eq!(shop.applied(&critical), [Kind::Cancel]);
    assert_eq!(sent(&shop, &critical), [argument.as_str()]);
    assert_eq!(shop.centra.requests().invalid, 0, "nothing was tried that the shop does not take");
    Ok(())
}

async fn an_argument_that_the_shop_refuses_is_looked_up_again_and_the_order_settled(mut shop: HeldShop) -> Result<()> {
    let argument = only(&shop).await?;
    let other = OrderArgument::ALL.iter().copied().find(|other| *other != argument).unwrap_or(argument);
    shop.stop_notifiers().await?;
    let now = shop.pipeline.door.clock.now();
    ensure!(shop.pipeline.system().set_connection_arguments(&shop.connection, both(other), now).await?);
    shop.notify();
    let ids = [shop.hold(Order::ordinary(11)).await?, shop.hold(Order::suspicious(12)).await?];
    assert_eq!(shop.ended(&ids[0]).await?, [HoldOutcome::Resumed]);
    assert_eq!(shop.ended(&ids[1]).await?, [HoldOutcome::Cancelled]);
    for id in &ids {
        assert_eq!(sent(&shop, id), [argument.as_str()]);
    }
    assert_eq!(shop.kept_arguments().await?, Some(both(argument)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_hides_its_schema_is_sent_the_argument_of_the_document() -> Result<()> {
    let settings = ShopSettings { hides_schema: true, ..ShopSettings::default() };
    let shop = HeldShop::open_with(Backend::embedded()?, settings, ConnectionSettings::default()).await?;
    let id = shop.hold(Order::ordinary(1)).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed]);
    assert_eq!(sent(&shop, &id), ["order"]);
    assert_eq!(shop.kept_arguments().await?, Some(OrderArguments::default()), "it is not asked for each order");
    Ok(())
}
