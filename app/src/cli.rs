//! The command line, as other people's scripts call it (design: "Interface").

use clap::{Parser, Subcommand};

use crate::commands;

/// Screens e-commerce orders for fraud: signed orders in, verdicts and webhooks out.
///
/// New here? `touchstone demo` shows everything at work, needing nothing else. Settings come from the environment, then
/// from `touchstone.toml`; `touchstone doctor` checks them.
#[derive(Debug, Parser)]
#[command(name = "touchstone", version, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    /// Print one JSON document on standard output; logs stay on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send real-looking orders through the whole pipeline on this machine and show what comes of them.
    Demo(crate::demo::DemoArguments),
    /// Run the pipeline, or one role of it.
    Serve(commands::serve::ServeArguments),
    /// Create or upgrade the database schema.
    Migrate(commands::MigrateArguments),
    /// Check every setting and dependency, and say how to mend what is wrong.
    Doctor(commands::doctor::DoctorArguments),
    /// Print the OpenAPI 3.1 description of the HTTP interface.
    Openapi,
    /// Print the completion script of a shell: `touchstone completion bash > /etc/bash_completion.d/touchstone`.
    Completion(commands::shell::CompletionArguments),
    /// Write a manual page for every command.
    Man(commands::shell::ManArguments),
    /// Fetch a URL and exit 0 if it answers 2xx: a health check for containers.
    Probe(commands::probe::ProbeArguments),
    /// Merchants: the accounts that own stores.
    #[command(subcommand)]
    Merchant(commands::merchant::MerchantCommand),
    /// Stores: each has its own keys, orders, history and policy.
    #[command(subcommand)]
    Store(commands::store::StoreCommand),
    /// API keys and their signing secrets.
    #[command(subcommand, alias = "keys")]
    Key(commands::key::KeyCommand),
    /// Webhook endpoints.
    #[command(subcommand)]
    Endpoint(commands::endpoint::EndpointCommand),
    /// Webhook deliveries and their attempts.
    #[command(subcommand)]
    Delivery(commands::delivery::DeliveryCommand),
    /// Centra shops that hold orders until they are screened.
    #[command(subcommand)]
    Centra(commands::centra::CentraCommand),
    /// The verdict policy of a store and its versions.
    #[command(subcommand)]
    Policy(commands::policy::PolicyCommand),
    /// What a store always allows and always blocks.
    #[command(subcommand)]
    List(commands::list::ListCommand),
    /// A store's own rules, and the policy document that holds them.
    #[command(subcommand)]
    Rules(commands::rules::RulesCommand),
    /// Orders and their verdicts.
    #[command(subcommand)]
    Order(commands::order::OrderCommand),
    /// The copy of history in the cache, which orders are compared with.
    #[command(subcommand)]
    History(commands::history::HistoryCommand),
    /// Read files of past orders into a store's history.
    Backfill(commands::backfill::BackfillArguments),
    /// Copy the embedded database to a file, also while it is served.
    Backup(commands::backup::BackupArguments),
    /// Replay a labelled file through the scoring code and measure how well it finds the frauds.
    Evaluate(commands::evaluate::EvaluateArguments),
    /// Messages that could not be processed and wait for a person.
    #[command(subcommand)]
    DeadLetter(commands::dead_letter::DeadLetterCommand),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn documented_calls_are_understood() {
        const STORE: &str = "store_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        const CONNECTION: &str = "cen_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for call in [
            "demo --once".to_owned(),
            "serve".to_owned(),
            "migrate --grant-to touchstone".to_owned(),
            "serve scorer --probe-listen 127.0.0.1:9100".to_owned(),
            "--json doctor".to_owned(),
            "doctor --json".to_owned(),
            "doctor --before-start --all".to_owned(),
            "merchant create --name N".to_owned(),
            format!("store set --store {STORE} --mode shadow --rate-limit 500"),
            format!("key create --store {STORE} --test --scopes signed,orders"),
            "key rotate --key key_01ARZ3NDEKTSV4RRFFQ69G5FAV --grace 24h".to_owned(),
            format!("endpoint create --store {STORE} --url https://shop.example/hook --events order.scored"),
            "delivery replay --endpoint ep_01ARZ3NDEKTSV4RRFFQ69G5FAV --since 2h".to_owned(),
            format!("order decide --store {STORE} --id 1001 --decision approve --reviewer ann"),
            format!("order show --store {STORE} --id 1001 --surface checks --full"),
            format!("order list --store {STORE} --waiting --limit 5"),
            format!("order outcome --store {STORE} --id 1001 --type refunded --occurred-at 2d --amount 12.50"),
            "evaluate orders.csv.gz --mapping shop.toml --policy strict.json --plots plots --rank score".to_owned(),
            "dead-letter replay --all".to_owned(),
            "dead-letter discard --all --yes".to_owned(),
            "backup --to copy.sqlite".to_owned(),
            "completion zsh".to_owned(),
            "man --to man1".to_owned(),
            format!("list add --store {STORE} --list block --subject email --value ann@example.com --expires-in 30d"),
            format!("list show --store {STORE} --list allow"),
            format!("rules apply --store {STORE} --file policy.json --note tuned"),
            format!("rules test --store {STORE} --file policy.json --since 30d --until 2026-01-31T00:00:00Z"),
            format!("rules show --store {STORE} --version 1"),
            format!(
                "centra connect --store {STORE} --api-url https://shop.centra.com/graphql --token-file t --on-high cancel"
            ),
            format!("centra set --connection {CONNECTION} --review-deadline 36h --warehouse none --send-email true"),
            format!("centra set-token --connection {CONNECTION} --token-file -"),
            format!("centra rotate-path --connection {CONNECTION} --grace 2h"),
            format!("centra status --store {STORE} --connection {CONNECTION}"),
            format!("centra release --all --store {STORE} --yes"),
            format!("centra disconnect --connection {CONNECTION}"),
            format!("policy show --store {STORE} --version 1"),
            format!("policy diff --store {STORE} --from 1 --to 2"),
            format!("policy rollback --store {STORE} --to 1"),
            "history rebuild --json".to_owned(),
            format!("backfill --store {STORE} orders.csv s3://shop/2026/carts.jsonl.gz --kind cart --dry-run --json"),
            format!("backfill --store {STORE} --test --format jsonp -"),
        ] {
            let words = std::iter::once("touchstone").chain(call.split(' '));
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{call}: {error}"));
        }
    }

    #[test]
    fn wrong_calls_are_refused_as_usage_errors() {
        for call in [
            "serve everything",
            "merchant create",
            "store show --store nonsense",
            "key rotate --key key_01ARZ3NDEKTSV4RRFFQ69G5FAV --grace soon",
            "order decide --store store_01ARZ3NDEKTSV4RRFFQ69G5FAV --id 1 --decision maybe --reviewer r",
            "dead-letter replay",
            "dead-letter discard",
            "dead-letter discard --all",
            "backfill --store store_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "backfill --store store_01ARZ3NDEKTSV4RRFFQ69G5FAV --format xml orders.xml",
            "centra release --store store_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "centra set --connection cen_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "centra set --connection cen_01ARZ3NDEKTSV4RRFFQ69G5FAV --on-high approve",
            "centra set --connection cen_01ARZ3NDEKTSV4RRFFQ69G5FAV --sweep-interval 30s",
            "centra set --connection cen_01ARZ3NDEKTSV4RRFFQ69G5FAV --review-deadline 91d",
        ] {
            let error = Cli::try_parse_from(std::iter::once("touchstone").chain(call.split(' '))).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{call}");
        }
    }
}
