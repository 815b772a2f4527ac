//! Where a request comes from: `SourceIPs` of `k8s.io/apimachinery/pkg/util/net/http.go`.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;

/// Most addresses of one request: what a client says in a header is not to fill the log.
const MAX: usize = 32;

/// The addresses that proxies tell, the client first, then the other end of the connection. Only the
/// last one is sure; what is no address is left out.
pub(super) fn source_ips(headers: &HeaderMap, peer: IpAddr) -> Vec<IpAddr> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text("x-forwarded-for").unwrap_or_default().split(',');
    let forwarded = forwarded.filter_map(|part| parse(part.trim()));
    let mut found: Vec<IpAddr> = forwarded.take(MAX).collect();
    let real = text("x-real-ip").and_then(parse);
    found.extend(real.filter(|real| !found.contains(real)));
    let peer = peer.to_canonical();
    if found.last() != Some(&peer) {
        found.push(peer);
    }
    found
}

/// Go's `ParseIPSloppy`: as usual, but octets may have leading zeros.
fn parse(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let octets: Option<Vec<u8>> = text
        .split('.')
        .map(|octet| {
            let is_number = !octet.is_empty() && octet.bytes().all(|c| c.is_ascii_digit());
            let digits = octet.trim_start_matches('0');
            let digits = if digits.is_empty() { "0" } else { digits };
            is_number.then(|| digits.parse().ok()).flatten()
        })
        .collect();
    let octets: [u8; 4] = octets?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// X9: the chain of proxies, then the connection; nothing twice, nothing that is no address.
    #[rstest]
    #[case::connection_alone("", "", "9.9.9.9", "9.9.9.9")]
    #[case::chain("1.1.1.1, 2.2.2.2", "", "9.9.9.9", "1.1.1.1 2.2.2.2 9.9.9.9")]
    #[case::real_address("", "3.3.3.3", "9.9.9.9", "3.3.3.3 9.9.9.9")]
    #[case::all(
        "1.1.1.1,2.2.2.2",
        "3.3.3.3",
        "9.9.9.9",
        "1.1.1.1 2.2.2.2 3.3.3.3 9.9.9.9"
    )]
    #[case::real_is_in_the_chain(
        "1.1.1.1, 2.2.2.2",
        "1.1.1.1",
        "9.9.9.9",
        "1.1.1.1 2.2.2.2 9.9.9.9"
    )]
    #[case::connection_is_the_last("1.1.1.1, 9.9.9.9", "", "9.9.9.9", "1.1.1.1 9.9.9.9")]
    #[case::connection_is_an_earlier_one(
        "9.9.9.9, 1.1.1.1",
        "",
        "9.9.9.9",
        "9.9.9.9 1.1.1.1 9.9.9.9"
    )]
    #[case::no_addresses("a, 1.1.1.300, <script>, 1.1.1.1:80", "b", "9.9.9.9", "9.9.9.9")]
    #[case::leading_zeros("010.0.00.1", "", "9.9.9.9", "10.0.0.1 9.9.9.9")]
    #[case::version_six("::1, ::ffff:1.2.3.4", "", "2001:db8::1", "::1 1.2.3.4 2001:db8::1")]
    #[case::mapped_connection("", "", "::ffff:9.9.9.9", "9.9.9.9")]
    fn the_source_is_the_chain_of_proxies(
        #[case] forwarded: &str,
        #[case] real: &str,
        #[case] peer: &str,
        #[case] expected: &str,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-forwarded-for", forwarded), ("x-real-ip", real)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let found = source_ips(&headers, peer.parse().unwrap());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn a_long_chain_is_cut() {
        let chain = vec!["1.1.1.1"; 10 * MAX].join(",");
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-forwarded-for"),
            chain.parse().unwrap(),
        )]);
        let found = source_ips(&headers, Ipv4Addr::LOCALHOST.into());
        assert_eq!(found.len(), MAX + 1);
        assert_eq!(found.last(), Some(&Ipv4Addr::LOCALHOST.into()));
    }
}
