//! The attack list: every way known to us to lead a delivery to an address that is not public. Each ends as
//! `blocked_address`, by the real delivery path, and the receiver that waits behind it hears nothing.
//!
//! What resolves to several addresses, and to others the next time, is tested at the connector
//! (`notifier/src/connect.rs`): the address that was judged is the one that is connected to.

use anyhow::{Result, ensure};
use touchstone_tests::{Backend, Behaviour, Receiver};

use super::World;

on_both_ways_to_run![
    every_spelling_of_every_private_address_is_refused,
    names_of_this_machine_are_refused,
    hosts_that_are_no_address_are_refused,
    redirect_to_a_private_address_is_not_followed,
];

/// What a host is, and spellings of it.
const ATTACKS: &[(&str, &[&str])] = &[
    ("IPv4 unspecified and this network", &["0.0.0.0", "0.1.2.3", "0"]),
    ("IPv4 loopback", &["127.0.0.1", "127.0.0.53", "127.255.255.254"]),
    ("IPv4 private", &["10.0.0.1", "10.255.255.254", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.254"]),
    ("IPv4 link-local", &["169.254.0.1", "169.254.255.254"]),
    ("carrier-grade translation", &["100.64.0.1", "100.127.255.254"]),
    ("IPv4 multicast, reserved and broadcast", &["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"]),
    (
        "IPv4 documentation and benchmarks",
        &["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.254"],
    ),
    ("protocol assignments and relays", &["192.0.0.1", "192.0.0.170", "192.88.99.1"]),
    (
        "metadata and host agents of clouds",
        &[
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
        ],
    ),
    ("IPv6 unspecified and loopback", &["[::]", "[::1]", "[0:0:0:0:0:0:0:1]"]),
    ("IPv6 unique local", &["[fc00::1]", "[fd12:3456:789a::1]"]),
    ("IPv6 link-local and site-local", &["[fe80::1]", "[febf::1]", "[fec0::1]"]),
    ("IPv6 multicast", &["[ff02::1]", "[ff0e::1]"]),
    (
        "IPv6 documentation, discard, benchmarks",
        &["[2001:db8::1]", "[3fff::1]", "[100::1]", "[2001:2::1]", "[5f00::1]"],
    ),
    (
        "IPv4-mapped",
        &["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:0a00:0001]", "[::ffff:169.254.169.254]"],
    ),
    ("IPv4-compatible", &["[::127.0.0.1]", "[::10.0.0.1]", "[::8.8.8.8]"]),
    ("IPv4-translated", &["[::ffff:0:127.0.0.1]", "[::ffff:0:10.0.0.1]"]),
    ("NAT64", &["[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b::169.254.169.254]"]),
    ("NAT64 of the own network", &["[64:ff9b:1::7f00:1]", "[64:ff9b:1:ffff::8.8.8.8]"]),
    ("6to4", &["[2002:7f00:1::1]", "[2002:a00:1::]", "[2002:c0a8:1::1]", "[2002:a9fe:a9fe::1]"]),
    ("Teredo", &["[2001:0:7f00:1::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]"]),
    (
        "ISATAP",
        &[
            "[fe80::5efe:10.0.0.1]",
            "[2a00:1450:4001::5efe:10.0.0.1]",
            "[2a00:1450:4001::200:5efe:7f00:1]",
            "[2002:808:808::5efe:a00:1]",
        ],
    ),
    ("octal", &["0177.0.0.1", "0177.0.0.01", "017700000001", "0251.0376.0251.0376"]),
    ("decimal", &["2130706433", "2852039166", "3232235521"]),
    ("hexadecimal", &["0x7f.1", "0x7f.0.0.1", "0x7f000001", "0xa9fea9fe", "0xA.0.0.1", "0x7f.0.0.0x"]),
    ("short", &["127.1", "127.0.1", "10.1", "192.168.257"]),
    ("trailing dot", &["127.0.0.1.", "10.0.0.1.", "0x7f.1."]),
    ("other digits, dots and escapes", &["１２７.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "⑩.0.0.1"]),
    ("user-info", &["8.8.8.8@127.0.0.1", "8.8.8.8:80@10.0.0.1", "shop.example%40@127.0.0.1", "a:b@[::1]"]),
];

/// One endpoint per URL, one event for all: the deliveries' errors, in the order of the URLs.
async fn errors(world: &mut World, urls: &[String]) -> Result<Vec<String>> {
    let mut endpoints = Vec::with_capacity(urls.len());
    for url in urls {
        endpoints.push(world.endpoint(url).await?.0);
    }
    world.start("")?;
    world.announced_event().await?;
    let mut errors = Vec::with_capacity(urls.len());
    for endpoint in endpoints {
        let (row, _) = world.delivery(&endpoint, "a refused attempt", |row| row.attempts == 1).await?;
        ensure!(row.state == "pending", "{row:?}");
        errors.push(row.last_error.unwrap_or_default());
    }
    world.stop().await?;
    Ok(errors)
}

/// The host in a URL with the port on which somebody listens, so that what is not refused arrives.
fn behind(receiver: &Receiver, host: &str) -> String {
    receiver.url().replace("127.0.0.1", host)
}

async fn every_spelling_of_every_private_address_is_refused(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let attacks: Vec<_> = ATTACKS.iter().flat_map(|(what, hosts)| hosts.iter().map(move |host| (what, host))).collect();
    let urls: Vec<_> = attacks.iter().map(|(_, host)| behind(&receiver, host)).collect();
    let errors = errors(world, &urls).await?;
    let passed: Vec<_> = attacks.iter().zip(errors).filter(|(_, error)| error != "blocked_address").collect();
    ensure!(passed.is_empty(), "{passed:?}");
    ensure!(receiver.deliveries().is_empty());
    Ok(())
}

/// Whether a spelling resolves is the machine's affair; that it leads nowhere is ours.
async fn names_of_this_machine_are_refused(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let hosts = ["localhost", "LOCALHOST", "localhost.", "shop.localhost", "ip6-localhost"];
    let errors = errors(world, &hosts.map(|host| behind(&receiver, host))).await?;
    ensure!(errors[..2] == ["blocked_address", "blocked_address"], "{errors:?}");
    ensure!(errors.iter().all(|error| ["blocked_address", "dns"].contains(&error.as_str())), "{errors:?}");
    ensure!(receiver.deliveries().is_empty());
    Ok(())
}

async fn hosts_that_are_no_address_are_refused(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let hosts =
        ["[fe80::1%25lo]", "127.0.0.256", "127.0.0.0.1", "0x7g.0.0.1", "[::127.1]", "127.0.0.1%00.shop.example"];
    let errors = errors(world, &hosts.map(|host| behind(&receiver, host))).await?;
    ensure!(errors.iter().all(|error| error == "protocol"), "{errors:?}");
    ensure!(receiver.deliveries().is_empty());
    Ok(())
}

/// The first hop is allowed, where it points to is not, in each of the ways to redirect.
async fn redirect_to_a_private_address_is_not_followed(world: &mut World) -> Result<()> {
    let inside = Receiver::start().await?;
    let target = inside.url().replace("127.0.0.1", "127.0.0.2");
    let mut outside = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start().await?;
        receiver.behave(Behaviour::Answer(status, vec![("location".to_owned(), target.clone())]));
        let (endpoint, _) = world.endpoint(&receiver.url()).await?;
        outside.push((status, endpoint, receiver));
    }
    world.start("127.0.0.1/32")?;
    world.announced_event().await?;
    for (status, endpoint, receiver) in &outside {
        let (row, attempts) = world.delivery(endpoint, "a failed attempt", |row| row.attempts == 1).await?;
        ensure!(row.state == "pending" && row.last_error.as_deref() == Some("http_status"), "{row:?}");
        ensure!(attempts[0].status == Some(*status) && receiver.deliveries().len() == 1, "{attempts:?}");
    }
    ensure!(inside.deliveries().is_empty());
    world.stop().await
}
