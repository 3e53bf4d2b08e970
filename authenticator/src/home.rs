//! Where vault and device store are.

use std::ffi::OsString;
#[cfg(feature = "console")]
use std::path::Path;
use std::path::PathBuf;

/// The folders of this device.
#[derive(Clone, Debug, PartialEq)]
pub struct Home {
    /// The vault: `vault/` under `HANDFAST_HOME`, else `$XDG_DATA_HOME/handfast/vault`.
    pub vault: PathBuf,
    /// The device store: `device/` under `HANDFAST_HOME`, else `$XDG_STATE_HOME/handfast`.
    pub device: PathBuf,
}

impl Home {
    /// Finds the folders by the environment that `variable` reads; nothing if that names none.
    pub fn find(
        variable: impl Fn(&str) -> Option<OsString>,
        vault: Option<PathBuf>,
    ) -> Option<Self> {
        let folder = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = match folder("HANDFAST_HOME") {
            Some(home) => Self {
                vault: home.join("vault"),
                device: home.join("device"),
            },
            None => {
                let user = folder("HOME");
                let below = |name, default: &str| {
                    folder(name).or_else(|| Some(user.as_ref()?.join(default)))
                };
                Self {
                    vault: below("XDG_DATA_HOME", ".local/share")?.join("handfast/vault"),
                    device: below("XDG_STATE_HOME", ".local/state")?.join("handfast"),
                }
            }
        };
        Some(Self {
            vault: vault.unwrap_or(home.vault),
            ..home
        })
    }

    /// Returns which of the folders another one is in, if it is in one.
    #[cfg(feature = "console")]
    pub(crate) fn holds(&self, folder: &Path) -> Option<&Path> {
        let folder = folder.canonicalize().ok()?;
        let kept = [&self.vault, &self.device].into_iter();
        kept.map(PathBuf::as_path).find(|kept| {
            kept.canonicalize()
                .is_ok_and(|kept| folder.starts_with(kept))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)], vault: Option<&str>) -> Option<Home> {
        let value = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(value))
        };
        Home::find(value, vault.map(PathBuf::from))
    }

    #[test]
    fn one_variable_moves_everything() {
        let home = find(&[("HANDFAST_HOME", "/h"), ("HOME", "/u")], None).unwrap();
        assert_eq!(home.vault, PathBuf::from("/h/vault"));
        assert_eq!(home.device, PathBuf::from("/h/device"));
    }

    #[test]
    fn without_it_the_desktop_conventions_hold() {
        let home = find(
            &[
                ("HOME", "/u"),
                ("XDG_STATE_HOME", "/s"),
                ("XDG_DATA_HOME", ""),
            ],
            None,
        );
        let home = home.unwrap();
        assert_eq!(home.vault, PathBuf::from("/u/.local/share/handfast/vault"));
        assert_eq!(home.device, PathBuf::from("/s/handfast"));
        assert_eq!(find(&[], None), None);
    }

    #[test]
    fn another_vault_leaves_the_device_where_it_is() {
        let home = find(&[("HANDFAST_HOME", "/h")], Some("/v")).unwrap();
        assert_eq!((home.vault, home.device), ("/v".into(), "/h/device".into()));
    }
}
