//! The modules of all crates, as `mod` connects them, and the paths that each of them names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, Item, ItemMod, ItemUse, Lit, Meta, UseTree};

/// Rust files by their path from the root of the project, with `/` between its parts.
pub(crate) type Texts = BTreeMap<String, String>;

/// A module by its index in [`Tree::modules`].
pub(crate) type ModuleId = usize;

/// A path that stands in a file: in a `use`, in code, or in what a macro is given.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// As written; the last one of a glob is `*`.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Only there when tests are built.
    pub(crate) in_test: bool,
}

/// A file's or an inline module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) file: String,
    parent: Option<ModuleId>,
    root: ModuleId,
    in_test: bool,
    children: BTreeMap<String, ModuleId>,
    /// The names that its `use` items bring in, each with its path as written.
    names: BTreeMap<String, Vec<String>>,
    /// The paths before the `*` of its globs.
    globs: Vec<Vec<String>>,
    pub(crate) references: Vec<Reference>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The module that has the item, behind all re-exports.
    pub(crate) module: ModuleId,
    /// The modules that re-export it on the way.
    pub(crate) through: Vec<ModuleId>,
    /// The path ends at the module itself: it is only given a name here, and what is used of it stands elsewhere.
    pub(crate) is_module: bool,
}

/// All modules of all crates.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
    /// The libraries, by the name that other crates call them by.
    libraries: BTreeMap<String, ModuleId>,
}

/// The longest chain of re-exports that is followed.
const MAX_HOPS: usize = 16;

/// The folders that have Rust code.
const FOLDERS: [&str; 4] = ["src", "crates", "benches", "tests"];

