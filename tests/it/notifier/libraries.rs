//! Real deliveries, verified by the public libraries that merchants use for Standard Webhooks.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use touchstone_platform::clock::Clock;
use touchstone_tests::{Backend, Behaviour, Delivery, Receiver};

use super::{PATIENCE, World};

/// What a program of ours ends with when its library refuses the delivery.
const REFUSED: i32 = 3;

on_both_ways_to_run![
    delivery_verifies_with_the_libraries_that_merchants_use,
    both_secrets_verify_during_a_rotation_and_the_old_one_no_longer_after_it,
];

/// A library, and the program of ours that calls it.
struct Library {
    program: PathBuf,
    arguments: Vec<PathBuf>,
}

impl Library {
    fn all() -> Result<[Self; 2]> {
        let libraries = folder()?;
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        Ok([
            Self { program: libraries.join("python/bin/python"), arguments: vec![fixtures.join("verify_webhook.py")] },
            Self {
                program: "node".into(),
                arguments: vec![fixtures.join("verify-webhook.mjs"), libraries.join("node")],
            },
        ])
    }

    /// The type of the event, or none when the library refuses the delivery.
    async fn verify(&self, delivery: &Delivery, secret: &str) -> Result<Option<String>> {
        let name = self.program.display();
        let headers: Map<String, Value> = delivery
            .headers
            .iter()
            .map(|(name, value)| Ok((name.to_string(), json!(value.to_str()?))))
            .collect::<Result<_>>()?;
        let given = json!({"secret": secret, "headers": headers, "body": std::str::from_utf8(&delivery.body)?});
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut input = child.stdin.take().context("it has no input")?;
        input.write_all(given.to_string().as_bytes()).await?;
        drop(input);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.with_context(|| format!("{name} does not end"))??;
        if output.status.code() == Some(REFUSED) {
            return Ok(None);
        }
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Some(String::from_utf8(output.stdout)?.trim().to_owned()))
    }
}

/// Where the libraries are, beside what was built.
fn folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("the test lies in no target folder")?;
    let folder = target.join("tools/webhooks");
    ensure!(
        folder.join("installed").is_file(),
        "the libraries are not installed; `make test` does it, or: .ci/install-webhook-libraries {}",
        folder.display()
    );
    Ok(folder)
}

async fn delivery_verifies_with_the_libraries_that_merchants_use(world: &mut World) -> Result<()> {
    // The libraries refuse a signature that is not of now.
    world.clock = Clock::system();
    let receiver = Receiver::start().await?;
    let (_, secret) = world.endpoint(&receiver.url()).await?;
    let (_, of_another) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let both = receiver.wait_for(2, PATIENCE).await?;
    let delivery = both.iter().find(|delivery| delivery.verify(&secret).is_ok()).context("none is signed with it")?;
    let mut changed = delivery.clone();
    changed.body = String::from_utf8(delivery.body.to_vec())?.replace("7", "8").into();
    for library in Library::all()? {
        let name = library.program.display();
        ensure!(library.verify(delivery, &secret).await?.as_deref() == Some("order.scored"), "{name} refuses it");
        ensure!(library.verify(&changed, &secret).await?.is_none(), "{name} takes another body");
        ensure!(library.verify(delivery, &of_another).await?.is_none(), "{name} takes another secret");
    }
    world.stop().await
}

async fn both_secrets_verify_during_a_rotation_and_the_old_one_no_longer_after_it(world: &mut World) -> Result<()> {
    let now = Clock::system().now();
    world.clock = Clock::manual(now);
    let receiver = Receiver::start().await?;
    let (endpoint, old) = world.endpoint(&receiver.url()).await?;
    let new = world.rotate(&endpoint, Some(now + Duration::from_secs(60))).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    receiver.wait_for(1, PATIENCE).await?;
    receiver.behave(Behaviour::status(204));
    world.clock.advance(Duration::from_secs(61));
    world.announced_event().await?;
    let [during, after] = &receiver.wait_for(2, PATIENCE).await?[..] else { bail!("there are more than two") };
    ensure!(during.header("webhook-signature").split(' ').count() == 2, "{:?}", during.headers);
    for library in Library::all()? {
        let name = library.program.display();
        for (delivery, secret, verifies) in
            [(during, &old, true), (during, &new, true), (after, &old, false), (after, &new, true)]
        {
            ensure!(library.verify(delivery, secret).await?.is_some() == verifies, "{name}: {:?}", delivery.headers);
        }
    }
    world.stop().await
}
