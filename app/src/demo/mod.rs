//! `touchstone demo`: the whole pipeline at work on this machine, in a temporary folder.
//!
//! Guarantee: nothing is canned. Orders go through the real HTTP door, the real queue, scorer and notifier; webhooks
//! count only when their signature was verified. Failure: what did not arrive is shown as missing, and `--once` exits 1.

mod held;
mod orders;
mod placed;
mod receiver;
mod report;
mod shopper;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;
use touchstone_platform::crypto::webhook_key;
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::lifecycle::Lifecycle;
use touchstone_platform::random;
use touchstone_platform::settings::Settings;
use touchstone_platform::store::SystemReason;
use touchstone_platform::telemetry;
use touchstone_schema::ids::{MerchantId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, KeyScope, Product, StoreMode};
use url::Url;

use self::held::HeldShop;
use self::receiver::Receiver;
use self::report::{Outcome, Report};
use self::shopper::Shopper;
use crate::commands::serve::{self, Role, RoleSettings};
use crate::commands::store::NewStore;
use crate::commands::{endpoint, key, store};
use crate::compose::Platform;
use crate::output::Output;

/// The event that every order makes.
const SCORED: &str = "order.scored";
/// How long the webhooks may take to arrive after the last verdict.
const WEBHOOK_WAIT: Duration = Duration::from_secs(30);

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Stop after the table; exit 0 only if everything arrived.
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(arguments: DemoArguments, output: Output) -> anyhow::Result<ExitCode> {
    let folder = TemporaryFolder::new()?;
    let (settings, listener) = prepare(&folder.0).await?;
    telemetry::log_to_stderr(&settings.log);
    let door = listener.local_addr()?;
    let receiver = Receiver::start().await?;
    let platform = Platform::open(&settings, "demo").await?;
    let accounts = Accounts::make(&platform, &receiver).await?;
    let held = HeldShop::start(&platform, &accounts.store).await?;
    platform.directory.refresh_now().await?;

    let mut lifecycle = Lifecycle::default();
    let shutdown = lifecycle.shutdown();
    let roles = RoleSettings {
        // The receiver is on this machine: an exemption for this process only.
        egress: EgressPolicy::new(vec!["127.0.0.0/8".parse().context("the loopback network")?]),
        ..RoleSettings::of(&settings, Some(door))
    };
    serve::spawn(&mut lifecycle, &platform, Role::All, Some(listener), &roles);
    let pipeline = tokio::spawn(lifecycle.run());

    let report = screen(door, &accounts, &receiver, &held, &platform, output).await?;
    output.show(&report.document(door, &accounts.store), || report.text())?;
    if !arguments.once {
        output.say(&report::instructions(door, &accounts.key))?;
    } else {
        shutdown.cancel();
    }
    pipeline.await.context("the pipeline panicked")??;
    platform.queue.close().await;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Settings of a demo: embedded whatever the environment says, in `folder`, on a free port.
async fn prepare(folder: &Path) -> anyhow::Result<(Settings, TcpListener)> {
    let mut settings = Settings::from_sources(|_| None, "")?;
    settings.data_dir = folder.to_owned();
    settings.log.filter = "error".to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on 127.0.0.1")?;
    settings.listen = listener.local_addr()?;
    Ok((settings, listener))
}

/// The merchant that the demo plays.
struct Accounts {
    store: StoreId,
    key: key::NewKey,
}

impl Accounts {
    async fn make(platform: &Platform, receiver: &Receiver) -> anyhow::Result<Self> {
        let (clock, keys) = (&platform.clock, platform.master_keys.as_ref());
        let system = || platform.store.system(SystemReason::Operator);
        let merchant = MerchantId::mint(clock.now(), random::bytes());
        system().add_merchant(&merchant, "Demo merchant", clock.now()).await?;
        let settings = NewStore {
            risk_low: touchstone_schema::limits::DEFAULT_RISK_LOW,
            risk_medium: touchstone_schema::limits::DEFAULT_RISK_MEDIUM,
            rate_limit: 600,
            mode: StoreMode::Live,
            product: Product::Guaranteed,
            currency: "USD".to_owned(),
            strict_input: false,
            own_domains: Vec::new(),
        };
        let store = store::create(system(), keys, clock, merchant, "Demo shop".to_owned(), settings).await?.id;
        let scopes = vec![KeyScope::Signed, KeyScope::Orders];
        let key = key::create(system(), keys, clock, store.clone(), KeyMode::Live, scopes).await?;
        let url = Url::parse(&format!("http://{}/webhooks", receiver.address))?;
        let wanted = endpoint::Wanted { url, events: vec![], settings: endpoint::EndpointSettings::default() };
        let endpoint = endpoint::create(system(), keys, clock, store.clone(), wanted).await?;
        receiver.verify_with(webhook_key(&Secret::new(endpoint.secret))?);
        Ok(Self { store, key })
    }
}

/// Sends the orders one after the other, as a shop would, and waits for their webhooks.
async fn screen(
    door: SocketAddr,
    accounts: &Accounts,
    receiver: &Receiver,
    shop: &HeldShop,
    platform: &Platform,
    output: Output,
) -> anyhow::Result<Report> {
    let (orders, held) = (orders::all(), shop.hold_orders());
    let placed = placed::order();
    let count = (orders.len() + 1 + held.len()) as u64;
    let progress = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new(count) };
    progress.set_style(ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len}  {msg}")?);
    let mut shopper = Shopper::new(door, &accounts.key, platform.clock.clone());
    let mut outcomes = Vec::with_capacity(orders.len());
    for order in orders {
        progress.set_message(order.story);
        let answer = shopper.send(&order.document).await;
        let answer = answer.map_err(|error| format!("{error:#}"));
        outcomes.push(Outcome { order, answer, webhook: false, fate: None });
        progress.inc(1);
    }
    let mut expected: Vec<_> = outcomes.iter().map(|outcome| (outcome.order_id(), SCORED)).collect();
    progress.set_message(placed.story);
    let taken = placed::place(door, &accounts.key).await.map_err(|error| format!("{error:#}"));
    expected.push((placed::NUMBER.to_owned(), SCORED));
    progress.inc(1);
    for order in &held {
        progress.set_message(order.order.story);
        shop.announce(door, order).await?;
        expected.extend([(order.id.clone(), SCORED), (order.id.clone(), order.ends_with)]);
        progress.inc(1);
    }
    progress.set_message("waiting for the webhooks");
    receiver.wait_for(&expected, WEBHOOK_WAIT).await;
    for outcome in &mut outcomes {
        outcome.webhook = receiver.told(&outcome.order_id(), SCORED).is_some();
    }
    let told = receiver.told(placed::NUMBER, SCORED);
    let webhook = told.is_some();
    let answer = taken.and_then(|()| told.ok_or_else(|| "no webhook came".to_owned()));
    outcomes.push(Outcome { order: placed, answer, webhook, fate: None });
    outcomes.extend(held.into_iter().map(|held| Outcome {
        answer: receiver.told(&held.id, SCORED).ok_or_else(|| "no webhook came".to_owned()),
        webhook: receiver.told(&held.id, held.ends_with).is_some(),
        fate: Some(shop.fate(&held)),
        order: held.order,
    }));
    progress.finish_and_clear();
    Ok(Report { outcomes, rejected_webhooks: receiver.rejected() })
}

/// A folder that goes with its owner.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("touchstone-demo-{}", hex::encode(random::bytes::<8>()));
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("the folder {} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Left to the system's own cleaning when it cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
