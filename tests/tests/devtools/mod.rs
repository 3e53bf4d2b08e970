//! As much of the DevTools protocol as the browser test needs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const PATIENCE: Duration = Duration::from_secs(30);

/// A headless browser with a profile of its own. Killed when this is dropped.
pub(crate) struct Browser {
    child: Child,
    address: String,
}

impl Browser {
    pub(crate) async fn start(chromium: &Path, profile: &Path) -> Self {
        let mut child = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--enable-features=WebAuthenticationCmtgKey",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return url.trim().to_owned();
                }
            }
            panic!("chromium ended before it listened");
        })
        .await
        .unwrap();
        // A full pipe would stop the browser.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    /// Opens a page.
    pub(crate) async fn page(&self) -> Page {
        let host = self
            .address
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .unwrap();
        let stream = TcpStream::connect(host).await.unwrap();
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, _) = client_async_with_config(&self.address, stream, Some(config))
            .await
            .unwrap();
        let mut page = Page {
            socket,
            session: None,
            count: 0,
        };
        let target = page
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", attach).await;
        page.session = Some(attached["sessionId"].clone());
        page.call("Page.enable", json!({})).await;
        page
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// One page of the browser.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    session: Option<Value>,
    count: u64,
}

impl Page {
    /// Calls a DevTools method and returns its result.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let mut message = json!({"id": self.count, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
        timeout(PATIENCE, async {
            loop {
                let Message::Text(text) = self.socket.next().await.unwrap().unwrap() else {
                    continue;
                };
                let reply: Value = serde_json::from_str(&text).unwrap();
                if reply["id"] == self.count {
                    assert!(reply.get("error").is_none(), "{method}: {}", reply["error"]);
                    return reply["result"].clone();
                }
            }
        })
        .await
        .unwrap()
    }

    /// Adds a virtual phone-like authenticator with trust-group keys and returns its name.
    pub(crate) async fn add_authenticator(&mut self, transport: &str) -> String {
        let options = json!({
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": transport,
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
            "automaticPresenceSimulation": true,
            "defaultBackupEligibility": true,
            "defaultBackupState": true,
            "hasCmtgKey": true,
        });
        let added = self.call(
            "WebAuthn.addVirtualAuthenticator",
            json!({"options": options}),
        );
        added.await["authenticatorId"].as_str().unwrap().to_owned()
    }

    /// Lets the authenticator's person touch it, or leave it alone.
    pub(crate) async fn presence(&mut self, authenticator: &str, enabled: bool) {
        let params = json!({"authenticatorId": authenticator, "enabled": enabled});
        self.call("WebAuthn.setAutomaticPresenceSimulation", params)
            .await;
    }

    /// The passkeys in an authenticator.
    pub(crate) async fn credentials(&mut self, authenticator: &str) -> Vec<Value> {
        let params = json!({"authenticatorId": authenticator});
        let found = self.call("WebAuthn.getCredentials", params).await;
        found["credentials"].as_array().unwrap().clone()
    }

    /// Adds a passkey as sync does: without the trust-group keys of the device that it came from.
    pub(crate) async fn add_credential(&mut self, authenticator: &str, mut credential: Value) {
        let members = credential.as_object_mut().unwrap();
        members.retain(|name, _| !name.to_lowercase().contains("cmtg"));
        let params = json!({"authenticatorId": authenticator, "credential": credential});
        self.call("WebAuthn.addCredential", params).await;
    }

    pub(crate) async fn wait_for_credentials(&mut self, authenticator: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.credentials(authenticator).await.len() != count {
            assert!(
                Instant::now() < deadline,
                "there never were {count} passkeys"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url})).await;
        self.wait_for("document.readyState === 'complete' && !!document.body.dataset.view")
            .await;
    }

    /// Evaluates an expression, waiting for a promise.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let result = self.call("Runtime.evaluate", params).await;
        assert!(
            result.get("exceptionDetails").is_none(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    pub(crate) async fn wait_for(&mut self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(&format!("!!({condition})")).await != json!(true) {
            if Instant::now() > deadline {
                let page = self.eval("document.body.innerText").await;
                panic!("{condition} did not come; the page says: {page}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page shows this part of itself.
    pub(crate) async fn shows(&mut self, view: &str) {
        self.wait_for(&format!("document.body.dataset.view === '{view}'"))
            .await;
    }

    pub(crate) async fn click(&mut self, selector: &str) {
        self.wait_for(&format!(
            "!document.querySelector({}).disabled",
            json!(selector)
        ))
        .await;
        self.eval(&format!(
            "document.querySelector({}).click()",
            json!(selector)
        ))
        .await;
    }

    pub(crate) async fn type_into(&mut self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.eval(&format!(
            "document.querySelector({selector}).value = {text}"
        ))
        .await;
    }

    pub(crate) async fn view(&mut self) -> String {
        self.eval("document.body.dataset.view")
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The site's last decision, as the page keeps it for its reader.
    pub(crate) async fn decision(&mut self) -> Value {
        let text = self.eval("document.body.dataset.decision").await;
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    }
}
