//! All roles of a repository, and what a publisher can do with them. Pure: keys come in, signed metadata comes out.

mod paces;

use std::{collections::HashMap, num::NonZeroU64};

use jiff::{SignedDuration, Timestamp};
use tough::{
    TargetName,
    schema::{RoleType, Root, Signed, Snapshot, Target, Targets, Timestamp as TufTimestamp},
};

use super::{
    edit_error::EditError,
    encoding::{hex, target},
    keys::{self, Founding, Keys, SPECIFICATION, check, delegated_keys, delegations, public_key, role_keys},
    names::{DOCUMENT, ISSUED, PACE, bundle_name},
    roles::{Holder, Lifetime, Role},
    signers::{Signers, TufId},
};
use crate::{bundle::Unverified, rollout::Ramp};

/// All roles of a repository. Signed and consistent at any time.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub(super) root: Signed<Root>,
    pub(super) targets: Signed<Targets>,
    pub(super) content: Signed<Targets>,
    pub(super) rollout: Signed<Targets>,
    pub(super) snapshot: Signed<Snapshot>,
    pub(super) timestamp: Signed<TufTimestamp>,
}

/// What makes the next version.
#[derive(Clone, Copy)]
struct Pen<'a> {
    signers: &'a Signers,
    lifetime: Lifetime,
    now: Timestamp,
}

impl Pen<'_> {
    fn expires(self, role: Role) -> Timestamp {
        // Whole seconds: TUF's own format has no others.
        let end = self.now.saturating_add(self.lifetime.of(role)).unwrap_or(Timestamp::MAX);
        Timestamp::from_second(end.as_second()).unwrap_or(end)
    }
}

const ONE: NonZeroU64 = NonZeroU64::MIN;

fn next(role: Role, version: NonZeroU64) -> Result<NonZeroU64, EditError> {
    version.checked_add(1).ok_or(EditError::Version(role.name()))
}

impl Metadata {
    /// A repository without content.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn found(
        founding: &Founding,
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<Self, EditError> {
        let pen = Pen { signers, lifetime, now };
        check(founding)?;
        let targets =
            |role| Targets { delegations: None, ..Targets::new(SPECIFICATION.to_owned(), ONE, pen.expires(role)) };
        let root = keys::root(founding, ONE, pen.expires(Role::Root))?;
        let (ids, threshold) = role_keys(&root, RoleType::Targets)?;
        let mut top = targets(Role::Targets);
        top.delegations = Some(delegations(founding)?);
        let root = signers.sign("root", root, &ids, threshold)?;
        let top = signers.sign("targets", top, &ids, threshold)?;
        let (content, rollout) = (targets(Role::Content), targets(Role::Rollout));
        let content = sign_delegated(&top, content, Role::Content, signers)?;
        let rollout = sign_delegated(&top, rollout, Role::Rollout, signers)?;
        let snapshot = Snapshot::new(SPECIFICATION.to_owned(), ONE, pen.expires(Role::Snapshot));
        let timestamp = TufTimestamp::new(SPECIFICATION.to_owned(), ONE, pen.expires(Role::Timestamp));
        let (snapshot, timestamp) = (unsigned(snapshot), unsigned(timestamp));
        let mut metadata = Self { root, targets: top, content, rollout, snapshot, timestamp };
        metadata.seal(pen, false)?;
        Ok(metadata)
    }

    /// Adds a bundle, which is published first now and goes out by this ramp at the fastest; false where it is there
    /// already, with whatever ramp.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn add(
        &mut self,
        bundle: &Unverified,
        ramp: &Ramp,
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<bool, EditError> {
        let pen = Pen { signers, lifetime, now };
        let number = bundle.claims().generation;
        let name = target_name(&bundle_name(number))?;
        let mut target = target(bundle.bytes());
        target.custom.insert("generation".into(), number.into());
        target.custom.insert("category".into(), bundle.claims().category.to_string().into());
        target.custom.insert("digest".into(), bundle.digest().to_string().into());
        if let Some(pace) = self.content.signed.targets.get(&name).and_then(|there| there.custom.get(PACE)) {
            target.custom.insert(PACE.into(), pace.clone());
        }
        match self.content.signed.targets.get(&name) {
            Some(there) if *there == target => return Ok(false),
            Some(_) => return Err(EditError::Taken(number)),
            None => {}
        }
        target.custom.insert(PACE.into(), paces::signed(now, ramp)?);
        let mut content = self.content.signed.clone();
        content.targets.insert(name, target);
        self.change_content(content, pen)?;
        Ok(true)
    }

