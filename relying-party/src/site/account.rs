//! What a user sees of the account, and may take back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::KeyId;
use serde_json::{Value, json};

use super::core::{Site, id_text, short};
use super::refusal::Refusal;
use crate::record::CredentialRecord;

impl Site {
    pub(super) fn account(&mut self, token: &str, now: u64) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        let here = self.sessions.of(Some(token), now).1.key;
        let records = self.store.credentials_of(&user.handle)?;
        let passkeys = records.iter().map(|record| passkey_json(record, here));
        Ok(json!({
            "ok": true,
            "user": user.name,
            "user_id": URL_SAFE_NO_PAD.encode(user.handle.as_bytes()),
            "rp_id": self.config.rp_id.as_str(),
            "passkeys": passkeys.collect::<Vec<_>>(),
        }))
    }

    pub(super) fn forget_group(
        &mut self,
        token: &str,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        let wanted = body.get("key").and_then(Value::as_str).unwrap_or_default();
        let mut forgotten = 0;
        for mut record in self.store.credentials_of(&user.handle)? {
            let count = record.forget_cmtg_keys(|key| short(key.key_id) == wanted);
            if count > 0 {
                forgotten += count;
                self.store.update_credential(&record)?;
            }
        }
        if forgotten == 0 {
            return Err(Refusal::Conflict("There is no such trust group."));
        }
        // Perhaps it was a thief's, who is signed in.
        self.sessions.end_others(&user.handle, token);
        let why = "The trust group is forgotten: its devices need a code again. Your other sessions \
                   have ended.";
        Ok(json!({"ok": true, "why": why}))
    }
}

/// Returns what the user sees of a passkey; `here` is the trust-group key of the session.
fn passkey_json(record: &CredentialRecord, here: Option<KeyId>) -> Value {
    let groups: Vec<Value> = record
        .trust_groups()
        .map(|key| {
            json!({
                "key": short(key.key_id),
                "here": here == Some(key.key_id),
                "first_seen": key.created_at,
                "last_seen": key.last_used,
                "trust": key.trust.name(),
                "evidence": key.evidence,
            })
        })
        .collect();
    json!({
        "id": id_text(&record.id),
        "created_at": record.created_at,
        "last_used": record.last_used,
        "synced": record.backed_up,
        "groups": groups,
    })
}
