//! The roles of a repository as files: their names, bytes, lengths and digests.

use std::collections::HashMap;

use tough::schema::Metafile;

use super::{
    edit_error::EditError,
    encoding::{hashes, json},
    metadata::Metadata,
    roles::Role,
};

impl Metadata {
    /// All files, in the order in which they must be written: a client that comes meanwhile finds what
    /// belongs together.
    ///
    /// # Errors
    /// [`EditError::Tuf`]: they cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, EditError> {
        let versions = self.versions();
        let name = |role: Role| {
            let version = versions.iter().find(|(other, _)| *other == role).map_or(0, |(_, version)| *version);
            match role {
                Role::Timestamp => "timestamp.json".to_owned(),
                _ => format!("{version}.{}.json", role.name()),
            }
        };
        Role::ALL.iter().map(|role| Ok((name(*role), self.bytes(*role)?))).collect()
    }

    fn bytes(&self, role: Role) -> Result<Vec<u8>, EditError> {
        match role {
            Role::Root => json(&self.root),
            Role::Targets => json(&self.targets),
            Role::Content => json(&self.content),
            Role::Rollout => json(&self.rollout),
            Role::Snapshot => json(&self.snapshot),
            Role::Timestamp => json(&self.timestamp),
        }
    }

    pub(super) fn metafile(&self, role: Role) -> Result<Metafile, EditError> {
        let bytes = self.bytes(role)?;
        let version = match role {
            Role::Content => self.content.signed.version,
            Role::Rollout => self.rollout.signed.version,
            Role::Snapshot => self.snapshot.signed.version,
            Role::Root | Role::Targets | Role::Timestamp => self.targets.signed.version,
        };
        let hashes = Some(hashes(&bytes));
        Ok(Metafile { length: Some(bytes.len() as u64), hashes, version, _extra: HashMap::new() })
    }
}
