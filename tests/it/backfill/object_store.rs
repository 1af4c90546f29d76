//! Files in an object store, at a real server that speaks S3 and checks signatures.

use std::time::Duration;

use anyhow::Result;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;
use tokio::net::TcpListener;
use touchstone_tests::{Backend, touchstone_with};

use super::fixture::{Shop, ago, counts, csv, order};

const KEY: &str = "AKIDBACKFILL";
const SECRET: &str = "a secret of the test";

/// Serves a folder as buckets, until the test ends.
async fn serve(root: &std::path::Path) -> Result<String> {
    let files = s3s_fs::FileSystem::new(root).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(async move { served.await.map_err(drop) });
        }
    });
    Ok(endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_read_with_the_usual_credentials_and_not_with_others() -> Result<()> {
    let backend = Backend::embedded()?;
    let shop = Box::pin(Shop::open(&backend)).await?;
    let orders: Vec<Value> = (0..3_000).map(|number| order(number, ago(Duration::from_secs(3_600)))).collect();
    std::fs::create_dir_all(shop.path("buckets/shop/2026"))?;
    shop.write("buckets/shop/2026/orders.csv", csv(&orders))?;
    let endpoint = serve(&shop.path("buckets")).await?;
    let with_secret = |secret: &str| {
        [
            ("AWS_ENDPOINT_URL", endpoint.clone()),
            ("AWS_REGION", "eu-north-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ]
    };
    let read = async |secret: &str, url: &str| {
        let call = [shop.call(&[url]), vec!["--json"]].concat();
        touchstone_with(&backend, &with_secret(secret), &call).await
    };
    let printed = read(SECRET, "s3://shop/2026/orders.csv").await?;
    let answer: Value = serde_json::from_str(&printed.stdout)?;
    assert_eq!((printed.code, counts(&answer)), (Some(0), [3_000, 0, 0]), "{printed:?}");
    for (secret, url) in
        [("wrong", "s3://shop/2026/orders.csv"), (SECRET, "s3://shop/nothing.csv"), (SECRET, "s3://shop")]
    {
        let printed = read(secret, url).await?;
        assert_eq!(printed.code, Some(1), "{url}: {printed:?}");
        assert!(!printed.stdout.contains(SECRET) && !printed.stderr.contains(SECRET), "{printed:?}");
    }
    assert_eq!(shop.count("backfilled").await?, 3_000);
    Ok(())
}
