//! The flags of auditing.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use http::{Method, Request};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
    time::timeout,
};

use super::{DEFAULT, Server, get, send, write};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
    - level: None\n  nonResourceURLs: [/healthz*]\n- level: RequestResponse\n";

fn events(log: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(log)?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// X9: when the server has stopped, every request stands in the file, and no credential.
#[tokio::test]
async fn all_requests_are_in_the_file_when_it_has_stopped() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (policy, log) = (
        directory.path().join("policy"),
        directory.path().join("log"),
    );
    fs::write(&policy, POLICY)?;
    let flag = |name: &str, path: &Path| format!("--audit-{name}={}", path.display());
    let flags = [flag("policy-file", &policy), flag("log-path", &log)];
    let mut server = Server::start_with(&flags).await?;
    let admin = server.admin().await?;
    let record = json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": "audited"}, "spec": {"source": "test"}});
    let made = write(&admin, Method::POST, DEFAULT, &record).await?;
    get(&admin, "/healthz").await?;
    let token = Request::get(DEFAULT)
        .header("authorization", "Bearer very-secret")
        .body(Vec::new())?;
    assert_eq!(send(&server.nobody().await?, token).await?.code, 401);

    let id = server.process.id().context("it runs")?;
    kill(Pid::from_raw(id.try_into()?), Signal::SIGTERM)?;
    assert!(server.process.wait().await?.success());
    let events = events(&log)?;
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(events[0]["auditID"], made.headers["audit-id"].to_str()?);
    assert_eq!(events[0]["objectRef"]["name"], "audited");
    assert_eq!(events[0]["requestObject"], record);
    assert_eq!(events[0]["responseObject"], made.json());
    assert_eq!(events[1]["responseStatus"]["code"], 401);
    assert!(!fs::read_to_string(&log)?.contains("very-secret"));
    Ok(())
}

/// The body of the one request that comes, which is answered with 200.
async fn one_request(listener: TcpListener) -> anyhow::Result<Value> {
    let (stream, _) = listener.accept().await?;
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// X9: what waits for a batch to be full is sent when the server stops.
#[tokio::test]
async fn a_webhook_gets_the_last_events_when_the_server_stops() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (policy, config) = (
        directory.path().join("policy"),
        directory.path().join("config"),
    );
    fs::write(&policy, POLICY)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let kubeconfig = json!({"current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": ""}}],
        "clusters": [{"name": "x", "cluster": {"server": url}}]});
    fs::write(&config, kubeconfig.to_string())?;
    let received = tokio::spawn(one_request(listener));
    let flags = [
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-webhook-config-file={}", config.display()),
        "--audit-webhook-batch-max-wait=1h".to_owned(),
    ];
    let mut server = Server::start_with(&flags).await?;
    let admin = server.admin().await?;
    for _ in 0..3 {
        assert_eq!(get(&admin, DEFAULT).await?.code, 200);
    }
    let id = server.process.id().context("it runs")?;
    kill(Pid::from_raw(id.try_into()?), Signal::SIGTERM)?;
    assert!(server.process.wait().await?.success());
    let list = timeout(Duration::from_secs(20), received).await???;
    assert_eq!(list["kind"], "EventList");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3));
    Ok(())
}

/// X9: a policy that is wrong ends the process at its start with the field and the remedy.
#[tokio::test]
async fn a_wrong_policy_is_told_at_the_start() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let policy = directory.path().join("policy.yaml");
    fs::write(&policy, POLICY.replace("level: None", "level: none"))?;
    let output = Command::new(env!("CARGO_BIN_EXE_extension-apiserver"))
        .args(["--standalone", "--secure-port=0", "--audit-log-path=-"])
        .arg(format!("--audit-policy-file={}", policy.display()))
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr)?;
    let expected = format!(
        "cannot use the audit policy {}: rules[0].level: none is none of None, Metadata, Request, \
         RequestResponse",
        policy.display()
    );
    assert!(error.contains(&expected), "{error}");
    Ok(())
}
