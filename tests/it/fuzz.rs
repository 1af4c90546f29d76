//! Every operation of the served OpenAPI document, under requests that a property-based tester makes up from it.
//!
//! Guarantee: nothing that is sent is answered 5xx, with an undeclared status, header or body, or, to a stranger, with
//! anything but a refusal; and no operation of the document goes untried.
//! Failure: the tester's report, with the requests that it takes to see each fault again. The same seed makes the same
//! requests; `FUZZ_SEED` and `FUZZ_EXAMPLES` ask for others and for more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::{Backend, Behaviour, HttpClient, Receiver, Touchstone, touchstone_json};

/// Makes the same requests in every run.
const SEED: u64 = 1;
/// How long a pass may take on a busy machine.
const PASS_WITHIN: Duration = Duration::from_secs(180);
/// More than a pass sends, so that no refusal stands in front of another.
const REQUESTS_PER_MINUTE: &str = "1000000";

/// What the tester is out for.
struct Pass {
    name: &'static str,
    phases: &'static str,
    /// Requests that are made up for an operation, beside those that the phases list.
    examples: u32,
}

/// With the right credentials; these and broken bodies; and with missing or wrong credentials.
const PASSES: [Pass; 3] = [
    Pass { name: "rightful", phases: "examples,coverage,fuzzing", examples: 40 },
    Pass { name: "mangled", phases: "fuzzing", examples: 15 },
    Pass { name: "strangers", phases: "fuzzing", examples: 12 },
];

/// How often an operation, such as `GET /v1/lists`, gave which status.
type Tally = BTreeMap<String, BTreeMap<u16, u32>>;

/// A store whose credentials open every surface, and the program that serves it.
struct Target {
    server: Touchstone,
    credentials: Value,
    document: Value,
    folder: TemporaryFolder,
    _receiver: Receiver,
    _backend: Backend,
}

impl Target {
    async fn open(backend: Backend) -> Result<Self> {
        if backend.amqp_url.is_some() {
            touchstone_json(&backend, &["migrate"]).await?;
        }
        let folder = TemporaryFolder::new("fuzz")?;
        let receiver = Receiver::start().await?;
        let credentials = accounts(&backend, &folder, &receiver.url()).await?;
        let server = Touchstone::new("all", &backend)?.start().await?;
        let document = HttpClient::new().get(&format!("{}/openapi.json", server.url())).await?.json()?;
        Ok(Self { server, credentials, document, folder, _receiver: receiver, _backend: backend })
    }

    /// Runs the tester by a document; gives its report when it found something.
    async fn fuzz(&self, document: &Value, pass: &Pass) -> Result<(Tally, Option<String>)> {
        self.fuzz_at(&self.server.url(), document, pass).await
    }

    async fn fuzz_at(&self, url: &str, document: &Value, pass: &Pass) -> Result<(Tally, Option<String>)> {
        let (described, tally) = (self.folder.path().join("openapi.json"), self.folder.path().join("tally.json"));
        std::fs::write(&described, document.to_string())?;
        let (seed, examples) = (asked("FUZZ_SEED", SEED)?, asked("FUZZ_EXAMPLES", u64::from(pass.examples))?);
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut command = Command::new(tester()?);
        command
            .arg("--config-file")
            .arg(fuzz.join("schemathesis.toml"))
            .arg("run")
            .arg(&described)
            .args(["--url", url, "--phases", pass.phases])
            .args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()])
            .current_dir(self.folder.path())
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", &fuzz)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("FUZZ_PASS", pass.name)
            .env("FUZZ_SEED", seed.to_string())
            .env("FUZZ_TALLY", &tally)
            .env("FUZZ_CREDENTIALS", self.credentials.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PASS_WITHIN, command.output()).await;
        let output = output.with_context(|| format!("the pass {} does not end", pass.name))??;
        let report = format!(
            "pass {} with seed {seed} and {examples} examples: {}\n{}{}",
            pass.name,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let tally = std::fs::read(tally).with_context(|| report.clone())?;
        Ok((serde_json::from_slice(&tally)?, (!output.status.success()).then_some(report)))
    }
}

/// Sets a shop up; gives the credentials as the hooks read them.
async fn accounts(backend: &Backend, folder: &TemporaryFolder, receiver: &str) -> Result<Value> {
    let (policy, token) = (folder.path().join("policy.json"), folder.path().join("token"));
    // Verdicts of every kind, so that there is something to decide.
    std::fs::write(&policy, json!({"bands": {"medium": 10, "high": 20, "critical": 60}}).to_string())?;
    std::fs::write(&token, "token")?;
    let merchant = create(backend, &["merchant", "create", "--name", "Fuzz"]).await?;
    let merchant = text(&merchant, "merchant_id")?;
    let store = ["store", "create", "--merchant", &merchant, "--name", "Fuzz", "--rate-limit", REQUESTS_PER_MINUTE];
    let store = text(&create(backend, &store).await?, "store_id")?;
    create(backend, &["rules", "apply", "--store", &store, "--file", &policy.display().to_string()]).await?;
    // One is switched off and on, while others take what comes.
    for _ in 0..3 {
        create(backend, &["endpoint", "create", "--store", &store, "--url", receiver]).await?;
    }
    let token = token.display().to_string();
    let shop =
        ["centra", "connect", "--store", &store, "--api-url", "http://127.0.0.1:9/graphql", "--token-file", &token];
    let shop = text(&create(backend, &shop).await?, "connector_path")?;
    let orders = ["--scopes", "signed,orders,checks", "--product", "guaranteed", "--currency", "USD"];
    let mut key = create(backend, &[&["key", "create", "--store", &store], &orders[..]].concat()).await?;
    key["connector_token"] = json!(shop.rsplit('/').next());
    Ok(key)
}

