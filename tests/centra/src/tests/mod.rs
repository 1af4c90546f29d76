//! The double as its clients meet it, over HTTP.

mod budgets;
mod client;
mod faults;
mod mutations;
mod notices;
mod queries;
mod schema;

use crate::{Centra, Order, Settings};

/// A shop with these orders.
async fn shop(orders: impl IntoIterator<Item = Order>) -> Centra {
    let shop = Centra::start(Settings::default()).await.unwrap();
    for order in orders {
        shop.put(order);
    }
    shop
}
