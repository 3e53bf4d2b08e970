//! The end of the story: who signed in, and what the site saw.

use super::teller::{BOLD, GREEN, RED, Teller};
use super::{Played, SignIn};

impl Teller {
    /// Ends with a table.
    pub fn table(&self, played: &Played) {
        self.line("");
        self.line(&self.paint(
            BOLD,
            &format!(
                "{}  as told",
                columns(["act", "who signs in", "the site saw", "step-up"])
            ),
        ));
        for act in &played.acts {
            for sign_in in &act.sign_ins {
                self.row(act.number, sign_in);
            }
        }
        let end = if played.passed() {
            self.paint(GREEN, "The story ended as it should.")
        } else {
            self.paint(RED, "The story did NOT end as it should.")
        };
        self.line(&format!("\n{end} ({:.1} s)", played.took.as_secs_f64()));
    }

    fn row(&self, act: u8, sign_in: &SignIn) {
        let saw = format!(
            "{:<9} {} {}",
            sign_in.outcome(),
            sign_in.key_name,
            sign_in.key()
        );
        let asked = if sign_in.step_up() { "yes" } else { "no" };
        let verdict = match sign_in.as_told {
            true => self.paint(GREEN, "✓"),
            false => self.paint(RED, "✗ not as told"),
        };
        let row = columns([&act.to_string(), sign_in.who, &saw, asked]);
        self.line(&format!("{row}  {verdict}"));
    }
}

fn columns([act, who, saw, asked]: [&str; 4]) -> String {
    format!("  {act:>3}  {who:<30}  {saw:<21}  {asked:<7}")
}
