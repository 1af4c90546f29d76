//! The examples that integrators copy: they run as they are, against the real program, in both ways to run.
//!
//! The two programs under `fixtures/custom_integration.*` are those of the vendor's integration page, unchanged. Here
//! they get another address, real credentials and a call, and nothing else.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};
use touchstone_tests::{
    Backend, Credentials, SignedClient, Touchstone,
    process::{Port, TemporaryFolder},
    touchstone_json,
};

/// How long an example may take, retries included.
const EXAMPLE_WITHIN: Duration = Duration::from_secs(60);
/// How long a receiver may keep the connection of an attacker: its own timeout, and time to spare.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);
/// The address in the vendor's programs.
const VENDOR_ADDRESS: &str = "https://api.fraudcommandcenter.com";
/// What a verdict may recommend.
const ACTIONS: [&str; 3] = ["approve", "review", "hold"];

/// A store with a key, and the program that serves it.
struct Shop {
    backend: Backend,
    store: String,
    credentials: Credentials,
    /// Key id and secret of a key of the checks API.
    basic: [String; 2],
    server: Touchstone,
}

impl Shop {
    async fn open(backend: Backend) -> anyhow::Result<Self> {
        Self::open_for(backend, "signed").await
    }

    /// With a key of these scopes.
    async fn open_for(backend: Backend, scopes: &str) -> anyhow::Result<Self> {
        if backend.amqp_url.is_some() {
            touchstone_json(&backend, &["migrate"]).await?;
        }
        let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Examples"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let store =
            touchstone_json(&backend, &["store", "create", "--merchant", &merchant, "--name", "Examples"]).await?;
        let store = text(&store, "store_id")?;
        let create =
            ["key", "create", "--store", &store, "--scopes", scopes, "--product", "guaranteed", "--currency", "USD"];
        let key = touchstone_json(&backend, &create).await?;
        let checks = touchstone_json(&backend, &["key", "create", "--store", &store, "--scopes", "checks"]).await?;
        let basic = [text(&checks, "key_id")?, text(&checks, "secret")?];
        let server = Touchstone::new("all", &backend)?.start().await?;
        Ok(Self { credentials: Credentials::from_json(&key)?, basic, backend, store, server })
    }

