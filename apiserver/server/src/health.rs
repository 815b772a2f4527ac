//! `/livez`, `/readyz` and `/healthz`: named checks, as `k8s.io/apiserver/pkg/server/healthz`.

use std::fmt::Write;

use http::{Response, StatusCode};

use crate::{
    request::RequestInfo,
    response::{self, Body},
};

type CheckFunction = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of the server. Liveness has none: a process that answers is alive.
#[derive(Default)]
pub struct Health {
    readiness: Vec<(String, CheckFunction)>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.readiness.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Health {
    /// Adds a check that must pass before traffic is sent here. Its error goes to the log only.
    pub fn add_readiness_check(
        &mut self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.readiness.push((name.into(), Box::new(check)));
    }

    /// The answer for a health path; `None` for other paths.
    pub(crate) fn respond(&self, request: &RequestInfo) -> Option<Response<Body>> {
        let mut parts = request.path.strip_prefix('/')?.splitn(2, '/');
        let endpoint = parts.next()?;
        let checks = match endpoint {
            "livez" => &[][..],
            "readyz" | "healthz" => &self.readiness[..],
            _ => return None,
        };
        let only = parts.next().filter(|name| !name.is_empty());
        let ping: CheckFunction = Box::new(|| Ok(()));
        let ping = ("ping".to_owned(), ping);
        let checks = std::iter::once(&ping).chain(checks);
        let chosen: Vec<_> = checks
            .filter(|(name, _)| only.is_none_or(|o| o == name))
            .collect();
        if chosen.is_empty() {
            return None;
        }
        let excluded: Vec<&str> = request
            .query
            .iter()
            .filter(|(key, _)| key == "exclude")
            .map(|(_, value)| value.as_str())
            .collect();
        Some(report(
            endpoint,
            &chosen,
            &excluded,
            request.parameter("verbose").is_some(),
        ))
    }
}

fn report(
    endpoint: &str,
    checks: &[&(String, CheckFunction)],
    excluded: &[&str],
    verbose: bool,
) -> Response<Body> {
    let mut text = String::new();
    let mut failed = Vec::new();
    for (name, check) in checks {
        let result = if excluded.contains(&name.as_str()) {
            writeln!(text, "[+]{name} excluded: ok")
        } else if let Err(reason) = check() {
            failed.push(format!("{name}: {reason}"));
            writeln!(text, "[-]{name} failed: reason withheld")
        } else {
            writeln!(text, "[+]{name} ok")
        };
        result.expect("writing to a string cannot fail");
    }
    for unknown in excluded
        .iter()
        .filter(|name| checks.iter().all(|(n, _)| n != *name))
    {
        let line =
            format!("warn: some health checks cannot be excluded: no matches for \"{unknown}\"\n");
        text.push_str(&line);
    }
    if !failed.is_empty() {
        tracing::info!(endpoint, failed = failed.join("; "), "health check failed");
        let verdict = format!("{endpoint} check failed\n");
        return response::text(StatusCode::INTERNAL_SERVER_ERROR, text + &verdict);
    }
    if !verbose {
        return response::text(StatusCode::OK, "ok");
    }
    let verdict = format!("{endpoint} check passed\n");
    response::text(StatusCode::OK, text + &verdict)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(path: &str, query: Option<&str>, good: bool) -> Option<(u16, String)> {
        let mut health = Health::default();
        health.add_readiness_check("store", move || {
            if good {
                Ok(())
            } else {
                Err("secret reason".to_owned())
            }
        });
        let response = health.respond(&RequestInfo::parse(&Method::GET, path, query))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Some((status, String::from_utf8(body.to_vec()).unwrap()))
    }

    /// H1: short when all is well, verbose when asked or when not.
    #[tokio::test]
    async fn health_answers_as_kubernetes_does() {
        assert_eq!(
            ask("/readyz", None, true).await,
            Some((200, "ok".to_owned()))
        );
        assert_eq!(
            ask("/readyz", Some("verbose"), true).await,
            Some((
                200,
                "[+]ping ok\n[+]store ok\nreadyz check passed\n".to_owned()
            ))
        );
        let failed = "[+]ping ok\n[-]store failed: reason withheld\nreadyz check failed\n";
        assert_eq!(
            ask("/readyz", None, false).await,
            Some((500, failed.to_owned()))
        );
        assert_eq!(
            ask("/readyz", Some("exclude=store"), false).await,
            Some((200, "ok".to_owned()))
        );
        assert_eq!(
            ask("/readyz/ping", None, false).await,
            Some((200, "ok".to_owned()))
        );
        assert_eq!(ask("/readyz/nothing", None, true).await, None);
    }

    /// H2: liveness does not depend on the store.
    #[tokio::test]
    async fn a_process_that_is_not_ready_is_alive() {
        assert_eq!(
            ask("/livez", None, false).await,
            Some((200, "ok".to_owned()))
        );
    }
}
