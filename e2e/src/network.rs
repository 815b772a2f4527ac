//! Addresses of a node, and free ports on the host.
//!
//! Every node has a network namespace of its own, so all use the same addresses. They come from
//! ranges that are reserved for documentation and benchmarks and are hence never anybody's network.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, Result};

/// The host itself.
pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The node's address.
pub const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
/// The node's name.
pub const NODE_NAME: &str = "node-1";
/// Cluster addresses of Services.
pub const SERVICES: &str = "203.0.113.0/24";
/// The first of [`SERVICES`], which the API server takes for itself.
pub const KUBERNETES_SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
/// Addresses of pods.
pub const PODS: &str = "198.51.100.0/24";

/// Below the ports that Linux gives to outgoing connections (32768 and up), so that no connection
/// takes a port between its choice and the moment when the component listens.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A port on 127.0.0.1 that no other harness process picks while this value lives.
#[derive(Debug)]
pub struct ReservedPort {
    /// The port.
    pub port: u16,
    /// An abstract socket is a lock that is visible to every user and that the kernel releases
    /// when the process ends, however it ends.
    _lock: UnixListener,
}

// === impl ReservedPort ===

impl ReservedPort {
    /// Finds one that is free.
    pub fn find() -> Result<Self> {
        // Different processes begin at different places, so that they rarely meet.
        let start = u16::try_from(std::process::id().wrapping_mul(31) % u32::from(PORTS))?;
        (0..PORTS)
            .map(|step| FIRST_PORT + (start + step) % PORTS)
            .find_map(Self::reserve)
            .context("no free port on 127.0.0.1")
    }

    fn reserve(port: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("extension-api-e2e-port-{port}")).ok()?;
        let lock = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((LOCALHOST, port)).ok()?;
        Some(Self { port, _lock: lock })
    }
}

/// Whether something in the network namespace of `pid` listens on an IPv4 port.
///
/// The kernel's table answers without entering the namespace, and without a connection that the
/// server would log.
pub fn listens(pid: i32, port: u16) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))
        .is_ok_and(|table| table_has_listener(&table, port))
}

fn table_has_listener(table: &str, port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local_matches = fields.next().is_some_and(|local| local.ends_with(&suffix));
        // 0A is TCP_LISTEN.
        local_matches && fields.nth(1) == Some("0A")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_held_differ() {
        let ports: Vec<_> = (0..8).map(|_| ReservedPort::find().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(|port| port.port).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 8);
        assert!(
            numbers
                .iter()
                .all(|port| (FIRST_PORT..FIRST_PORT + PORTS).contains(port))
        );
    }

    #[test]
    fn a_port_that_is_in_use_is_not_reserved() {
        let held = ReservedPort::find().unwrap();
        let listener = TcpListener::bind((LOCALHOST, held.port)).unwrap();
        let port = held.port;
        drop(held);
        assert!(ReservedPort::reserve(port).is_none());
        assert!(listens(std::process::id().cast_signed(), port));
        drop(listener);
    }

    #[test]
    fn only_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:094B 00000000:0000 0A 0:0\n   \
                     1: 0100007F:094C 0100007F:094B 01 0:0\n";
        assert!(table_has_listener(table, 2379));
        assert!(!table_has_listener(table, 2380));
        assert!(!table_has_listener(table, 80));
    }
}
