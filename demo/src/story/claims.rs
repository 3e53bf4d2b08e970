//! What an act must show, told as it is settled.

use super::decision::{Decision, SignIn};
use super::{Claim, Teller};

/// The claims of one act.
pub(super) struct Claims<'t> {
    teller: &'t mut Teller,
    claims: Vec<Claim>,
    sign_ins: Vec<SignIn>,
}

impl<'t> Claims<'t> {
    pub(super) fn new(teller: &'t mut Teller) -> Self {
        Self {
            teller,
            claims: Vec::new(),
            sign_ins: Vec::new(),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Claim>, Vec<SignIn>) {
        (self.claims, self.sign_ins)
    }

    /// Somebody does something.
    pub(super) fn tell(&mut self, who: &str, what: &str) {
        self.teller.tell(who, what);
    }

    /// Another scene begins.
    pub(super) fn pause(&mut self) {
        self.teller.pause();
    }

    /// A program says something to its user, in its own words.
    pub(super) fn quote(&mut self, who: &str, words: &str) {
        self.teller.tell(who, &format!("“{words}”"));
    }

    /// Something must be true here.
    pub(super) fn claim(&mut self, text: impl Into<String>, holds: bool) {
        let claim = Claim {
            text: text.into(),
            holds,
        };
        self.teller.claim(&claim);
        self.claims.push(claim);
    }

    /// The site decides about a sign-in, and something must be true of that.
    pub(super) fn sign_in(
        &mut self,
        who: &'static str,
        decision: &Decision,
        text: impl Into<String>,
        holds: bool,
    ) {
        self.quote("site", decision.why());
        self.claim(text, holds);
        self.sign_ins.push(SignIn {
            who,
            key_name: decision.key_name.clone(),
            decision: decision.value.clone(),
            as_told: holds,
        });
    }
}
