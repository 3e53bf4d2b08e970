//! Trust groups: who belongs together because they were near each other (`trust-group.md` §4).
