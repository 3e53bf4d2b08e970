//! What the site decides.

use serde_json::{Value, json};

use super::StoryError;
use super::cast::text;
use crate::stage::Program;

/// The trust-group keys that the site was shown, as it names them, in the order of the story: K1 is
/// the first.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    /// Returns the story's name of a key; one that was not seen yet gets the next.
    fn name(&mut self, key: &str) -> String {
        let at = self.0.iter().position(|known| known == key);
        let at = at.unwrap_or_else(|| {
            self.0.push(key.to_owned());
            self.0.len() - 1
        });
        format!("K{}", at + 1)
    }

    /// Returns how the site names these keys, the first ones of the story.
    pub(super) fn first(&self, count: usize) -> &[String] {
        self.0.get(..count).unwrap_or(&self.0)
    }
}

/// What the site decided once.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// How the site names the key that was presented.
    pub(super) key: String,
    /// What the story calls it.
    pub(super) key_name: String,
    pub(super) value: Value,
}

impl Decision {
    /// Reads a decision from a program's result.
    pub(super) fn read(
        result: &Value,
        member: &'static str,
        keys: &mut Keys,
    ) -> Result<Self, StoryError> {
        let value = result.get(member).cloned().unwrap_or_default();
        let key = text(Program::Site, &value, "key")?;
        Ok(Self {
            key_name: keys.name(&key),
            key,
            value,
        })
    }

    pub(super) fn why(&self) -> &str {
        self.value
            .get("why")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn signed_in(&self) -> bool {
        self.flag("signed_in")
    }

    pub(super) fn trusted(&self) -> bool {
        self.flag("trusted")
    }

    /// The site knows the group, trusts it, and asks for nothing more.
    pub(super) fn is_known(&self) -> bool {
        self.outcome_is("known")
            && self.trusted()
            && self.signed_in()
            && !self.flag("step_up_required")
    }

    /// The site does not know the group, and lets nobody in without a step-up.
    pub(super) fn is_unknown(&self) -> bool {
        self.outcome_is("new-group")
            && self.flag("step_up_required")
            && !self.signed_in()
            && !self.trusted()
    }

    fn outcome_is(&self, outcome: &str) -> bool {
        self.value.get("outcome").and_then(Value::as_str) == Some(outcome)
    }

    fn flag(&self, name: &str) -> bool {
        self.value
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }
}

/// One sign-in, as the site saw it.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who signed in.
    pub who: &'static str,
    /// What the story calls the trust-group key that was presented: `K1` is the first that the
    /// site ever saw.
    pub key_name: String,
    /// The site's first decision, in its own words.
    pub decision: Value,
    /// Whether it is what the story says.
    pub as_told: bool,
}

impl SignIn {
    /// Returns what the site made of the key: `known` or `new-group`, for instance.
    pub fn outcome(&self) -> &str {
        let outcome = self.decision.get("outcome").and_then(Value::as_str);
        outcome.unwrap_or("-")
    }

    /// Returns whether the site asked for a one-time code.
    pub fn step_up(&self) -> bool {
        let asked = self.decision.get("step_up_required");
        asked.and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn key(&self) -> &str {
        let key = self.decision.get("key").and_then(Value::as_str);
        key.unwrap_or("-")
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "who": self.who,
            "key": self.key_name,
            "decision": self.decision,
            "as_told": self.as_told,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_in_the_order_in_which_the_site_saw_them() {
        let mut keys = Keys::default();
        let names = ["a", "b", "a", "c", "b"].map(|key| keys.name(key));
        assert_eq!(names, ["K1", "K2", "K1", "K3", "K2"]);
        assert_eq!(keys.first(2), ["a", "b"]);
    }

    #[test]
    fn a_step_up_is_no_sign_in_of_a_known_group() {
        let mut keys = Keys::default();
        let mut read = |decision: Value| {
            Decision::read(&json!({"decision": decision}), "decision", &mut keys).unwrap()
        };
        let known = read(json!({
            "key": "a", "outcome": "known", "trusted": true, "signed_in": true,
            "step_up_required": false,
        }));
        assert!(known.is_known() && !known.is_unknown());
        let untrusted = read(json!({
            "key": "a", "outcome": "known", "trusted": false, "signed_in": false,
            "step_up_required": true,
        }));
        assert!(!untrusted.is_known() && !untrusted.is_unknown());
        let new = read(json!({
            "key": "a", "outcome": "new-group", "trusted": false, "signed_in": false,
            "step_up_required": true,
        }));
        assert!(new.is_unknown() && !new.is_known());
    }
}
