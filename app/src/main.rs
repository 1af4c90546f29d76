//! Touchstone: screens e-commerce orders for fraud. This crate is the composition root and the command line.
//!
//! Guarantee: exit code 0 means done, 1 means failed, 2 means that the command line was wrong. With `--json` standard
//! output carries exactly one JSON document; logs and progress go to standard error.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod commands;
mod compose;
mod demo;
mod evaluate;
mod output;

use crate::output::Output;

/// Answers a wrong command line, or a request for help, as clap does; with `--json` programs get a document too.
fn misused(error: &clap::Error) -> ExitCode {
    // When standard error is closed, the exit code still says that the call was wrong.
    let _ = error.print();
    let asks_for_json =
        std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if error.use_stderr() && asks_for_json {
        Output::new(true).misuse(&error.render().to_string());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn main() -> ExitCode {
    // The one TLS provider of the process; it is the first that is installed, so this cannot fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let output = Output::new(cli.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&anyhow::Error::new(error).context("no threads to run on")),
    };
    match runtime.block_on(Box::pin(commands::run(cli.command, &output))) {
        Ok(code) => code,
        Err(error) => output.failure(&error),
    }
}