/// All Rust files of the project. It need not have each of the folders.
pub(crate) fn texts(project: &Path) -> io::Result<Texts> {
    let mut texts = Texts::new();
    let folders = FOLDERS.iter().map(|folder| project.join(folder));
    let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(project).unwrap_or(&path);
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                texts.insert(parts.join("/"), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(texts)
}

/// Whether cargo begins to read a crate at this file, and the name of the library if it is one.
fn crate_root(file: &str) -> Option<Option<String>> {
    let parts: Vec<&str> = file.split('/').collect();
    match parts[..] {
        ["src", "lib.rs"] => Some(Some("xray".to_owned())),
        ["crates", name, "src", "lib.rs"] => Some(Some(name.replace('-', "_"))),
        ["src", "main.rs"]
        | ["crates", _, "src", "main.rs"]
        | ["benches" | "tests", _]
        | ["crates", _, "benches" | "tests", _]
        | ["benches" | "tests", _, "main.rs"]
        | ["crates", _, "benches" | "tests", _, "main.rs"] => Some(None),
        _ => None,
    }
}

impl Tree {
    /// Follows `mod` from each crate's root. Panics at a file that can't be parsed or is not there.
    pub(crate) fn of(texts: &Texts) -> Self {
        let mut tree = Self::default();
        for file in texts.keys() {
            let Some(library) = crate_root(file) else { continue };
            let root = tree.modules.len();
            // What stands in tests and benches is code of its own, not tests of it.
            tree.add(Module::new(file, None, root, false));
            if let Some(name) = library {
                tree.libraries.insert(name, root);
            }
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            tree.read(texts, root, &folder);
        }
        tree
    }

    fn add(&mut self, module: Module) -> ModuleId {
        self.modules.push(module);
        self.modules.len() - 1
    }

    /// Reads the file of `module`, whose children are in `folder`.
    fn read(&mut self, texts: &Texts, module: ModuleId, folder: &str) {
        let file = self.modules[module].file.clone();
        let parsed = syn::parse_file(&texts[&file]);
        let parsed = parsed.unwrap_or_else(|error| panic!("{file}:{}: {error}", error.span().start().line));
        self.items(texts, module, folder, parsed.items);
    }

    fn items(&mut self, texts: &Texts, module: ModuleId, folder: &str, items: Vec<Item>) {
        for item in items {
            let in_test = self.modules[module].in_test;
            match item {
                Item::Mod(item) => self.child(texts, module, folder, item),
                Item::Use(item) => {
                    let in_test = in_test || is_for_tests(&item.attrs);
                    self.modules[module].bring_in(&item, in_test);
                }
                item => {
                    let in_test = in_test || is_for_tests(attributes(&item));
                    self.modules[module].scan(item.into_token_stream(), in_test);
                }
            }
        }
    }

    fn child(&mut self, texts: &Texts, parent: ModuleId, folder: &str, item: ItemMod) {
        let name = item.ident.to_string();
        let Module {
            file, root, in_test, ..
        } = &self.modules[parent];
        let (parents_file, root) = (file.clone(), *root);
        let in_test = *in_test || is_for_tests(&item.attrs);
        let named = path_attribute(&item.attrs).map(|path| {
            let folder = parents_file.rsplit_once('/').map_or("", |(folder, _)| folder);
            joined(folder, &path)
        });
        let (file, inline) = match item.content {
            Some((_, items)) => (parents_file.clone(), Some(items)),
            None => {
                let candidates = match named {
                    Some(file) => vec![file],
                    None => vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")],
                };
                let file = candidates.iter().find(|file| texts.contains_key(*file));
                let line = item.ident.span().start().line;
                let file = file.unwrap_or_else(|| panic!("{parents_file}:{line}: no file for mod {name}"));
                (file.clone(), None)
            }
        };
        let child = self.add(Module::new(&file, Some(parent), root, in_test));
        self.modules[parent].children.insert(name.clone(), child);
        match inline {
            Some(items) => self.items(texts, child, &format!("{folder}/{name}"), items),
            None => {
                let folder = file.strip_suffix("/mod.rs").or(file.strip_suffix(".rs"));
                self.read(texts, child, folder.unwrap_or_default());
            }
        }
    }

    /// Whether `above` is `module` or has it among what is below.
    pub(crate) fn is_within(&self, module: ModuleId, above: ModuleId) -> bool {
        let mut next = Some(module);
        while let Some(module) = next {
            if module == above {
                return true;
            }
            next = self.modules[module].parent;
        }
        false
    }

    /// Where `segments`, written in `module`, lead; `None` when that is outside of this project, or nowhere.
    pub(crate) fn resolve(&self, module: ModuleId, segments: &[String]) -> Option<Target> {
        self.resolve_within(module, segments, MAX_HOPS)
    }

    fn resolve_within(&self, module: ModuleId, segments: &[String], hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => self.walk(self.modules[module].root, rest, hops),
            "self" => self.walk(module, rest, hops),
            "super" => {
                let mut above = self.modules[module].parent?;
                let ups = rest.iter().take_while(|segment| *segment == "super").count();
                for _ in 0..ups {
                    above = self.modules[above].parent?;
                }
                self.walk(above, &rest[ups..], hops)
            }
            name => {
                let own = &self.modules[module];
                if own.children.contains_key(name) || own.names.contains_key(name) {
                    return self.walk(module, segments, hops);
                }
                if let Some(&library) = self.libraries.get(name) {
                    return self.walk(library, rest, hops);
                }
                self.through_globs(module, segments, hops)
            }
        }
    }

    /// Where `segments` lead, seen from inside `module`.
    fn walk(&self, module: ModuleId, segments: &[String], hops: usize) -> Option<Target> {
        let here = Target {
            module,
            through: Vec::new(),
            is_module: segments.is_empty(),
        };
        let Some((first, rest)) = segments.split_first() else {
            return Some(here);
        };
        let own = &self.modules[module];
        if let Some(&child) = own.children.get(first) {
            return self.walk(child, rest, hops);
        }
        if let Some(path) = own.names.get(first) {
            let path: Vec<String> = path.iter().chain(rest).cloned().collect();
            // What comes from outside of the project is had from here. So is what `use a;` names, which would lead back.
            let Some(mut target) = self
                .resolve_within(module, &path, hops)
                .filter(|_| path != segments)
            else {
                return Some(here);
            };
            target.through.push(module);
            return Some(target);
        }
        if let Some(mut target) = self.through_globs(module, segments, hops) {
            target.through.push(module);
            return Some(target);
        }
        Some(here)
    }

    /// Where `segments` lead by a glob of `module`, if one brings in the first of them from a `use` or as a module.
    fn through_globs(&self, module: ModuleId, segments: &[String], hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        self.modules[module].globs.iter().find_map(|glob| {
            let target = self.resolve_within(module, glob, hops)?;
            let there = &self.modules[target.module];
            let has = there.children.contains_key(&segments[0]) || there.names.contains_key(&segments[0]);
            if !target.is_module || !has {
                return None;
            }
            self.walk(target.module, segments, hops)
        })
    }
}

