//! The shop as others reach it: over HTTP, and by the hand of a test.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    Chaos, Fault, Mutation, On, Order, Requests, SDL, Settings,
    answer::Counter,
    execute::Served,
    http,
    shop::{Shop, cancel, resume},
};

/// Why a shop could not open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port could be had.
    #[error("the shop's double cannot listen")]
    Listen(#[from] io::Error),
    /// The schema of the settings is not valid.
    #[error("the schema is not valid: {0}")]
    Schema(String),
}

/// A running shop; it closes when dropped.
#[derive(Debug)]
pub struct Centra {
    address: SocketAddr,
    shop: Arc<Mutex<Shop>>,
    server: AbortHandle,
}

impl Centra {
    /// Opens an empty shop on a port of its own.
    ///
    /// # Errors
    /// When no port can be had, or the settings' schema is not valid.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let sdl = settings.sdl.as_deref().unwrap_or(SDL);
        let served = Served::compile(sdl, &settings).map_err(StartError::Schema)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let retry_after = settings.retry_after;
        let shop = Arc::new(Mutex::new(Shop::new(settings)));
        let counter = Counter { served, shop: Arc::clone(&shop), retry_after };
        let server = tokio::spawn(http::accept(listener, Arc::new(counter))).abort_handle();
        Ok(Self { address, shop, server })
    }

    /// Where its Integration API is.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// The token that it has issued last, valid or expired.
    #[must_use]
    pub fn token(&self) -> String {
        self.shop().token.clone()
    }

    /// Answers 403 to everything from now on.
    pub fn expire_token(&self) {
        self.shop().token_expired = true;
    }

    /// Issues this token, in place of the old one.
    pub fn set_token(&self, token: &str) {
        let mut shop = self.shop();
        token.clone_into(&mut shop.token);
        shop.token_expired = false;
    }

    /// Places an order, or replaces the one with the same hash.
    pub fn put(&self, order: Order) {
        self.shop().put(order);
    }

    /// An order as it is now, by its hash.
    #[must_use]
    pub fn order(&self, id: &str) -> Option<Order> {
        self.shop().order(id).cloned()
    }

    /// All orders as they are now, in the order in which they were placed.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        self.shop().orders.clone()
    }

    /// Changes an order; whether there is one with this hash.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Order)) -> bool {
        self.shop().order_mut(id).map(change).is_some()
    }

    /// Makes the shop forget an order, and gives it back.
    pub fn remove(&self, id: &str) -> Option<Order> {
        let mut shop = self.shop();
        let place = shop.orders.iter().position(|order| order.id == id)?;
        Some(shop.orders.remove(place))
    }

    /// Resumes an order in the shop's panel, which is no mutation; whether that changed it.
    pub fn resume_by_person(&self, id: &str) -> bool {
        self.shop().order_mut(id).is_some_and(|order| resume(order).is_ok())
    }

    /// Cancels an order in the shop's panel, which is no mutation; whether that changed it.
    pub fn cancel_by_person(&self, id: &str) -> bool {
        self.shop().order_mut(id).is_some_and(|order| cancel(order).is_ok())
    }

    /// Puts an order on hold for these reasons, which begins another episode; whether there is one with this hash.
    pub fn hold_again(&self, id: &str, reasons: &[&str]) -> bool {
        self.change(id, |order| order.set_hold(reasons))
    }

    /// Every mutation that was executed, oldest first.
    #[must_use]
    pub fn mutations(&self) -> Vec<Mutation> {
        self.shop().mutations.clone()
    }

    /// The mutations that changed this order, oldest first.
    #[must_use]
    pub fn applied(&self, id: &str) -> Vec<Mutation> {
        let mutations = self.mutations().into_iter();
        mutations.filter(|mutation| mutation.applied && mutation.order_id == id).collect()
    }

    /// What has arrived so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.shop().requests
    }

    /// What the plugin posts while an order waits for its fraud check; none for an unknown hash.
    #[must_use]
    pub fn notice(&self, id: &str) -> Option<Value> {
        self.shop().order(id).map(Order::notice)
    }

    /// What the plugin posts when a payment of an order has failed; none for an unknown hash.
    #[must_use]
    pub fn failed_attempt_notice(&self, id: &str) -> Option<Value> {
        self.shop().order(id).map(Order::failed_attempt_notice)
    }

    /// Lets the next operation meet a fault. Faults asked for are met one by one, oldest first.
    pub fn fail_next(&self, fault: Fault) {
        self.fail_next_on(On::Any, fault);
    }

    /// Lets the next operation of a kind meet a fault.
    pub fn fail_next_on(&self, on: On, fault: Fault) {
        self.shop().faults.push(on, fault);
    }

    /// How many of the faults asked for have not been met.
    #[must_use]
    pub fn faults_waiting(&self) -> usize {
        self.shop().faults.waiting()
    }

    /// Takes back the faults asked for that have not been met.
    pub fn clear_faults(&self) {
        self.shop().faults.clear();
    }

    /// Begins or ends faults at random.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        self.shop().faults.set_chaos(chaos);
    }

    fn shop(&self) -> MutexGuard<'_, Shop> {
        lock(&self.shop)
    }
}

impl Drop for Centra {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A test that panicked with the shop in its hand has said so itself.
pub(crate) fn lock(shop: &Mutex<Shop>) -> MutexGuard<'_, Shop> {
    shop.lock().unwrap_or_else(PoisonError::into_inner)
}
