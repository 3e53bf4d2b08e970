//! `devicePubKey` at a relying party (`trust-group.md` §2).

use handfast_proto::cbor::Map;
use handfast_proto::extension::device_pub_key::{NAME, Scope, signed_output};

use super::Ceremony;
use super::attested_key::{KeyFault, Outcome, Standing};

/// Checks the extension.
pub(super) fn check(ceremony: &Ceremony<'_>, client: Option<&[u8]>) -> Outcome<Standing<Scope>> {
    let extensions = ceremony.auth_data.extensions.as_ref();
    let signed = extensions.filter(|extensions| extensions.text(NAME).is_some());
    let requested = ceremony.requested.device_pub_key;
    Outcome::of(requested, signed, client, |signed, signature| {
        judge(ceremony, signed, signature)
    })
}

fn judge(
    ceremony: &Ceremony<'_>,
    signed: &Map,
    signature: &[u8],
) -> Result<Standing<Scope>, KeyFault> {
    if !ceremony.auth_data.flags.backup_eligible() {
        return Err(KeyFault::NotBackupEligible);
    }
    let key = signed_output(signed).map_err(KeyFault::Output)?;
    let key = key.ok_or(KeyFault::OneSided)?;
    let records = ceremony.records.map(|records| records.device.as_slice());
    ceremony.judge(&key, signature, records.unwrap_or_default())
}
