//! The sources as the compiler sees them: crates, their modules by file, functions with their lengths, imports.
//!
//! Test modules (`#[cfg(test)]`) and files taken from elsewhere (`#[path]`) are left out. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{MetadataCommand, TargetKind};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// One module of a crate: a file, or a block of one.
pub struct Module {
    /// Names from the crate's root, which has none.
    pub path: Vec<String>,
    /// The file that it stands in.
    pub file: PathBuf,
    /// Paths that it names, absolute from the crate's root.
    pub names: BTreeSet<Vec<String>>,
    /// What it passes on under a name of its own: name → where it is from.
    re_exports: BTreeMap<String, Vec<String>>,
}

/// One function.
pub struct Function {
    /// File and name.
    pub file: PathBuf,
    /// Its name, with that of its type.
    pub name: String,
    /// Lines from its signature to its last brace.
    pub lines: usize,
}

/// One crate of the workspace.
pub struct Crate {
    /// Its package's name.
    pub name: String,
    /// Its modules; the first is the root.
    pub modules: Vec<Module>,
    /// Its functions.
    pub functions: Vec<Function>,
    /// Lines of each file without its tests.
    pub lines: BTreeMap<PathBuf, usize>,
}

impl Crate {
    /// The module that a path from the crate's root ends in: re-exports are followed to where a name is from.
    pub fn module_of(&self, path: &[String]) -> Option<usize> {
        let find = |path: &[String]| self.modules.iter().position(|module| module.path == path);
        let (mut at, mut rest) = (0, path.to_vec());
        // A name that is passed on is passed on a few times at most.
        for _ in 0..8 {
            while let Some(child) = rest.first().and_then(|name| {
                let below: Vec<String> = self.modules[at].path.iter().chain([name]).cloned().collect();
                find(&below)
            }) {
                at = child;
                rest.remove(0);
            }
            let Some(from) = rest.first().and_then(|name| self.modules[at].re_exports.get(name)) else {
                return Some(at);
            };
            rest.splice(..1, from.iter().cloned());
            at = 0;
        }
        None
    }
}

/// Every library and program of the workspace.
pub fn crates() -> Vec<Crate> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let mut crates: Vec<Crate> = Vec::new();
    for package in &metadata.packages {
        for target in &package.targets {
            if target.kind.iter().any(|kind| matches!(kind, TargetKind::Lib | TargetKind::Bin)) {
                crates.push(read(&package.name, target.src_path.as_std_path()));
            }
        }
    }
    crates
}

/// The crate whose root is a file.
pub fn read(name: &str, root: &Path) -> Crate {
    let mut found = Crate { name: name.to_owned(), modules: Vec::new(), functions: Vec::new(), lines: BTreeMap::new() };
    let folder = root.parent().expect("a file has a folder").to_owned();
    read_file(&mut found, root.to_owned(), &folder, Vec::new());
    found
}

/// Reads one file and, where it declares modules, theirs: `below` is the folder that those are looked for in.
fn read_file(found: &mut Crate, file: PathBuf, below: &Path, path: Vec<String>) {
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let tests: usize =
        parsed.items.iter().filter(|item| is_test(attributes(item))).map(|item| lines(&item.span())).sum();
    found.lines.insert(file.clone(), text.lines().count() - tests);
    read_items(found, &parsed.items, &file, below, path);
}

fn read_items(found: &mut Crate, items: &[syn::Item], file: &Path, below: &Path, path: Vec<String>) {
    let mut reader = Reader {
        path: path.clone(),
        module: Module::new(path.clone(), file),
        functions: Vec::new(),
        of: String::new(),
    };
    let mut inner = Vec::new();
    for item in items.iter().filter(|item| !is_test(attributes(item))) {
        match item {
            syn::Item::Mod(module) => inner.push(module),
            item => reader.visit_item(item),
        }
    }
    let Reader { module, functions, .. } = reader;
    found.modules.push(module);
    found.functions.extend(functions);
    for module in inner {
        let name = module.ident.to_string();
        let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        if let Some((_, items)) = &module.content {
            read_items(found, items, file, &below.join(&name), path);
        } else if !module.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            let [flat, nested] = [below.join(format!("{name}.rs")), below.join(&name).join("mod.rs")];
            let file = if flat.is_file() { flat } else { nested };
            read_file(found, file, &below.join(&name), path);
        }
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition.contains("test") && !condition.contains("not")
        }
        meta => meta.path().is_ident("test"),
    })
}

fn lines(span: &proc_macro2::Span) -> usize {
    span.end().line - span.start().line + 1
}

impl Module {
    fn new(path: Vec<String>, file: &Path) -> Self {
        Self { path, file: file.to_owned(), names: BTreeSet::new(), re_exports: BTreeMap::new() }
    }
}

/// Collects what one module names and which functions it has.
struct Reader {
    path: Vec<String>,
    module: Module,
    functions: Vec<Function>,
    /// Type whose functions are being read.
    of: String,
}

impl Reader {
    /// `crate::…`, `self::…` or `super::…` from the crate's root; none for names from elsewhere.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" | "super" => self.path.clone(),
            _ => return None,
        };
        let mut rest = path;
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = tail;
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn name(&mut self, path: &[String]) {
        self.module.names.extend(self.absolute(path));
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>, passed_on: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, passed_on);
                before.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before, passed_on)),
            syn::UseTree::Glob(_) => self.name(before),
            syn::UseTree::Name(name) => self.leaf(&name.ident.to_string(), None, before, passed_on),
            syn::UseTree::Rename(name) => {
                self.leaf(&name.ident.to_string(), Some(name.rename.to_string()), before, passed_on);
            }
        }
    }

    fn leaf(&mut self, name: &str, renamed: Option<String>, before: &[String], passed_on: bool) {
        let own = name == "self";
        let path: Vec<String> = before.iter().cloned().chain((!own).then(|| name.to_owned())).collect();
        self.name(&path);
        if passed_on {
            // `pub use module::Name` of the 2018 edition names a child of this module.
            let absolute =
                self.absolute(&path).unwrap_or_else(|| self.path.iter().cloned().chain(path.iter().cloned()).collect());
            let name = renamed.or_else(|| path.last().cloned());
            self.module.re_exports.extend(name.map(|name| (name, absolute)));
        }
    }

    /// Macro arguments are no syntax tree: their paths are found by their tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut joined = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if joined != 2 {
                        let whole = std::mem::take(&mut path);
                        self.name(&whole);
                    }
                    path.push(ident.to_string());
                    joined = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => joined += 1,
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => joined = 0,
            }
        }
        self.name(&path);
    }

    fn function(&mut self, signature: &syn::Signature, end: proc_macro2::Span) {
        let lines = end.end().line - signature.span().start().line + 1;
        let name =
            if self.of.is_empty() { signature.ident.to_string() } else { format!("{}::{}", self.of, signature.ident) };
        self.functions.push(Function { file: self.module.file.clone(), name, lines });
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let passed_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &mut Vec::new(), passed_on);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(&names);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(mac.tokens.clone());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.block.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let before = std::mem::replace(&mut self.of, of.unwrap_or_default());
        syn::visit::visit_item_impl(self, item);
        self.of = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, item.block.span());
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block.span());
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}