    /// Runs a program with the settings that the examples read; gives what it printed.
    async fn run(&self, program: &str, arguments: &[&Path]) -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("TOUCHSTONE_URL", self.server.url())
            .env("TOUCHSTONE_API_KEY", &self.credentials.api_key)
            .env("TOUCHSTONE_HMAC_SECRET", &self.credentials.hmac_secret)
            .env("TOUCHSTONE_KEY_ID", &self.basic[0])
            .env("TOUCHSTONE_SECRET", &self.basic[1])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(EXAMPLE_WITHIN, command.output()).await;
        let output = output.with_context(|| format!("{program} {arguments:?} does not end"))?;
        let output = output.with_context(|| format!("cannot start {program}"))?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{program} {arguments:?}: {}\n{stdout}{stderr}", output.status);
        Ok(stdout.into_owned())
    }

    /// The vendor's program with the address and credentials of this shop, ending in a call.
    fn adapted(&self, fixture: &str) -> anyhow::Result<String> {
        let program = std::fs::read_to_string(project().join("tests/fixtures").join(fixture))?;
        ensure!(program.contains(VENDOR_ADDRESS), "{fixture} has another address than the vendor's");
        let Credentials { api_key, hmac_secret } = &self.credentials;
        Ok(program
            .replace(VENDOR_ADDRESS, &self.server.url())
            .replace("\"fcc_live_...\"", &format!("{api_key:?}"))
            .replace("HMAC_SECRET = \"...\"", &format!("HMAC_SECRET = {hmac_secret:?}")))
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(document: &Value, member: &str) -> anyhow::Result<String> {
    document[member].as_str().map(str::to_owned).with_context(|| format!("no {member} in {document}"))
}

fn recommends(printed: &str, wanted: &str) -> anyhow::Result<()> {
    let found = ACTIONS.iter().any(|action| printed.contains(&wanted.replace("ACTION", action)));
    ensure!(found, "no recommended action in:\n{printed}");
    Ok(())
}

async fn every_example_prints_a_recommended_action(backend: Backend) -> anyhow::Result<()> {
    let shop = Shop::open(backend).await?;
    let examples = project().join("examples");
    let folder = TemporaryFolder::new("orders")?;
    let order: Value = serde_json::from_slice(&std::fs::read(examples.join("order.json"))?)?;
    for (program, example, wanted) in [
        ("python3", "python/score_order.py", "recommended_action: ACTION"),
        ("node", "node/score-order.mjs", "recommended_action: ACTION"),
        ("sh", "curl/score-order.sh", "\"recommended_action\":\"ACTION\""),
    ] {
        let mut own = order.clone();
        own["order_id"] = json!(example);
        let file = folder.path().join("order.json");
        std::fs::write(&file, own.to_string())?;
        recommends(&shop.run(program, &[&examples.join(example), &file]).await?, wanted)?;
    }
    Ok(())
}

async fn every_example_places_an_order(backend: Backend) -> anyhow::Result<()> {
    let shop = Shop::open_for(backend, "orders").await?;
    let examples = project().join("examples");
    let folder = TemporaryFolder::new("placed")?;
    let order: Value = serde_json::from_slice(&std::fs::read(examples.join("orders-api-order.json"))?)?;
    for (program, example, status) in [
        ("python3", "python/place_order.py", "status: allowed"),
        ("node", "node/place-order.mjs", "status: allowed"),
        ("sh", "curl/place-order.sh", "\"orderNumber\":\"curl/place-order.sh\""),
    ] {
        let mut own = order.clone();
        own["orderNumber"] = json!(example);
        let file = folder.path().join("order.json");
        std::fs::write(&file, own.to_string())?;
        let printed = shop.run(program, &[&examples.join(example), &file]).await?;
        ensure!(printed.contains("location: /v1/orders/") && printed.contains(status), "{example}:\n{printed}");
    }
    Ok(())
}

async fn every_example_of_the_checks_api_prints_a_risk_group(backend: Backend) -> anyhow::Result<()> {
    let shop = Shop::open(backend).await?;
    let examples = project().join("examples");
    let folder = TemporaryFolder::new("checks")?;
    let check: Value = serde_json::from_slice(&std::fs::read(examples.join("check.json"))?)?;
    for (program, example, wanted) in [
        ("python3", "python/check_order.py", "risk_group: GROUP"),
        ("node", "node/check-order.mjs", "risk_group: GROUP"),
        ("sh", "curl/check-order.sh", "\"risk_group\":\"GROUP\""),
    ] {
        let mut own = check.clone();
        own["transaction"]["order_id"] = json!(example);
        let file = folder.path().join("check.json");
        std::fs::write(&file, own.to_string())?;
        let printed = shop.run(program, &[&examples.join(example), &file]).await?;
        let found = ["low", "medium", "high"].iter().any(|group| printed.contains(&wanted.replace("GROUP", group)));
        ensure!(found, "no risk group in:\n{printed}");
    }
    Ok(())
}

/// The codes of what speaks against an order that was answered with this verdict or check.
fn codes(verdict: &Value) -> Vec<&str> {
    let (reasons, name) = match verdict["reasons"].as_array() {
        Some(reasons) => (reasons, "code"),
        None => (verdict["data"]["tags"].as_array().expect("a check has tags"), "id"),
    };
    reasons.iter().filter_map(|reason| reason[name].as_str()).collect()
}

/// The sample order of every guide and of the API's description scores like an order of an honest customer.
#[tokio::test]
async fn sample_orders_look_like_orders_and_score_low() -> anyhow::Result<()> {
    let shop = Shop::open_for(Backend::embedded()?, "signed,checks").await?;
    let client = SignedClient::new(&shop.server.url(), shop.credentials.clone());
    let sample = |file: &str| anyhow::Ok(serde_json::from_slice::<Value>(&std::fs::read(project().join(file))?)?);
    let described = touchstone_json(&shop.backend, &["openapi"]).await?;
    let example = |path: &str| {
        let media = &described["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        let schema = media["schema"]["$ref"].as_str().and_then(|name| described.pointer(name.trim_start_matches('#')));
        [&media["example"], &media["schema"]["example"], &schema.unwrap_or(&Value::Null)["example"]]
            .into_iter()
            .find(|example| example.is_object())
            .cloned()
            .with_context(|| format!("no example of {path}"))
    };
    for (number, mut order) in [sample("examples/order.json")?, example("/v1/analyze")?].into_iter().enumerate() {
        order["order_id"] = json!(format!("S-{number}"));
        let verdict = client.analyze(&order).await?.json()?;
        let score = verdict["risk_score"].as_u64().with_context(|| verdict.to_string())?;
        ensure!(score <= 15 && verdict["recommended_action"] == "approve", "{verdict}");
        is_no_sample_of_nowhere(&verdict)?;
    }
    let checks = [sample("examples/check.json")?, example("/v2/risk/order/ecommerce")?];
    for (number, mut check) in checks.into_iter().enumerate() {
        check["transaction"]["order_id"] = json!(format!("S-{number}"));
        let folder = TemporaryFolder::new("sample")?;
        let file = folder.path().join("check.json");
        std::fs::write(&file, check.to_string())?;
        let answer = shop.run("sh", &[&project().join("examples/curl/check-order.sh"), &file]).await?;
        let answer: Value = serde_json::from_str(answer.trim())?;
        ensure!(answer["data"]["risk_group"] == "low", "{answer}");
        is_no_sample_of_nowhere(&answer)?;
    }
    Ok(())
}

fn is_no_sample_of_nowhere(verdict: &Value) -> anyhow::Result<()> {
    let codes = codes(verdict);
    ensure!(!codes.iter().any(|code| ["private_ip", "email_invalid"].contains(code)), "{verdict}");
    Ok(())
}

#[tokio::test]
async fn examples_place_an_order_on_the_embedded_default() -> anyhow::Result<()> {
    every_example_places_an_order(Backend::embedded()?).await
}

#[tokio::test]
async fn examples_place_an_order_in_production() -> anyhow::Result<()> {
    every_example_places_an_order(Backend::production().await?).await
}

#[tokio::test]
async fn examples_of_the_checks_api_print_a_risk_group_on_the_embedded_default() -> anyhow::Result<()> {
    every_example_of_the_checks_api_prints_a_risk_group(Backend::embedded()?).await
}

#[tokio::test]
async fn examples_of_the_checks_api_print_a_risk_group_in_production() -> anyhow::Result<()> {
    every_example_of_the_checks_api_prints_a_risk_group(Backend::production().await?).await
}

async fn vendor_programs_print_a_recommended_action(backend: Backend) -> anyhow::Result<()> {
    let shop = Shop::open(backend).await?;
    let folder = TemporaryFolder::new("vendor")?;
    // Python escapes letters beyond ASCII and Node does not: the signature covers what was sent.
    let order =
        |id: &str| json!({"order_id": id, "amount": 49.5, "currency": "EUR", "customer": {"first_name": "Zoë"}});

    let python = shop.adapted("custom_integration.py")?;
    let call = format!("print(score_order({})[\"recommended_action\"])\n", order("py-1"));
    let file = folder.path().join("program.py");
    std::fs::write(&file, format!("{python}\n{call}"))?;
    recommends(&shop.run("python3", &[&file]).await?, "ACTION\n")?;

    let node = shop.adapted("custom_integration.mjs")?;
    let Credentials { api_key, hmac_secret } = &shop.credentials;
    let credentials = format!("const API_KEY = {api_key:?}, HMAC_SECRET = {hmac_secret:?};\n");
    let call = format!("console.log((await scoreOrder({})).recommended_action);\n", order("js-1"));
    let file = folder.path().join("program.mjs");
    std::fs::write(&file, format!("{node}\n{credentials}{call}"))?;
    recommends(&shop.run("node", &[&file]).await?, "ACTION\n")
}

#[tokio::test]
async fn examples_print_a_recommended_action_on_the_embedded_default() -> anyhow::Result<()> {
    every_example_prints_a_recommended_action(Backend::embedded()?).await
}

#[tokio::test]
async fn examples_print_a_recommended_action_in_production() -> anyhow::Result<()> {
    every_example_prints_a_recommended_action(Backend::production().await?).await
}

#[tokio::test]
async fn vendor_programs_need_only_address_and_credentials_on_the_embedded_default() -> anyhow::Result<()> {
    vendor_programs_print_a_recommended_action(Backend::embedded()?).await
}

#[tokio::test]
async fn vendor_programs_need_only_address_and_credentials_in_production() -> anyhow::Result<()> {
    vendor_programs_print_a_recommended_action(Backend::production().await?).await
}

/// A receiver of the examples, which prints a line for each webhook that it has verified.
struct ExampleReceiver {
    lines: Lines<BufReader<ChildStdout>>,
    /// Killed when dropped.
    _child: Child,
}

impl ExampleReceiver {
    async fn start(mut command: Command, port: &Port, secret: &str) -> anyhow::Result<Self> {
        command
            .env("TOUCHSTONE_WEBHOOK_SECRET", secret)
            .env("PORT", port.number().to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("the receiver has no output")?;
        let mut receiver = Self { lines: BufReader::new(output).lines(), _child: child };
        let listening = receiver.next_line().await?;
        ensure!(listening.starts_with("listening"), "{command:?} said: {listening}");
        Ok(receiver)
    }

    async fn next_line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(EXAMPLE_WITHIN, self.lines.next_line()).await;
        line.context("the receiver printed nothing")??.context("the receiver ended")
    }
}

fn interpreted(program: &str, example: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(project().join("examples").join(example));
    command
}

/// What senders of no good do to a receiver: requests that break off, lengths that are none, bodies without an end. Each
/// is over when the receiver closes the connection.
async fn attack(port: u16) -> anyhow::Result<()> {
    let head = |length: &str| format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n");
    for aborted in [head("100") + "{", head("100"), "POST / HTTP/1.1\r\nHost: sh".to_owned()] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(aborted.as_bytes()).await?;
        // Closed with what is unread at the other end, so that the receiver sees a reset as well as an end.
        stream.set_zero_linger()?;
        drop(stream);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(aborted.as_bytes()).await?;
        stream.shutdown().await?;
        closed(stream).await.with_context(|| format!("after {aborted:?} and an end"))?;
    }
    for length in ["-1", "1e9", "99999999999", "4294967297", "٣"] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(head(length).as_bytes()).await?;
        // A receiver that reads on takes this and more; the sender keeps its end open.
        let _ = stream.write_all(&[b'x'; 4_096]).await;
        let answer = closed(stream).await.with_context(|| format!("after Content-Length: {length}"))?;
        ensure!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.0 2"), "{length}: {answer}");
    }
    endless(port).await
}

