//! Which keys there are, and how many of them must sign: as a publisher says it, and as TUF writes it.

use std::{collections::HashMap, num::NonZeroU64};

use jiff::Timestamp;
use tough::schema::{DelegatedRole, Delegations, PathPattern, PathSet, RoleKeys, RoleType, Root, Signed, Targets};

use super::{
    edit_error::EditError,
    roles::{Holder, Role},
    signers::{TufId, tuf_key},
};
use crate::key::PublicKey;

/// The version of TUF's own format.
pub(super) const SPECIFICATION: &str = "1.0.0";

/// Keys, and how many of them must sign.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The public ones.
    pub keys: Vec<PublicKey>,
    /// So many of them.
    pub threshold: u64,
}

/// What a repository begins with.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Of [`Holder::Root`].
    pub root: Keys,
    /// Of [`Holder::Content`].
    pub content: Keys,
    /// Of [`Holder::Online`].
    pub online: Keys,
}

/// Whether enough different keys are in different hands.
pub(super) fn check(founding: &Founding) -> Result<(), EditError> {
    let all =
        [(Holder::Root, &founding.root), (Holder::Content, &founding.content), (Holder::Online, &founding.online)];
    for (index, (holder, keys)) in all.iter().enumerate() {
        let mut ids: Vec<_> = keys.keys.iter().map(PublicKey::id).collect();
        ids.sort();
        ids.dedup();
        if keys.threshold == 0 || keys.threshold > ids.len() as u64 {
            return Err(EditError::Threshold { holder: holder.name(), threshold: keys.threshold, keys: ids.len() });
        }
        let shared = |(_, other): &&(Holder, &Keys)| other.keys.iter().any(|key| keys.keys.contains(key));
        if let Some((other, _)) = all.iter().skip(index + 1).find(shared) {
            return Err(EditError::Shared(holder.name(), other.name()));
        }
    }
    Ok(())
}

pub(super) fn root(founding: &Founding, version: NonZeroU64, expires: Timestamp) -> Result<Root, EditError> {
    let mut root = Root {
        spec_version: SPECIFICATION.to_owned(),
        consistent_snapshot: true,
        version,
        expires,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    for (types, keys) in [
        ([RoleType::Root, RoleType::Targets], &founding.root),
        ([RoleType::Snapshot, RoleType::Timestamp], &founding.online),
    ] {
        let (ids, threshold) = ids(keys, &mut root.keys)?;
        for kind in types {
            let role = RoleKeys { keyids: ids.clone(), threshold, _extra: HashMap::new() };
            root.roles.insert(kind, role);
        }
    }
    Ok(root)
}

pub(super) fn delegations(founding: &Founding) -> Result<Delegations, EditError> {
    let mut delegations = Delegations::new();
    for (name, keys) in [(Role::Content.name(), &founding.content), (Role::Rollout.name(), &founding.online)] {
        let (keyids, threshold) = ids(keys, &mut delegations.keys)?;
        let pattern = PathPattern::new(format!("{name}/*")).map_err(|error| EditError::Tuf(error.to_string()))?;
        let paths = PathSet::Paths(vec![pattern]);
        let role = DelegatedRole { name: name.to_owned(), keyids, threshold, paths, terminating: true, targets: None };
        delegations.roles.push(role);
    }
    Ok(delegations)
}

/// Notes the keys in `known`; their names and the threshold.
fn ids(
    keys: &Keys,
    known: &mut HashMap<TufId, tough::schema::key::Key>,
) -> Result<(Vec<TufId>, NonZeroU64), EditError> {
    let mut ids = Vec::new();
    for key in &keys.keys {
        let (id, key) = tuf_key(key)?;
        known.insert(id.clone(), key);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok((ids, NonZeroU64::new(keys.threshold).unwrap_or(NonZeroU64::MIN)))
}

pub(super) fn role_keys(root: &Root, kind: RoleType) -> Result<(Vec<TufId>, NonZeroU64), EditError> {
    let keys = root.roles.get(&kind).ok_or_else(|| EditError::Tuf(format!("`root` names no keys for {kind}")))?;
    Ok((keys.keyids.clone(), keys.threshold))
}

pub(super) fn delegated_keys(targets: &Signed<Targets>, role: Role) -> Result<(Vec<TufId>, NonZeroU64), EditError> {
    let roles = targets.signed.delegations.iter().flat_map(|delegations| &delegations.roles);
    let delegated = roles.into_iter().find(|delegated| delegated.name == role.name());
    let delegated = delegated.ok_or_else(|| EditError::Tuf(format!("`targets` does not delegate to `{role}`")))?;
    Ok((delegated.keyids.clone(), delegated.threshold))
}

pub(super) fn public_key(key: &tough::schema::key::Key) -> Option<PublicKey> {
    let tough::schema::key::Key::Ed25519 { keyval, .. } = key else { return None };
    PublicKey::from_bytes(keyval.public.as_ref().try_into().ok()?).ok()
}
