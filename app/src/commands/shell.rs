//! `touchstone completion` and `touchstone man`: completion scripts and manual pages, generated from the command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::Cli;
use crate::output::Output;

/// Arguments of `touchstone completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// bash, elvish, fish, powershell or zsh.
    shell: Shell,
}

/// Arguments of `touchstone man`.
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// A folder, such as ~/.local/share/man/man1; it is made when there is none.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn completion(arguments: &CompletionArguments, output: Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "touchstone", &mut script);
    let script = String::from_utf8(script).context("the script is text")?;
    output.show(&json!({ "shell": arguments.shell.to_string(), "script": script }), || script.clone())
}

pub(crate) fn man(arguments: &ManArguments, output: Output) -> anyhow::Result<()> {
    let folder = arguments.to.display();
    std::fs::create_dir_all(&arguments.to).with_context(|| format!("--to: the folder {folder} cannot be made"))?;
    clap_mangen::generate_to(Cli::command(), &arguments.to).with_context(|| format!("{folder} cannot be written"))?;
    output.show(&json!({ "folder": arguments.to }), || format!("Manual pages are in {folder}.\nNext: man touchstone"))
}
