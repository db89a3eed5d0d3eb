//! The files of a crate, and what each imports from the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ItemMod, ItemUse, Macro, Meta, Path, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::root;

/// A module's place: `["daemon", "core"]`; the root's is empty.
type Place = Vec<String>;

/// One module.
#[derive(Default)]
struct Module {
    file: String,
    /// What `use` brings in, by the name under which it does.
    names: BTreeMap<String, Place>,
    /// Paths named in its code.
    paths: Vec<Place>,
    /// Paths of what `use` brings in: imports by themselves where they end at something that is no module.
    uses: Vec<Place>,
}

/// The files that one root pulls in.
pub struct Crate {
    modules: BTreeMap<Place, Module>,
}

/// The roots of a package: its library, programs and tests.
pub fn roots(package: &str) -> Vec<String> {
    let mut found: Vec<_> = ["src/lib.rs", "src/main.rs"].map(|file| format!("{package}/{file}")).into();
    found.retain(|file| root().join(file).exists());
    for directory in ["src/bin", "tests"].map(|directory| format!("{package}/{directory}")) {
        for entry in fs::read_dir(root().join(&directory)).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().extension().is_some_and(|kind| kind == "rs") {
                found.push(format!("{directory}/{name}"));
            } else if entry.path().join("main.rs").exists() {
                found.push(format!("{directory}/{name}/main.rs"));
            }
        }
    }
    found
}

impl Crate {
    /// The crate of this root.
    pub fn read(file: &str) -> Self {
        Self::read_by(file, &|path| fs::read_to_string(root().join(path)).ok())
    }

    /// The crate of this root, with files that come from `read`.
    pub fn read_by(file: &str, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader =
            Reader { read, modules: BTreeMap::new(), place: Vec::new(), file: String::new(), children: String::new() };
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
        reader.file(file.to_owned(), directory);
        Self { modules: reader.modules }
    }

    /// Which file imports from which.
    pub fn imports(&self) -> BTreeSet<(String, String)> {
        let mut imports = BTreeSet::new();
        for (place, module) in &self.modules {
            for path in &module.paths {
                let Some(path) = self.absolute(place, path) else { continue };
                imports.insert((module.file.clone(), self.defined_in(&path, 0).0));
            }
            for path in &module.uses {
                let Some(path) = self.absolute(place, path) else { continue };
                // Of a module that is brought in, that counts what is named through it.
                if let (file, true) = self.defined_in(&path, 0) {
                    imports.insert((module.file.clone(), file));
                }
            }
        }
        imports.retain(|(from, to)| from != to);
        imports
    }

    /// A path from the crate's root, or `None` where it leads out of the crate.
    fn absolute(&self, place: &[String], path: &[String]) -> Option<Place> {
        let mut base = place.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            name => {
                let child = [place, &[name.to_owned()]].concat();
                if !self.modules.contains_key(&child) {
                    let brought =
                        self.modules[place].names.get(name).filter(|brought| brought.first() != path.first())?;
                    return self.absolute(place, &[brought, &path[1..]].concat());
                }
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The file in which a path ends, followed through `use`; and whether it ends at something in it.
    fn defined_in(&self, path: &Place, depth: usize) -> (String, bool) {
        let mut module = Vec::new();
        for (index, name) in path.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let here = &self.modules[&module];
            let elsewhere =
                here.names.get(name).filter(|_| depth < 8).and_then(|brought| self.absolute(&module, brought));
            return match elsewhere {
                Some(target) if target != *path => {
                    self.defined_in(&[&target[..], &path[index + 1..]].concat(), depth + 1)
                }
                _ => (here.file.clone(), true),
            };
        }
        (self.modules[&module].file.clone(), false)
    }
}

/// Reads files as their `mod` items name them.
struct Reader<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    modules: BTreeMap<Place, Module>,
    place: Place,
    file: String,
    /// Where the files of child modules lie.
    children: String,
}

impl Reader<'_> {
    fn file(&mut self, file: String, children: String) {
        let text = (self.read)(&file).unwrap_or_else(|| panic!("{file} cannot be read"));
        let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let outer = (std::mem::replace(&mut self.file, file.clone()), std::mem::replace(&mut self.children, children));
        self.modules.insert(self.place.clone(), Module { file, ..Module::default() });
        self.visit_file(&tree);
        (self.file, self.children) = outer;
    }

    fn module(&mut self) -> &mut Module {
        self.modules.get_mut(&self.place).unwrap()
    }

    fn names(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.names(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.names(tree, before)),
            UseTree::Name(name) if name.ident == "self" => {
                let last = before.last().cloned().unwrap_or_default();
                self.brought(last, before.to_vec());
            }
            UseTree::Name(name) => self.brought(name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.brought(rename.rename.to_string(), before.to_vec());
            }
            UseTree::Rename(rename) => self.brought(rename.rename.to_string(), with(&rename.ident)),
            // Everything of a module, and so something.
            UseTree::Glob(_) => self.module().uses.push(with(&"*")),
        }
    }

    fn brought(&mut self, name: String, path: Place) {
        let module = self.module();
        module.uses.push(path.clone());
        module.names.insert(name, path);
    }

    /// Paths in what a macro is given, or made of.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 || path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    self.path(std::mem::replace(&mut path, vec![name.to_string()]));
                    colons = 0;
                    continue;
                }
                // `a::{b, c}` names `a`, which is enough where it is a file.
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            self.path(std::mem::take(&mut path));
            colons = 0;
        }
        self.path(path);
    }

    fn path(&mut self, path: Place) {
        if path.len() > 1 {
            self.module().paths.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.attrs.iter().any(is_for_tests) {
            return;
        }
        let name = item.ident.to_string();
        let children = format!("{}/{name}", self.children);
        self.place.push(name);
        if let Some((_, items)) = &item.content {
            self.modules.insert(self.place.clone(), Module { file: self.file.clone(), ..Module::default() });
            let outer = std::mem::replace(&mut self.children, children);
            for item in items {
                self.visit_item(item);
            }
            self.children = outer;
        } else if let Some(path) = item.attrs.iter().find_map(named_path) {
            let beside = self.file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
            let file = plain(&format!("{beside}/{path}"));
            // The children of a file that is named lie beside it.
            let children = file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
            self.file(file, children);
        } else {
            let flat = format!("{children}.rs");
            let file = if (self.read)(&flat).is_some() { flat } else { format!("{children}/mod.rs") };
            self.file(file, children);
        }
        self.place.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.names(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Whether this is `#[cfg(test)]`: tests may look everywhere.
fn is_for_tests(attribute: &Attribute) -> bool {
    matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

/// The text of `#[path = "…"]`.
fn named_path(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    pair.path.is_ident("path").then(|| text.value())
}

/// A path without `..`.
fn plain(path: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in path.split('/') {
        if word == ".." {
            words.pop();
        } else {
            words.push(word);
        }
    }
    words.join("/")
}