async fn create(backend: &Backend, command: &[&str]) -> Result<Value> {
    touchstone_json(backend, command).await
}

fn text(document: &Value, member: &str) -> Result<String> {
    document[member].as_str().map(str::to_owned).with_context(|| format!("no {member} in {document}"))
}

fn asked(name: &str, otherwise: u64) -> Result<u64> {
    let asked = std::env::var(name).ok().map(|text| text.parse()).transpose();
    Ok(asked.with_context(|| format!("{name} is no number"))?.unwrap_or(otherwise))
}

/// Where the tester is, beside what was built.
fn tester() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("the test lies in no target folder")?;
    let folder = target.join("tools/fuzzer");
    ensure!(
        folder.join("installed").is_file(),
        "the API fuzzer is not installed; `make test` does it, or: .ci/install-api-fuzzer {}",
        folder.display()
    );
    Ok(folder.join("bin/st"))
}

/// `GET /v1/lists` and all the others of a document.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let labels = paths.flat_map(|(path, operations)| {
        let methods = operations.as_object().into_iter().flat_map(|operations| operations.keys());
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    labels.collect()
}

/// The operations that never gave a status of those wanted.
fn lacking(operations: &BTreeSet<String>, tally: &Tally, wanted: impl Fn(u16) -> bool) -> Vec<String> {
    let has = |name: &String| tally.get(name).is_some_and(|statuses| statuses.keys().any(|status| wanted(*status)));
    operations.iter().filter(|name| !has(name)).cloned().collect()
}

async fn every_operation_answers_as_described_whatever_is_sent(backend: Backend) -> Result<()> {
    let target = Target::open(backend).await?;
    let operations = operations(&target.document);
    for pass in &PASSES {
        let (tally, report) = target.fuzz(&target.document, pass).await?;
        if let Some(report) = report {
            bail!("{report}");
        }
        let untried = lacking(&operations, &tally, |_| true);
        ensure!(untried.is_empty(), "pass {}: no request reached {untried:?}", pass.name);
        if pass.name == "rightful" {
            let refused = lacking(&operations, &tally, |status| (200..300).contains(&status));
            ensure!(refused.is_empty(), "no request was good enough for {refused:?}: {tally:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_operation_answers_as_described_on_the_embedded_default() -> Result<()> {
    every_operation_answers_as_described_whatever_is_sent(Backend::embedded()?).await
}

#[tokio::test]
async fn every_operation_answers_as_described_in_production() -> Result<()> {
    every_operation_answers_as_described_whatever_is_sent(Backend::production().await?).await
}

#[tokio::test]
async fn wrong_description_is_found_with_the_request_that_shows_it() -> Result<()> {
    let target = Target::open(Backend::embedded()?).await?;
    let pass = &PASSES[0];
    let mut document = target.document.clone();
    let paths = document["paths"].as_object_mut().context("there are no paths")?;
    paths.retain(|path, _| path == "/v1/lists");
    for (pointer, wrong, finding) in [
        ("/components/schemas/ListEntry/properties/id/type", json!("integer"), "is not of type"),
        ("/paths/~1v1~1lists/post/responses", json!({"201": {"description": ""}}), "Undocumented status code"),
        ("/paths/~1v1~1lists/patch", json!({"responses": {"200": {"description": ""}}}), "Undocumented status code"),
    ] {
        let mut document = document.clone();
        let (parent, member) = pointer.rsplit_once('/').context("no pointer")?;
        let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).context("nothing is there")?;
        parent.insert(member.to_owned(), wrong);
        let (_, report) = target.fuzz(&document, pass).await?;
        let report = report.with_context(|| format!("{pointer} was not found to be wrong"))?;
        ensure!(report.contains(finding) && report.contains("curl -X"), "{pointer}: {report}");
    }
    Ok(())
}

#[tokio::test]
async fn server_errors_are_found_although_they_are_described() -> Result<()> {
    let target = Target::open(Backend::embedded()?).await?;
    let mut document = target.document.clone();
    document["paths"].as_object_mut().context("there are no paths")?.retain(|path, _| path == "/v1/lists");
    let broken = Receiver::start().await?;
    for status in [500, 503] {
        broken.behave(Behaviour::status(status));
        let (_, report) = target.fuzz_at(&broken.url().replace("/webhooks", ""), &document, &PASSES[0]).await?;
        let report = report.with_context(|| format!("{status} was not found to be wrong"))?;
        ensure!(report.contains("Server error"), "{report}");
    }
    Ok(())
}

#[test]
fn operations_that_were_not_tried_or_only_refused_are_named() {
    let operations = operations(&json!({"paths": {"/a": {"get": {}, "post": {}}, "/b": {"get": {}}}}));
    let tally = BTreeMap::from([
        ("GET /a".to_owned(), BTreeMap::from([(200, 1), (401, 7)])),
        ("POST /a".to_owned(), BTreeMap::from([(404, 2)])),
    ]);
    assert_eq!(lacking(&operations, &tally, |_| true), ["GET /b"]);
    assert_eq!(lacking(&operations, &tally, |status| status == 200), ["GET /b", "POST /a"]);
}
