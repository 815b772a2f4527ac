//! Where traces go, and of how many requests.

use serde_json::Value;

use crate::fields::Fields;

const API_VERSIONS: [&str; 3] = [
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1beta1",
    "apiserver.config.k8s.io/v1alpha1",
];
const ENDPOINT_DEFAULT: &str = "localhost:4317";
const SAMPLING_RATE_MAX: u32 = 1_000_000;

/// A `TracingConfiguration` of `apiserver.config.k8s.io`, as `--tracing-config-file` of
/// kube-apiserver reads it. Deviation: no sockets of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingConfiguration {
    /// Host and port of the collector, which speaks OTLP over gRPC without TLS.
    pub(super) endpoint: String,
    /// How many of a million requests are traced that do not belong to a trace already.
    pub(super) sampling_rate_per_million: u32,
}

impl TracingConfiguration {
    /// Reads a configuration from YAML or JSON.
    ///
    /// # Errors
    /// A sentence that names the field that is wrong, and what to write instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut fields = Fields::of_document(bytes, &API_VERSIONS, "TracingConfiguration")?;
        let endpoint = endpoint(&fields.text("endpoint")?)?;
        let sampling_rate_per_million = sampling_rate(fields.take("samplingRatePerMillion"))?;
        fields.end()?;
        Ok(Self {
            endpoint,
            sampling_rate_per_million,
        })
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(ENDPOINT_DEFAULT.to_owned());
    }
    let address = match text.split_once("://") {
        None => text,
        Some(("dns", address)) => address.trim_start_matches('/'),
        Some(_) => "",
    };
    let is_address = address.parse::<http::uri::Authority>();
    match is_address {
        Ok(authority) if authority.port_u16().is_some() => Ok(address.to_owned()),
        _ => Err(format!(
            "endpoint: must be the host and port of a collector, such as {ENDPOINT_DEFAULT}, not {text:?}"
        )),
    }
}

fn sampling_rate(value: Option<Value>) -> Result<u32, String> {
    let Some(value) = value else { return Ok(0) };
    let rate = value.as_u64().and_then(|rate| u32::try_from(rate).ok());
    rate.filter(|rate| *rate <= SAMPLING_RATE_MAX).ok_or_else(|| {
        format!("samplingRatePerMillion: must be a whole number from 0 to {SAMPLING_RATE_MAX}, not {value}")
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n";

    fn parse(rest: &str) -> Result<TracingConfiguration, String> {
        TracingConfiguration::parse(format!("{HEAD}{rest}").as_bytes())
    }

    #[rstest]
    #[case::nothing("", "localhost:4317", 0)]
    #[case::both("endpoint: otel:4317\nsamplingRatePerMillion: 500\n", "otel:4317", 500)]
    #[case::scheme("endpoint: dns:///otel.x.svc:4317\n", "otel.x.svc:4317", 0)]
    #[case::all("samplingRatePerMillion: 1000000\n", "localhost:4317", 1_000_000)]
    fn a_configuration_is_read(#[case] rest: &str, #[case] endpoint: &str, #[case] rate: u32) {
        let expected = TracingConfiguration {
            endpoint: endpoint.to_owned(),
            sampling_rate_per_million: rate,
        };
        assert_eq!(parse(rest), Ok(expected));
    }

    #[rstest]
    #[case::port("endpoint: otel\n", "endpoint: must be the host and port")]
    #[case::socket(
        "endpoint: unix:///run/otel.sock\n",
        "endpoint: must be the host and port"
    )]
    #[case::tls("endpoint: https://otel:4317\n", "endpoint: must be the host and port")]
    #[case::negative(
        "samplingRatePerMillion: -1\n",
        "samplingRatePerMillion: must be a whole"
    )]
    #[case::too_many(
        "samplingRatePerMillion: 1000001\n",
        "samplingRatePerMillion: must be a"
    )]
    #[case::misspelt(
        "samplingRate: 5\n",
        "samplingRate: there is no such field: use one of"
    )]
    fn a_mistake_is_named(#[case] rest: &str, #[case] expected: &str) {
        let error = parse(rest).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn another_kind_is_refused() {
        let error = TracingConfiguration::parse(b"apiVersion: v1\nkind: Pod\n").unwrap_err();
        assert!(
            error.starts_with("apiVersion: must be apiserver.config.k8s.io/v1 or"),
            "{error}"
        );
    }
}
