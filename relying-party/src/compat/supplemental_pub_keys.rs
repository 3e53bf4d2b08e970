//! `supplementalPubKeys` at a relying party (`trust-group.md` §3).

use handfast_proto::cbor::Map;
use handfast_proto::extension::supplemental_pub_keys::{NAME, Scope, signed_output};

use super::Ceremony;
use super::attested_key::{KeyFault, Outcome, Standing};

/// Checks the extension. A signature that does not hold makes all of it invalid; an attestation that
/// does not, at a sign-in, only says nothing of its own key.
pub(super) fn check(
    ceremony: &Ceremony<'_>,
    client: Option<&[Vec<u8>]>,
) -> Outcome<Vec<Standing<Scope>>> {
    let extensions = ceremony.auth_data.extensions.as_ref();
    let signed = extensions.filter(|extensions| extensions.text(NAME).is_some());
    let requested = ceremony.requested.supplemental_pub_keys;
    Outcome::of(requested, signed, client, |signed, signatures| {
        judge(ceremony, signed, signatures)
    })
}

fn judge(
    ceremony: &Ceremony<'_>,
    signed: &Map,
    signatures: &[Vec<u8>],
) -> Result<Vec<Standing<Scope>>, KeyFault> {
    let keys = signed_output(signed).map_err(KeyFault::List)?;
    let keys = keys.ok_or(KeyFault::OneSided)?;
    if keys.len() != signatures.len() {
        return Err(KeyFault::Count);
    }
    let records = ceremony
        .records
        .map(|records| records.supplemental.as_slice());
    let records = records.unwrap_or_default();
    let judged = keys.iter().zip(signatures);
    judged
        .map(|(key, signature)| ceremony.judge(key, signature, records))
        .collect()
}
