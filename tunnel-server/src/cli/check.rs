//! `handfast-relay check`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use super::failure::CliError;
use crate::check::{Finding, Target, Verdict, examine};

/// Options of `check`.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The relay: wss://HOST[:PORT], or ws://HOST:PORT without TLS.
    #[arg(value_name = "URL")]
    relay: Target,
    /// An additional trust anchor for its certificate.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Also stay in a tunnel so long without a word, which finds proxies that do not wait. A client
    /// may be silent for 180 seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=3600))]
    idle: u64,
    /// Print JSON, an object on a line for each finding.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(check: &Check) -> Result<(), CliError> {
    let roots = Arc::new(roots(check.ca_file.as_deref())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    let mut out = std::io::stdout();
    let mut tell = |finding: &Finding| {
        // Who reads may have read enough.
        let _ = match check.json {
            true => writeln!(out, "{}", as_json(finding)),
            false => writeln!(out, "{}", words(finding)),
        };
    };
    let idle = Duration::from_secs(check.idle);
    match runtime.block_on(examine(&check.relay, &roots, idle, &mut tell)) {
        true => {
            if !check.json {
                let _ = writeln!(std::io::stdout(), "The relay is good.");
            }
            Ok(())
        }
        false => Err(CliError::NotGood),
    }
}

/// The system's trust anchors and those of a file.
fn roots(additional: Option<&Path>) -> Result<RootCertStore, CliError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = additional {
        let unusable = |reason: String| CliError::CaFile(path.to_owned(), reason);
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        for certificate in certificates {
            let added = roots.add(certificate);
            added.map_err(|error| unusable(error.to_string()))?;
        }
    }
    // The system's store may hold what no parser takes; an additional file may not.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(roots)
}

fn words(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Good => "✓",
        Verdict::Noted => "·",
        Verdict::Bad => "✗",
    };
    let line = format!("{mark} {}: {}", finding.about, finding.seen);
    match finding.hint {
        Some(hint) => format!("{line}\n  {hint}"),
        None => line,
    }
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let verdict = match finding.verdict {
        Verdict::Good => "good",
        Verdict::Noted => "noted",
        Verdict::Bad => "bad",
    };
    json!({
        "about": finding.about,
        "verdict": verdict,
        "seen": finding.seen,
        "hint": finding.hint,
    })
}
