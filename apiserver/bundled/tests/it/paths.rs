//! What is served beside objects, what is not, and to whom.

use anyhow::{Context, Result};
use http::Request;

use super::{DEFAULT, Server, get, send};

/// P8: the build, in the fields that clients decode.
#[tokio::test]
async fn the_version_says_what_runs() -> Result<()> {
    let server = Server::start().await?;
    let version = get(&server.admin().await?, "/version").await?;
    assert_eq!(version.code, 200);
    for field in ["major", "minor", "gitVersion", "compiler", "platform"] {
        let value = version.json()[field]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(!value.is_empty(), "{field}: {}", version.json());
    }
    for field in ["gitCommit", "gitTreeState", "buildDate", "goVersion"] {
        assert!(version.json()[field].is_string(), "{field}");
    }
    Ok(())
}

/// P10, P11: what is not served is 404, and who may not know gets 403 as for everything else.
#[tokio::test]
async fn paths_that_are_not_served_are_behind_authorization() -> Result<()> {
    let server = Server::start().await?;
    let (admin, nobody) = (server.admin().await?, server.nobody().await?);
    for path in [
        "/",
        "/index.html",
        "/api",
        "/anything/else",
        "/metrics/slis",
        "/debug/pprof/",
        "/debug/pprof/profile",
        "/debug/flags/v",
        "/statusz",
        "/flagz",
    ] {
        let answer = get(&admin, path).await?;
        assert_eq!(answer.error(), (404, "NotFound".to_owned()), "{path}");
        let refused = get(&nobody, path).await?;
        assert_eq!(refused.error(), (403, "Forbidden".to_owned()), "{path}");
    }
    Ok(())
}

/// H4, P7: readiness asks for the server's own cache and nothing outside.
#[tokio::test]
async fn readiness_depends_on_the_servers_own_store() -> Result<()> {
    let server = Server::start().await?;
    let nobody = server.nobody().await?;
    let body = get(&nobody, "/readyz?verbose").await?.body;
    let checks = "[+]ping ok\n[+]shutdown ok\n[+]storage ok\n[+]watch-cache-datarecords.v1alpha1.data.kubedojo.io ok\n\
        readyz check passed\n";
    assert_eq!(String::from_utf8(body)?, checks);
    for path in ["/livez", "/healthz"] {
        assert_eq!(get(&nobody, path).await?.body, b"ok", "{path}");
    }
    Ok(())
}

/// W9: a watch needs the permission to watch, and tells nothing before.
#[tokio::test]
async fn a_watch_is_authorized_as_a_watch() -> Result<()> {
    let server = Server::start().await?;
    let nobody = server.nobody().await?;
    let prefix = DEFAULT.replace("/v1alpha1/", "/v1alpha1/watch/");
    for target in [format!("{DEFAULT}?watch=true"), prefix] {
        let refused = get(&nobody, &target).await?;
        assert_eq!(refused.error(), (403, "Forbidden".to_owned()), "{target}");
        let message = refused.json()["message"].to_string();
        assert!(message.contains("cannot watch resource"), "{message}");
    }
    Ok(())
}

/// N8, L4, R1: the pages of a Table lead on to the last row.
#[tokio::test]
async fn pages_of_a_table_lead_to_all_rows() -> Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let (mut rows, mut next) = (Vec::new(), String::new());
    for remaining in [Some(2), Some(1), None] {
        let all = "/apis/data.kubedojo.io/v1alpha1/datarecords";
        let request = Request::get(format!("{all}?limit=1&continue={next}"));
        let request = request.header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        let page = send(&admin, request.body(Vec::new())?).await?.json();
        assert_eq!(page["kind"], "Table");
        let cells = page["rows"].as_array().context("rows")?.iter();
        rows.extend(cells.map(|row| row["cells"][0].clone()));
        assert_eq!(page["metadata"]["remainingItemCount"].as_i64(), remaining);
        next = page["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(next.is_empty(), remaining.is_none());
    }
    assert_eq!(rows, ["feature-flags", "user-config", "metrics-config"]);
    Ok(())
}
