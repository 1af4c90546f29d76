//! A Centra shop, played by the double that the tests use, which holds two orders until they are screened.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};
use touchstone_centra_double::{Centra, Kind, Order, Settings};
use touchstone_platform::store::SystemReason;
use touchstone_schema::centra::ConnectionSettings;
use touchstone_schema::ids::StoreId;
use touchstone_schema::secret::Secret;
use url::Url;

use super::orders::DemoOrder;
use super::shopper::post;
use crate::commands::centra;
use crate::compose::Platform;

/// The shop and where its notices go.
pub(super) struct HeldShop {
    centra: Centra,
    path: String,
}

/// An order of the shop.
pub(super) struct HeldOrder {
    /// The shop's id of it, which its events name.
    pub(super) id: String,
    /// What it shows.
    pub(super) order: DemoOrder,
    /// The event that tells how it ended.
    pub(super) ends_with: &'static str,
    notice: Value,
}

impl HeldShop {
    /// Starts the shop and connects the store to it.
    pub(super) async fn start(platform: &Platform, store: &StoreId) -> anyhow::Result<Self> {
        let centra = Centra::start(Settings::default()).await.context("the Centra shop cannot be played")?;
        let connection = centra::create(
            platform.store.system(SystemReason::Operator),
            &platform.master_keys,
            &platform.clock,
            store.clone(),
            &Url::parse(&centra.api_url())?,
            &Secret::new(centra.token()),
            ConnectionSettings::default(),
            None,
        )
        .await?;
        Ok(Self { centra, path: connection.connector_path })
    }

    /// Orders that the shop holds from now on.
    pub(super) fn hold_orders(&self) -> Vec<HeldOrder> {
        let held = |order: Order, story, ends_with| {
            let document = json!({ "order_id": format!("CENTRA {}", order.reference()) });
            let (id, notice) = (order.id.clone(), order.notice());
            self.centra.put(order);
            HeldOrder { id, order: DemoOrder { story, document }, ends_with, notice }
        };
        vec![
            held(
                Order::ordinary(7301).with_email("sven.nilsson@nilsson-sport.se"),
                "held by a Centra shop, harmless",
                "order.resumed",
            ),
            held(Order::suspicious(7302), "held by a Centra shop, stolen card", "order.cancelled"),
        ]
    }

    /// Announces an order, as the shop's plugin does.
    pub(super) async fn announce(&self, door: SocketAddr, order: &HeldOrder) -> anyhow::Result<()> {
        let (status, text) = post(door, &self.path, &[], order.notice.to_string()).await?;
        ensure!(status == StatusCode::ACCEPTED, "{status}: {}", String::from_utf8_lossy(&text));
        Ok(())
    }

    /// What became of an order at the shop itself.
    pub(super) fn fate(&self, order: &HeldOrder) -> &'static str {
        match self.centra.applied(&order.id).as_slice() {
            [] => "still on hold",
            [mutation] => match mutation.kind {
                Kind::Resume => "resumed",
                Kind::Cancel => "cancelled",
            },
            _ => "changed twice",
        }
    }
}
