//! The devices that opened a vault.

use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::{DeviceId, DeviceName};

use super::sealed::Kind;
use super::{Vault, VaultError};

/// A device that opened the vault.
#[derive(Clone, Debug, PartialEq)]
pub struct VaultDevice {
    /// The device.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// When it first opened the vault, seconds since 1970.
    pub since: u64,
}

impl VaultDevice {
    pub(super) fn parse(plaintext: &[u8]) -> Option<Self> {
        let map = cbor::decode(plaintext).ok().and_then(Value::into_map)?;
        Some(Self {
            id: DeviceId(map.int(1)?.as_bytes()?.try_into().ok()?),
            name: DeviceName::parse(map.int(2)?.as_text()?).ok()?,
            since: map.int(3)?.as_u64()?,
        })
    }
}

impl Vault {
    /// Returns the devices that opened the vault.
    pub fn devices(&self) -> impl Iterator<Item = &VaultDevice> {
        self.devices.values()
    }

    /// Returns what the vault knows of a device.
    pub fn device(&self, id: DeviceId) -> Option<&VaultDevice> {
        self.devices.get(&id)
    }

    /// Returns whether a device other than this one is recorded: then passkeys are backed up.
    pub fn has_other_device(&self, this: DeviceId) -> bool {
        self.devices.keys().any(|id| *id != this)
    }

    /// Records that a device opens the vault, if it is not yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn record_device(&mut self, device: VaultDevice) -> Result<(), VaultError> {
        if self.devices.contains_key(&device.id) {
            return Ok(());
        }
        let plaintext = Map::new()
            .with(1, device.id.0)
            .with(2, device.name.as_str())
            .with(3, device.since)
            .encode();
        let path = self.new_path(Kind::Device);
        self.write(Kind::Device, &device.id.0, &plaintext, &path)?;
        self.devices.insert(device.id, device);
        Ok(())
    }
}
