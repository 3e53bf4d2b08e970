//! Three nodes behind a real HAProxy, with the configuration that the program writes.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{PATIENCE, Relay, Socket, binary, bytes};
use crate::program::{fetch, port, signal, start_with};
use crate::tls::certify;

const NODES: [&str; 3] = ["00000a", "00000b", "00000c"];

/// Whether there is an HAProxy; says so if there is none.
async fn is_there() -> bool {
    let version = Command::new("haproxy").arg("-v").output().await;
    let there = version.is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("HANDFAST_REQUIRE_HAPROXY").is_none());
        println!("skipped: there is no haproxy");
    }
    there
}

async fn node(name: &str) -> (Child, u16) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--node-id", name];
    let (child, said) = start_with(":", &arguments, 1).await;
    (child, port(&said[0]))
}

/// Starts HAProxy on a free port in front of these nodes, with this configuration.
async fn balancer(folder: &Path, nodes: &[(&str, u16)]) -> (Child, Relay) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    // The third descriptor is the socket above: so the port is surely free.
    program.args(["haproxy-config", "--no-tls", "--listen", "fd@3"]);
    let named = |(name, port): &(&str, u16)| format!("{name}=127.0.0.1:{port}");
    let written = program.args(nodes.iter().map(named)).output();
    let written = written.await.unwrap();
    assert!(written.status.success());
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, written.stdout).unwrap();
    let child = Command::new("sh")
        .args(["-c", "exec haproxy -db -f \"$0\" 3<&0 <&-"])
        .arg(&file)
        .stdin(OwnedFd::from(socket.into_std().unwrap()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, Relay::of_program(port))
}

/// A tunnel through the balancer, of which the client may be missing.
struct Pair {
    name: String,
    phone: Socket,
    client: Option<Socket>,
}

/// Makes phones, and says at which node each is.
async fn phones(relay: &Relay, from: u8, count: u8) -> HashMap<String, Vec<Pair>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for number in from..from + count {
        let name = format!("{number:02X}").repeat(16);
        let opened = relay.open(&format!("/cable/new/{name}")).await;
        let (phone, routing) = opened.unwrap();
        let node = routing.unwrap().to_ascii_lowercase();
        found.entry(node).or_default().push(Pair {
            name,
            phone,
            client: None,
        });
    }
    found
}

impl Pair {
    async fn join(&mut self, relay: &Relay, node: &str) {
        let path = format!("/cable/connect/{node}/{}", self.name);
        self.client = Some(relay.open(&path).await.unwrap().0);
    }

    async fn works(&mut self) {
        let client = self.client.as_mut().unwrap();
        for message in [&b"there"[..], &[7; 30_000]] {
            self.phone.send(binary(message)).await.unwrap();
            assert_eq!(bytes(client).await, message);
            client.send(binary(b"and back")).await.unwrap();
            assert_eq!(bytes(&mut self.phone).await, b"and back");
        }
    }

    /// Whether both sides learn that it is over.
    async fn has_ended(self) {
        for mut side in [Some(self.phone), self.client].into_iter().flatten() {
            let end = async { while let Some(Ok(_)) = side.next().await {} };
            timeout(PATIENCE, end).await.unwrap();
        }
    }
}

#[tokio::test]
async fn several_nodes_behind_a_balancer_are_called_good() {
    if !is_there().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_one, first) = node(NODES[0]).await;
    let (_other, second) = node(NODES[1]).await;
    let nodes = [(NODES[0], first), (NODES[1], second)];
    let (_balancer, relay) = balancer(folder.path(), &nodes).await;
    assert!(
        fetch(relay.port, "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    let url = format!("ws://127.0.0.1:{}", relay.port);
    let output = timeout(2 * PATIENCE, program.args(["check", &url]).output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("harm nobody (there are several nodes)"),
        "{said}"
    );
}

#[tokio::test]
async fn the_configuration_with_tls_is_one_that_haproxy_takes() {
    if !is_there().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    let pem = folder.path().join("both.pem");
    std::fs::write(&pem, [read("cert.pem"), read("key.pem")].concat()).unwrap();
    let pem = pem.to_str().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    program.args(["haproxy-config", "--tls-pem", pem, "0a0b0c=node.invalid:1"]);
    let written = program.args(["0a0b0d=[::1]:2"]).output().await.unwrap();
    let text = String::from_utf8(written.stdout).unwrap();
    // Names are looked up when HAProxy starts.
    let text = text.replace("node.invalid", "127.0.0.1");
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut haproxy = Command::new("haproxy");
    let checked = haproxy
        .arg("-c")
        .arg("-f")
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn a_node_that_drains_or_dies_takes_nobody_elses_tunnels_along() {
    if !is_there().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut drained, first) = node(NODES[0]).await;
    let (mut killed, second) = node(NODES[1]).await;
    let (_kept, third) = node(NODES[2]).await;
    let nodes = [(NODES[0], first), (NODES[1], second), (NODES[2], third)];
    let (_balancer, relay) = balancer(folder.path(), &nodes).await;

    let mut tunnels = phones(&relay, 0, 12).await;
    assert_eq!(tunnels.len(), 3, "tunnels spread");
    // One phone at each node still waits when the others are joined.
    let mut waiting = HashMap::new();
    for (node, pairs) in &mut tunnels {
        assert!(pairs.len() >= 2, "{node} has {} tunnels", pairs.len());
        waiting.insert(node.clone(), pairs.pop().unwrap());
        for (pair, path) in pairs
            .iter_mut()
            .zip([node.to_uppercase(), node.clone()].iter().cycle())
        {
            pair.join(&relay, path).await;
            pair.works().await;
        }
    }
    let stray = format!("/cable/connect/00000d/{}", "00".repeat(16));
    assert_eq!(relay.open(&stray).await.err(), Some(404));
    assert!(
        fetch(relay.port, "/metrics")
            .await
            .starts_with("HTTP/1.1 404")
    );

    signal(&drained, "TERM").await;
    timeout(PATIENCE, async {
        while fetch(first, "/readyz").await.starts_with("HTTP/1.1 200") {}
    })
    .await
    .unwrap();
    // At once, before the balancer has looked again.
    let later = phones(&relay, 20, 6).await;
    assert!(
        !later.contains_key(NODES[0]),
        "a phone is at a node that drains"
    );
    for pair in tunnels.values_mut().flatten() {
        pair.works().await;
    }
    let mut late = waiting.remove(NODES[0]).unwrap();
    late.join(&relay, NODES[0]).await;
    late.works().await;

    killed.kill().await.unwrap();
    for pair in tunnels.remove(NODES[1]).unwrap() {
        pair.has_ended().await;
    }
    waiting.remove(NODES[1]).unwrap().has_ended().await;
    for pair in tunnels.values_mut().flatten().chain([&mut late]) {
        pair.works().await;
    }
    let last = phones(&relay, 40, 4).await;
    assert_eq!(last.keys().collect::<Vec<_>>(), [NODES[2]]);

    drop((late, tunnels.remove(NODES[0])));
    let status = timeout(PATIENCE, drained.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    for pair in tunnels.values_mut().flatten() {
        pair.works().await;
    }
}
