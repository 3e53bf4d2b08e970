//! Settings: what `run` and `scan` use when an option is not given. A program that opens links has no
//! options.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use handfast_proto::hybrid::DataChannels;

use crate::console::{self, Failure};

/// What the file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) adapter: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) channel: Option<DataChannels>,
    pub(super) radio: Option<String>,
    pub(super) relay: Option<String>,
    pub(super) tunnel_domain: Option<u16>,
}

impl Settings {
    /// Reads the file that the environment names; without one there are no settings.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let Some(path) = path(variable) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(
                Failure::new(format!("{} cannot be read: {error}", path.display()))
                    .with_hint("Correct or remove that file."),
            ),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            settings.take(line, path).map_err(|why: String| {
                Failure::usage(format!("{}, line {number}: {why}", path.display())).with_hint(
                    "A line is NAME = VALUE, with a name of adapter, ca-file, channel, radio, relay and \
                     tunnel-domain.",
                )
            })?;
        }
        Ok(settings)
    }

    fn take(&mut self, line: &str, path: &Path) -> Result<(), String> {
        let (name, value) = line.split_once('=').ok_or("there is no =")?;
        let (name, value) = (name.trim_end(), value.trim_start());
        if value.is_empty() {
            return Err(format!("{name} has no value"));
        }
        let text = || Some(value.to_owned());
        match name {
            "adapter" => self.adapter = text(),
            // Such files lie beside the settings.
            "ca-file" => self.ca_file = Some(path.with_file_name(value)),
            "channel" => self.channel = Some(console::channels(value)?),
            "radio" => self.radio = text(),
            "relay" => self.relay = text(),
            "tunnel-domain" => {
                let number = value.parse().ok().filter(|number| *number >= 256);
                self.tunnel_domain =
                    Some(number.ok_or("tunnel-domain is a number from 256 to 65535")?);
            }
            _ => return Err(format!("{name} is no setting")),
        }
        Ok(())
    }
}

/// `settings` under `HANDFAST_HOME`, else `$XDG_CONFIG_HOME/handfast/settings`.
fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(home) = folder("HANDFAST_HOME") {
        return Some(home.join("settings"));
    }
    let configuration = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    Some(configuration?.join("handfast/settings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse(text, Path::new("/etc/h/settings"))
    }

    #[test]
    fn what_is_no_setting_is_named_with_its_line() {
        for (text, why) in [
            ("relay wss://r", "line 1: there is no ="),
            ("\n# a\nrelays = wss://r", "line 3: relays is no setting"),
            ("relay =", "line 1: relay has no value"),
            ("tunnel-domain = 255", "line 1: tunnel-domain is a number"),
            ("tunnel-domain = 65536", "line 1: tunnel-domain is a number"),
            ("channel = air", "line 1: "),
        ] {
            let failure = parse(text).unwrap_err();
            assert!(failure.what().contains(why), "{}", failure.what());
            assert_eq!(failure.code(), 2);
        }
    }

    #[test]
    fn settings_are_read() {
        let text =
            "# of mine\nrelay = wss://r=1\n tunnel-domain=300\nca-file = ca.pem\nradio = bluez\r\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings.relay.as_deref(), Some("wss://r=1"));
        assert_eq!(settings.tunnel_domain, Some(300));
        assert_eq!(settings.ca_file, Some("/etc/h/ca.pem".into()));
        assert_eq!(settings.radio.as_deref(), Some("bluez"));
        assert_eq!(
            parse("ca-file = /a/b").unwrap().ca_file,
            Some("/a/b".into())
        );
    }

    #[test]
    fn the_file_is_where_the_desktop_has_such_files() {
        let find = |variables: &[(&str, &str)]| {
            path(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(find(&[("HANDFAST_HOME", "/h")]), Some("/h/settings".into()));
        let user = [("HOME", "/u"), ("XDG_CONFIG_HOME", "")];
        assert_eq!(find(&user), Some("/u/.config/handfast/settings".into()));
        let other = [("HOME", "/u"), ("XDG_CONFIG_HOME", "/c")];
        assert_eq!(find(&other), Some("/c/handfast/settings".into()));
        assert_eq!(find(&[]), None);
    }
}