    fn change_content(&mut self, content: Targets, pen: Pen) -> Result<(), EditError> {
        let mut new = self.clone();
        new.content = self.resign(content, Role::Content, pen)?;
        new.seal(pen, true)?;
        *self = new;
        Ok(())
    }

    /// Publishes the document that says who may take what.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn publish(
        &mut self,
        document: &[u8],
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<(), EditError> {
        let pen = Pen { signers, lifetime, now };
        let mut rollout = self.rollout.signed.clone();
        rollout.targets.insert(target_name(DOCUMENT)?, target(document));
        let mut new = self.clone();
        new.rollout = self.resign(rollout, Role::Rollout, pen)?;
        new.seal(pen, true)?;
        *self = new;
        Ok(())
    }

    /// Gives the roles of one holder other keys. The root keys sign that, the old and the new ones where they
    /// change themselves; the new keys sign what is theirs.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn rotate(
        &mut self,
        holder: Holder,
        keys: Keys,
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<(), EditError> {
        let pen = Pen { signers, lifetime, now };
        let mut new = self.clone();
        let mut founding = self.founding()?;
        match holder {
            Holder::Root => founding.root = keys,
            Holder::Content => founding.content = keys,
            Holder::Online => founding.online = keys,
        }
        check(&founding)?;
        let (old_ids, old_threshold) = role_keys(&self.root.signed, RoleType::Root)?;
        if holder != Holder::Content {
            let version = next(Role::Root, self.root.signed.version)?;
            let root = keys::root(&founding, version, pen.expires(Role::Root))?;
            let (ids, threshold) = role_keys(&root, RoleType::Root)?;
            // Who trusts the old keys believes the old ones; who trusts the new ones, the new ones.
            signers.sign("root", root.clone(), &old_ids, old_threshold)?;
            signers.sign("root", root.clone(), &ids, threshold)?;
            let all: Vec<_> = old_ids.iter().chain(&ids).cloned().collect();
            new.root = signers.sign_with_any(root, &all)?;
        }
        let (ids, threshold) = role_keys(&new.root.signed, RoleType::Targets)?;
        let mut targets = self.targets.signed.clone();
        targets.delegations = Some(delegations(&founding)?);
        targets.version = next(Role::Targets, targets.version)?;
        targets.expires = pen.expires(Role::Targets);
        new.targets = signers.sign("targets", targets, &ids, threshold)?;
        match holder {
            Holder::Root => {}
            Holder::Content => new.content = new.resign(new.content.signed.clone(), Role::Content, pen)?,
            Holder::Online => new.rollout = new.resign(new.rollout.signed.clone(), Role::Rollout, pen)?,
        }
        new.seal(pen, true)?;
        *self = new;
        Ok(())
    }

