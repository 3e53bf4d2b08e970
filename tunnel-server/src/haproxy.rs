//! The configuration of a balancer in front of several nodes, for HAProxy 2.4 or later.

use std::fmt::Write as _;
use std::str::FromStr;

use handfast_proto::hybrid::tunnel::RoutingId;
use thiserror::Error;

/// A node as the balancer sees it: `ROUTING=HOST:PORT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    routing: RoutingId,
    address: String,
}

/// Why this is no node.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no routing ID before an equals sign.
    #[error(
        "a node is written as its --node-id, six hex digits, and where it listens: 0a0b0c=HOST:PORT"
    )]
    Routing,
    /// What follows is not where something listens.
    #[error("after the equals sign a host and a port are expected, as in 0a0b0c=10.0.0.7:8080")]
    Address,
}

impl FromStr for Node {
    type Err = NodeError;

    fn from_str(text: &str) -> Result<Self, NodeError> {
        let (routing, address) = text.split_once('=').ok_or(NodeError::Routing)?;
        let routing = RoutingId::parse_hex(routing).map_err(|_| NodeError::Routing)?;
        let address = parse_address(address).ok_or(NodeError::Address)?;
        Ok(Self { routing, address })
    }
}

/// Takes nothing that would mean something else in a configuration.
fn parse_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    let port = port.parse::<u16>().ok();
    let port = port.filter(|port| is_number && *port > 0)?;
    let is_name = |host: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        !host.is_empty() && host.chars().all(allowed)
    };
    if is_name(host) {
        return Some(format!("{}:{port}", host.to_ascii_lowercase()));
    }
    let bare = host.strip_prefix('[')?.strip_suffix(']')?;
    let address = bare.parse::<std::net::Ipv6Addr>().ok()?;
    Some(format!("[{address}]:{port}"))
}

/// What a balancer is to do.
#[derive(Clone, Debug)]
pub struct Balancer {
    /// Where it listens, in HAProxy's own form.
    pub bind: String,
    /// Seconds that a tunnel may live.
    pub lifetime: u64,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// Why there can be no such balancer.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BalancerError {
    /// Two nodes would get the clients of each other.
    #[error("two nodes have the routing ID {0}")]
    SameRouting(String),
    /// One process cannot be two nodes.
    #[error("two nodes are at {0}")]
    SameAddress(String),
}

impl Balancer {
    /// Writes the configuration.
    ///
    /// # Errors
    ///
    /// [`BalancerError`].
    pub fn configuration(&self) -> Result<String, BalancerError> {
        for (place, node) in self.nodes.iter().enumerate() {
            let others = self.nodes.get(place + 1..).unwrap_or_default();
            if others.iter().any(|other| other.routing == node.routing) {
                return Err(BalancerError::SameRouting(node.name()));
            }
            if others.iter().any(|other| other.address == node.address) {
                return Err(BalancerError::SameAddress(node.address.clone()));
            }
        }
        let mut text = HEAD.replace("LIFETIME", &(self.lifetime + 60).to_string());
        // Writing to a string cannot fail.
        let _ = write!(text, "\nfrontend relay\n    bind {}\n{FRONTEND}", self.bind);
        for node in &self.nodes {
            let name = node.name();
            let _ = writeln!(
                text,
                "    use_backend node-{name} if joins {{ path,field(4,/) -i -m str {name} }}"
            );
        }
        let _ = write!(text, "{PHONES}");
        for node in &self.nodes {
            let _ = writeln!(text, "    server {} {} check", node.name(), node.address);
        }
        text.push_str(NODES);
        for node in &self.nodes {
            let name = node.name();
            let _ = write!(
                text,
                "\nbackend node-{name}\n    server {name} {}\n",
                node.address
            );
        }
        Ok(text)
    }
}

impl Node {
    fn name(&self) -> String {
        self.routing.to_hex().to_ascii_lowercase()
    }
}

const HEAD: &str = "\
# HAProxy for several nodes of handfast-relay. Written by `handfast-relay haproxy-config`.
#
# Put it behind the section `global` of your haproxy.cfg. Start each node with its --node-id, and with
# this machine's address as --trusted-proxy.
# As many connections are taken as the limit of open files allows: two for each side of a tunnel.

defaults
    mode http
    timeout http-request 10s
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    # Longer than a tunnel may live at its node.
    timeout tunnel LIFETIMEs
    timeout client-fin 5s
    retries 3
    option redispatch 1
";

const FRONTEND: &str = "    \
    # What a client says of itself is not believed.
    http-request set-header X-Forwarded-For %[src]
    acl joins path_beg /cable/connect/
    acl begins path_beg /cable/new/
    acl watches path /healthz /readyz
    use_backend phones if begins or watches
    # The path tells which node has the tunnel.
";

const PHONES: &str = "    \
    default_backend nowhere

# A phone may go to any node that is ready. One that drains says 503, one that is gone says nothing;
# then the next is asked, and that one only when a look says again that it is ready.
backend phones
    balance leastconn
    retry-on conn-failure empty-response 503
    option httpchk GET /readyz
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 observe layer7 error-limit 1 on-error mark-down
";

const NODES: &str = "
backend nowhere
    http-request return status 404

# A client goes to its node whether that is ready for new tunnels or not.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(nodes: &[&str]) -> Balancer {
        Balancer {
            bind: ":443".to_owned(),
            lifetime: 900,
            nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_node_is_a_routing_id_and_an_address_and_nothing_else() {
        for good in [
            "0A0b0c=10.0.0.7:8080",
            "000000=node-1.example:1",
            "ffffff=[::1]:65535",
        ] {
            good.parse::<Node>().unwrap();
        }
        for (bad, wanted) in [
            ("", NodeError::Routing),
            ("10.0.0.7:8080", NodeError::Routing),
            ("0a0b=10.0.0.7:8080", NodeError::Routing),
            ("0a0b0c=10.0.0.7", NodeError::Address),
            ("0a0b0c=10.0.0.7:0", NodeError::Address),
            ("0a0b0c=a:+1", NodeError::Address),
            ("0a0b0c=:80", NodeError::Address),
            ("0a0b0c=::1:80", NodeError::Address),
            ("0a0b0c=a b:80", NodeError::Address),
            ("0a0b0c=a\n    stats enable:80", NodeError::Address),
        ] {
            assert_eq!(bad.parse::<Node>(), Err(wanted), "{bad}");
        }
    }

    #[test]
    fn nodes_have_places_of_their_own() {
        let same = balancer(&["0a0b0c=a:1", "0A0B0C=b:1"]).configuration();
        assert_eq!(same, Err(BalancerError::SameRouting("0a0b0c".to_owned())));
        for (one, other, told) in [("a:1", "A:01", "a:1"), ("[::1]:2", "[0:0::1]:2", "[::1]:2")] {
            let nodes = [format!("0a0b0c={one}"), format!("0a0b0d={other}")];
            let same = balancer(&nodes.each_ref().map(String::as_str)).configuration();
            assert_eq!(same, Err(BalancerError::SameAddress(told.to_owned())));
        }
        let text = balancer(&["0A0B0C=a:1", "0a0b0d=b:1"])
            .configuration()
            .unwrap();
        for line in [
            "    bind :443",
            "    timeout tunnel 960s",
            "    use_backend node-0a0b0c if joins { path,field(4,/) -i -m str 0a0b0c }",
            "    server 0a0b0d b:1 check",
            "backend node-0a0b0d",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
