//! A disk whose power is cut after a number of operations. What was not synced is then lost, torn, or there; names that
//! were not synced changed in any combination.

use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc};

use sensor_content::store::Fs;

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone)]
enum Change {
    Link(String, usize),
    Unlink(String),
    Rename(String, String, usize),
}

/// The medium. It outlives the process that writes to it.
#[derive(Clone, Default)]
pub struct Medium {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
}

/// A process's view of the medium, until the power is cut.
#[derive(Clone)]
pub struct Disk {
    medium: Rc<RefCell<Medium>>,
    /// Operations that still happen.
    left: Rc<RefCell<usize>>,
    /// Operations that happened.
    pub done: Rc<RefCell<usize>>,
    /// Whether there is no room for anything new.
    pub full: Rc<RefCell<bool>>,
}

impl Medium {
    fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
        match change {
            Change::Link(name, file) => drop(names.insert(name.clone(), *file)),
            Change::Unlink(name) => drop(names.remove(name)),
            Change::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// The file of this name, made where it is not there.
    fn file(&mut self, name: &str) -> &mut File {
        let index = self.names.get(name).copied().unwrap_or_else(|| {
            self.files.push(File::default());
            self.change(Change::Link(name.to_owned(), self.files.len() - 1));
            self.files.len() - 1
        });
        &mut self.files[index]
    }

    /// What is found after the power was cut.
    pub fn after_cut(&self, random: &mut fastrand::Rng) -> Self {
        let mut names = self.synced_names.clone();
        for change in &self.changes {
            if random.bool() {
                Self::apply(&mut names, change);
            }
        }
        let files =
            self.files.iter().map(|file| survive(file, random)).map(|bytes| File { now: bytes.clone(), synced: bytes });
        Self { files: files.collect(), synced_names: names.clone(), names, changes: Vec::new() }
    }
}

fn survive(file: &File, random: &mut fastrand::Rng) -> Vec<u8> {
    let File { now, synced } = file;
    if now == synced {
        return now.clone();
    }
    let part = random.usize(0..=now.len());
    match random.u8(0..5) {
        0 => synced.clone(),
        1 => now.clone(),
        2 => Vec::new(),
        3 => now[..part].to_vec(),
        _ => [&now[..part], &vec![0; now.len() - part]].concat(),
    }
}

impl Disk {
    /// A view that ends after `left` operations.
    pub fn new(medium: Medium, left: usize) -> Self {
        Self {
            medium: Rc::new(RefCell::new(medium)),
            left: Rc::new(RefCell::new(left)),
            done: Rc::default(),
            full: Rc::default(),
        }
    }

    /// What the medium holds.
    pub fn medium(&self) -> Medium {
        self.medium.borrow().clone()
    }

    pub fn is_off(&self) -> bool {
        *self.left.borrow() == 0
    }

    fn powered(&self) -> io::Result<()> {
        if self.is_off() { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn has_room(&self) -> io::Result<()> {
        if *self.full.borrow() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// An operation; the one at which the power is cut happens, and nobody hears of it.
    fn operate(&self, operation: impl FnOnce(&mut Medium) -> io::Result<()>) -> io::Result<()> {
        self.powered()?;
        *self.left.borrow_mut() -= 1;
        *self.done.borrow_mut() += 1;
        let result = operation(&mut self.medium.borrow_mut());
        self.powered()?;
        result
    }
}

impl Fs for Disk {
    fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        self.powered()?;
        let medium = self.medium.borrow();
        let bytes = medium.names.get(name).map(|file| medium.files[*file].now.clone());
        Ok(bytes.map(|bytes| bytes.into_iter().take(max + 1).collect()))
    }

    fn tail(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.read(name, usize::MAX - 1)?;
        Ok(bytes.map(|bytes| bytes[bytes.len().saturating_sub(max)..].to_vec()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.powered()?;
        Ok(self.medium.borrow().names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.has_room()?;
        self.operate(|medium| {
            bytes.clone_into(&mut medium.file(name).now);
            Ok(())
        })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.has_room()?;
        self.operate(|medium| {
            medium.file(name).now.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.operate(|medium| {
            let file = medium.file(name);
            file.synced = file.now.clone();
            Ok(())
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|medium| {
            let file = *medium.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            medium.change(Change::Rename(from.to_owned(), to.to_owned(), file));
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.operate(|medium| {
            if medium.names.contains_key(name) {
                medium.change(Change::Unlink(name.to_owned()));
            }
            Ok(())
        })
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.operate(|medium| {
            medium.synced_names = medium.names.clone();
            medium.changes.clear();
            Ok(())
        })
    }
}