impl Module {
    fn new(file: &str, parent: Option<ModuleId>, root: ModuleId, in_test: bool) -> Self {
        Self {
            file: file.to_owned(),
            parent,
            root,
            in_test,
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            globs: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Takes up what a `use` says, one of a function's body too.
    fn bring_in(&mut self, item: &ItemUse, in_test: bool) {
        let mut before = Vec::new();
        self.bring_in_tree(&item.tree, &mut before, in_test);
    }

    fn bring_in_tree(&mut self, tree: &UseTree, before: &mut Vec<String>, in_test: bool) {
        let line = tree.span().start().line;
        let (written, name) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bring_in_tree(&path.tree, before, in_test);
                before.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring_in_tree(tree, before, in_test);
                }
                return;
            }
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
            UseTree::Glob(_) => {
                self.globs.push(before.clone());
                let mut segments = before.clone();
                segments.push("*".to_owned());
                self.references.push(Reference {
                    segments,
                    line,
                    in_test,
                });
                return;
            }
        };
        let mut segments = before.clone();
        let mut name = name;
        if written == "self" {
            if name == "self" {
                name = before.last().cloned().unwrap_or_default();
            }
        } else {
            segments.push(written);
        }
        self.names.entry(name).or_insert_with(|| segments.clone());
        self.references.push(Reference {
            segments,
            line,
            in_test,
        });
    }

    /// Takes up the paths of code, also of what macros are given. Texts, links in them among others, are none.
    fn scan(&mut self, tokens: TokenStream, in_test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, c: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let is_separator = |at: usize| is(at, ':') && is(at + 1, ':');
        let mut next = 0;
        while next < tokens.len() {
            let start = next;
            next += 1;
            match &tokens[start] {
                TokenTree::Group(group) => self.scan(group.stream(), in_test),
                TokenTree::Ident(ident) if ident == "use" => {
                    let length = tokens[start..]
                        .iter()
                        .position(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ';'));
                    let Some(length) = length else { continue };
                    let item = tokens[start..=start + length].iter().cloned().collect();
                    if let Ok(item) = syn::parse2::<ItemUse>(item) {
                        self.bring_in(&item, in_test);
                        next = start + length + 1;
                    }
                }
                TokenTree::Ident(ident) if is_separator(next) => {
                    let line = ident.span().start().line;
                    let mut segments = vec![ident.to_string()];
                    while is_separator(next)
                        && let Some(TokenTree::Ident(ident)) = tokens.get(next + 2)
                    {
                        segments.push(ident.to_string());
                        next += 3;
                    }
                    self.references.push(Reference {
                        segments,
                        line,
                        in_test,
                    });
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// `#[cfg(test)]`, or a condition of which it is a part.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let words = words(list.tokens.clone());
        list.path.is_ident("cfg")
            && words.iter().any(|word| word == "test")
            && !words.iter().any(|word| word == "not")
    })
}

fn words(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) => vec![ident.to_string()],
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => words(group.stream()),
        _ => Vec::new(),
    });
    words.flatten().collect()
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// `folder/path`, with each `..` gone up.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => &[],
    }
}