/// A body that goes on and on must be refused after a few megabytes at most.
async fn endless(port: u16) -> anyhow::Result<()> {
    const MOST_CHUNKS: usize = 512;
    let (mut answers, mut stream) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    for _ in 0..MOST_CHUNKS {
        let mut answer = [0; 1];
        tokio::select! {
            biased;
            // Answered or closed: nothing more is read.
            _ = answers.read(&mut answer) => return Ok(()),
            written = stream.write_all(&chunk) => if written.is_err() { return Ok(()) },
        }
    }
    bail!("32 MiB of one body were read")
}

/// What the receiver answers until it closes the connection.
async fn closed(mut stream: TcpStream) -> anyhow::Result<String> {
    let mut answer = Vec::new();
    // A reset is a close, too.
    let read = tokio::time::timeout(CLOSED_WITHIN, stream.read_to_end(&mut answer)).await;
    let _ = read.context("the receiver keeps the connection open")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn example_receiver_survives_attacks_and_verifies_a_webhook(receiver: Command) -> anyhow::Result<()> {
    let shop = Shop::open(Backend::embedded()?).await?;
    let port = Port::reserve()?;
    let url = format!("http://127.0.0.1:{}/", port.number());
    let endpoint =
        touchstone_json(&shop.backend, &["endpoint", "create", "--store", &shop.store, "--url", &url]).await?;
    let mut receiver = ExampleReceiver::start(receiver, &port, &text(&endpoint, "secret")?).await?;
    attack(port.number()).await?;
    // It goes on as if nothing had been.
    let example = project().join("examples/python/score_order.py");
    recommends(&shop.run("python3", &[&example]).await?, "recommended_action: ACTION")?;
    recommends(&receiver.next_line().await?, "verified order.scored 1001 ACTION")
}

#[tokio::test]
async fn python_receiver_survives_attacks_and_verifies_a_webhook() -> anyhow::Result<()> {
    example_receiver_survives_attacks_and_verifies_a_webhook(interpreted("python3", "python/receive_webhook.py")).await
}

#[tokio::test]
async fn node_receiver_survives_attacks_and_verifies_a_webhook() -> anyhow::Result<()> {
    example_receiver_survives_attacks_and_verifies_a_webhook(interpreted("node", "node/receive-webhook.mjs")).await
}

#[tokio::test]
async fn rust_receiver_survives_attacks_and_verifies_a_webhook() -> anyhow::Result<()> {
    // Built with this test, and so beside it.
    let test = std::env::current_exe()?;
    let built = test.ancestors().nth(2).context("the test lies in no folder")?;
    example_receiver_survives_attacks_and_verifies_a_webhook(Command::new(built.join("examples/receive-webhook"))).await
}
