use std::path::PathBuf;
use std::process::Command;

/// A program of the project.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Program {
    /// `handfast`
    Desktop,
    /// `handfast-authenticator`
    Phone,
    /// `handfast-relay`
    Relay,
    /// `handfast-site`
    Site,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Desktop, Self::Phone, Self::Relay, Self::Site];

    /// Returns the binary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Desktop => "handfast",
            Self::Phone => "handfast-authenticator",
            Self::Relay => "handfast-relay",
            Self::Site => "handfast-site",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub enum Programs {
    /// One executable that is each of them when called with its name as the first argument.
    MultiCall(PathBuf),
    /// A folder with one executable each.
    Folder(PathBuf),
}

impl Programs {
    /// Prepares a call of one of them.
    pub fn command(&self, program: Program) -> Command {
        match self {
            Self::MultiCall(executable) => {
                let mut command = Command::new(executable);
                command.arg(program.name());
                command
            }
            Self::Folder(folder) => Command::new(folder.join(program.name())),
        }
    }
}