    /// Signs anew what expires within `within` and can be signed with these keys; says which.
    ///
    /// # Errors
    /// [`EditError`]; that a role cannot be signed is none.
    pub fn renew(
        &mut self,
        within: SignedDuration,
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<Vec<Role>, EditError> {
        let pen = Pen { signers, lifetime, now };
        let mut renewed = Vec::new();
        let end = now.saturating_add(within).unwrap_or(Timestamp::MAX);
        let mut new = self.clone();
        for (role, expires) in self.expiry().into_iter().filter(|(_, expires)| *expires <= end) {
            match new.renew_one(role, pen) {
                Ok(()) => renewed.push(role),
                Err(EditError::Keys { .. }) => {}
                Err(error) => return Err(error),
            }
            debug_assert!(expires <= end);
        }
        if renewed.is_empty() {
            return Ok(renewed);
        }
        let beyond = renewed.iter().any(|role| *role != Role::Timestamp);
        new.seal(pen, beyond)?;
        *self = new;
        if beyond {
            renewed.extend([Role::Snapshot, Role::Timestamp]);
        }
        renewed.sort();
        renewed.dedup();
        Ok(renewed)
    }

    fn renew_one(&mut self, role: Role, pen: Pen) -> Result<(), EditError> {
        let (ids, threshold) = role_keys(&self.root.signed, RoleType::Root)?;
        match role {
            Role::Root => {
                let mut root = self.root.signed.clone();
                root.version = next(role, root.version)?;
                root.expires = pen.expires(role);
                self.root = pen.signers.sign("root", root, &ids, threshold)?;
            }
            Role::Targets => {
                let mut targets = self.targets.signed.clone();
                targets.version = next(role, targets.version)?;
                targets.expires = pen.expires(role);
                self.targets = pen.signers.sign("targets", targets, &ids, threshold)?;
            }
            Role::Content => self.content = self.resign(self.content.signed.clone(), role, pen)?,
            Role::Rollout => self.rollout = self.resign(self.rollout.signed.clone(), role, pen)?,
            // Whatever is sealed has both anew.
            Role::Snapshot | Role::Timestamp => {
                let (ids, threshold) = role_keys(&self.root.signed, RoleType::Snapshot)?;
                pen.signers.sign(role.name(), self.snapshot.signed.clone(), &ids, threshold)?;
            }
        }
        Ok(())
    }

    /// When each role expires.
    pub fn expiry(&self) -> [(Role, Timestamp); 6] {
        Role::ALL.map(|role| {
            let expires = match role {
                Role::Root => self.root.signed.expires,
                Role::Targets => self.targets.signed.expires,
                Role::Content => self.content.signed.expires,
                Role::Rollout => self.rollout.signed.expires,
                Role::Snapshot => self.snapshot.signed.expires,
                Role::Timestamp => self.timestamp.signed.expires,
            };
            (role, expires)
        })
    }

    /// Version of each role.
    pub fn versions(&self) -> [(Role, u64); 6] {
        Role::ALL.map(|role| {
            let version = match role {
                Role::Root => self.root.signed.version,
                Role::Targets => self.targets.signed.version,
                Role::Content => self.content.signed.version,
                Role::Rollout => self.rollout.signed.version,
                Role::Snapshot => self.snapshot.signed.version,
                Role::Timestamp => self.timestamp.signed.version,
            };
            (role, version.get())
        })
    }

    /// Fingerprints of a holder's keys as TUF names them, and how many of them must sign.
    ///
    /// # Errors
    /// [`EditError::Tuf`]: the metadata has no such role.
    pub fn keys(&self, holder: Holder) -> Result<(Vec<String>, u64), EditError> {
        let (ids, threshold) = match holder {
            Holder::Root => role_keys(&self.root.signed, RoleType::Root)?,
            Holder::Online => role_keys(&self.root.signed, RoleType::Timestamp)?,
            Holder::Content => delegated_keys(&self.targets, Role::Content)?,
        };
        Ok((ids.iter().map(|id| hex(id)).collect(), threshold.get()))
    }

    /// The generations that exist.
    pub fn generations(&self) -> Vec<u64> {
        let number = |target: &Target| target.custom.get("generation")?.as_u64();
        let mut all: Vec<_> = self.content.signed.targets.values().filter_map(number).collect();
        all.sort_unstable();
        all
    }

    /// Whether all of it is signed as it must be.
    ///
    /// # Errors
    /// [`EditError::Tuf`]: which is not.
    pub fn verify(&self) -> Result<(), EditError> {
        let tuf = |error: tough::schema::Error| EditError::Tuf(error.to_string());
        let root = &self.root.signed;
        root.verify_role(&self.root).map_err(tuf)?;
        root.verify_role(&self.targets).map_err(tuf)?;
        root.verify_role(&self.snapshot).map_err(tuf)?;
        root.verify_role(&self.timestamp).map_err(tuf)?;
        let delegations = self.targets.signed.delegations.as_ref();
        let delegations = delegations.ok_or_else(|| EditError::Tuf("`targets` delegates nothing".into()))?;
        delegations.verify_role(&self.content, Role::Content.name()).map_err(tuf)?;
        delegations.verify_role(&self.rollout, Role::Rollout.name()).map_err(tuf)
    }

    /// The next version of a delegated role.
    fn resign(&self, mut role: Targets, which: Role, pen: Pen) -> Result<Signed<Targets>, EditError> {
        role.version = next(which, role.version)?;
        role.expires = pen.expires(which);
        sign_delegated(&self.targets, role, which, pen.signers)
    }

    /// Signs `snapshot`, if it `changed`, and `timestamp` anew.
    fn seal(&mut self, pen: Pen, changed: bool) -> Result<(), EditError> {
        let first = self.snapshot.signatures.is_empty();
        if changed || first {
            let mut snapshot = self.snapshot.signed.clone();
            snapshot.version = if first { ONE } else { next(Role::Snapshot, snapshot.version)? };
            snapshot.expires = pen.expires(Role::Snapshot);
            snapshot.meta = [Role::Targets, Role::Content, Role::Rollout]
                .iter()
                .map(|role| Ok((format!("{}.json", role.name()), self.metafile(*role)?)))
                .collect::<Result<_, EditError>>()?;
            let (ids, threshold) = role_keys(&self.root.signed, RoleType::Snapshot)?;
            self.snapshot = pen.signers.sign("snapshot", snapshot, &ids, threshold)?;
        }
        let mut timestamp = self.timestamp.signed.clone();
        timestamp.version = if first { ONE } else { next(Role::Timestamp, timestamp.version)? };
        timestamp.expires = pen.expires(Role::Timestamp);
        timestamp._extra.insert(ISSUED.to_owned(), serde_json::Value::String(format!("{:.0}", pen.now)));
        timestamp.meta = HashMap::from([("snapshot.json".to_owned(), self.metafile(Role::Snapshot)?)]);
        let (ids, threshold) = role_keys(&self.root.signed, RoleType::Timestamp)?;
        self.timestamp = pen.signers.sign("timestamp", timestamp, &ids, threshold)?;
        Ok(())
    }

    /// The keys as they are now.
    fn founding(&self) -> Result<Founding, EditError> {
        let delegations = self.targets.signed.delegations.clone().unwrap_or_default();
        let read = |(ids, threshold): (Vec<TufId>, NonZeroU64)| -> Result<Keys, EditError> {
            let find = |id: &TufId| self.root.signed.keys.get(id).or_else(|| delegations.keys.get(id));
            let keys = ids.iter().filter_map(find).filter_map(public_key).collect();
            Ok(Keys { keys, threshold: threshold.get() })
        };
        Ok(Founding {
            root: read(role_keys(&self.root.signed, RoleType::Root)?)?,
            content: read(delegated_keys(&self.targets, Role::Content)?)?,
            online: read(role_keys(&self.root.signed, RoleType::Timestamp)?)?,
        })
    }
}

fn sign_delegated(
    top: &Signed<Targets>,
    role: Targets,
    which: Role,
    signers: &Signers,
) -> Result<Signed<Targets>, EditError> {
    let (ids, threshold) = delegated_keys(top, which)?;
    signers.sign(which.name(), role, &ids, threshold)
}

const fn unsigned<T>(signed: T) -> Signed<T> {
    Signed { signed, signatures: Vec::new() }
}

fn target_name(name: &str) -> Result<TargetName, EditError> {
    TargetName::new(name).map_err(|error| EditError::Tuf(error.to_string()))
}
