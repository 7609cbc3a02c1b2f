//! Files have no dependency cycles: what a file uses can be read before it.
//!
//! The nodes are the files of `src`. A file uses another if its code names an item defined there, by `use` or
//! in place, and every file uses the modules that it declares. A re-export counts as the file that defines
//! the name. Uses of items that a parent module itself defines are not counted, because they are common to
//! the files below it. Tests may use anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources;

/// A module by its path from the root: `["ptm", "htb"]`.
type Module = Vec<String>;

/// The files that each file uses, with what it names of them.
type Uses<'a> = BTreeMap<&'a Module, BTreeMap<&'a Module, &'a str>>;

#[test]
fn no_files_use_each_other_in_a_cycle() {
    let house = House::read();
    let mut uses = Uses::new();
    for (module, file) in &house.files {
        let edges = uses.entry(module).or_default();
        edges.extend(file.paths.iter().filter_map(|path| house.used(module, path)));
        let is_child = |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
        for child in house.files.keys().filter(is_child) {
            edges.entry(child).or_insert("its own module");
        }
    }
    assert!(uses.values().map(BTreeMap::len).sum::<usize>() > 500, "few uses were found");
    let cycles = cycles(&uses);
    let cycles: Vec<String> = cycles.iter().map(|cycle| told(cycle, &uses)).collect();
    assert!(cycles.is_empty(), "files use each other in a cycle:\n\n{}", cycles.join("\n"));
}

/// What the code of a file says.
struct File {
    /// Every path that it names, from `crate`, `super`, `self` or a child: `use` trees are spread out.
    paths: BTreeSet<Module>,
    /// The names that it imports, and what each of them stands for.
    imports: BTreeMap<String, Module>,
}

/// All files of `src`, without tests.
struct House {
    files: BTreeMap<Module, File>,
}

impl House {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        for path in sources(Path::new("src")) {
            let module: Module = path
                .strip_prefix("src")
                .unwrap()
                .with_extension("")
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            let of_tests = ["tests", "testing", "properties", "lib", "main"];
            if !module.iter().any(|part| of_tests.contains(&part.as_str())) {
                files.insert(module.clone(), File::read(&path, &module));
            }
        }
        House { files }
    }

    /// The file that defines what `path` stands for in `module`, and its name there; `None` for what is not counted.
    fn used<'a>(&'a self, module: &Module, path: &'a Module) -> Option<(&'a Module, &'a str)> {
        let (defines, name) = self.defined(path, 0)?;
        (!module.starts_with(defines)).then_some((defines, name.map_or("", String::as_str)))
    }

    /// The file in which an absolute path ends, and the name of the item in it.
    fn defined<'a>(&'a self, path: &'a Module, depth: usize) -> Option<(&'a Module, Option<&'a String>)> {
        let length = (1..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, file) = self.files.get_key_value(&path[..length])?;
        let name = path.get(length);
        match name.and_then(|name| file.imports.get(name)) {
            Some(import) if depth < 10 => self.defined(import, depth + 1).or(Some((module, name))),
            _ => Some((module, name)),
        }
    }
}

impl File {
    fn read(path: &Path, module: &Module) -> Self {
        let text = super::code(path).join("\n");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let children: BTreeSet<&str> = text.lines().filter_map(declared).collect();
        let mut file = File { paths: BTreeSet::new(), imports: BTreeMap::new() };
        let mut rest = text;
        while let Some((before, from_use)) = split_at_use(rest) {
            file.name_in_place(before, module);
            let (tree, behind) = from_use.split_once(';').unwrap_or((from_use, ""));
            for (path, alias) in spread(tree) {
                let Some(path) = absolute(&path, module, &children) else { continue };
                file.imports.insert(alias, path.clone());
                file.paths.insert(path);
            }
            rest = behind;
        }
        file.name_in_place(rest, module);
        file
    }

    /// Collects the paths in code that is no `use`.
    fn name_in_place(&mut self, code: &str, module: &Module) {
        for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
            if code[..at].ends_with([':', '$']) || code[..at].ends_with(char::is_alphanumeric) {
                continue;
            }
            let path: String =
                code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let path: Vec<String> =
                path.split("::").map(str::to_owned).filter(|part| !part.is_empty()).collect();
            self.paths.extend(absolute(&path, module, &BTreeSet::new()));
        }
    }
}

/// The child that a line such as `pub(super) mod child;` declares.
fn declared(line: &str) -> Option<&str> {
    let (visibility, name) = line.strip_suffix(';')?.split_once("mod ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
}

/// The code before the next `use`, and what stands behind that word.
fn split_at_use(code: &str) -> Option<(&str, &str)> {
    let at = code.match_indices("use ").map(|(at, _)| at).find(|&at| {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line.starts_with("pub") && !line.contains(';')
    })?;
    Some((&code[..at], &code[at + "use ".len()..]))
}

/// The paths of a `use` tree, each with the name that it brings into scope.
fn spread(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some((prefix, inner)) = tree.split_once('{') {
        let prefix: Vec<String> =
            prefix.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
        let inner = inner.strip_suffix('}').unwrap_or(inner);
        return parts(inner)
            .into_iter()
            .flat_map(spread)
            .map(|(path, alias)| {
                let path: Vec<String> = prefix.iter().cloned().chain(path).collect();
                (path, alias)
            })
            .collect();
    }
    if tree.is_empty() {
        return Vec::new();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, tree.rsplit("::").next().unwrap_or(tree)));
    vec![(
        path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self").collect(),
        alias.trim().to_owned(),
    )]
}

/// The parts of a list between braces, at its outermost commas.
fn parts(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[from..]);
    found
}

/// A path as `module` names it, from the root; `None` for one that leads out of this crate.
fn absolute(path: &[String], module: &Module, children: &BTreeSet<&str>) -> Option<Module> {
    let first = path.first()?.as_str();
    if first == "crate" {
        return Some(path[1..].to_vec());
    }
    if children.contains(first) {
        return Some(module.iter().chain(path).cloned().collect());
    }
    let ups = path.iter().take_while(|part| *part == "super").count();
    let above = module.len().checked_sub(ups).filter(|_| ups > 0)?;
    Some(module[..above].iter().chain(&path[ups..]).cloned().collect())
}

/// The groups of files that reach each other.
fn cycles<'a>(uses: &Uses<'a>) -> Vec<Vec<&'a Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        uses.keys().map(|from| (*from, reach(from, uses))).collect();
    let mut found: BTreeSet<Vec<&Module>> = BTreeSet::new();
    for (from, to) in &reached {
        if to.contains(from) {
            found.insert(to.iter().copied().filter(|to| reached[to].contains(from)).collect());
        }
    }
    found.into_iter().collect()
}

/// The files that a file uses, and those that these use.
fn reach<'a>(from: &Module, uses: &Uses<'a>) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = uses[from].keys().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(uses[next].keys());
        }
    }
    reached
}

/// A cycle in words: each of its files, with what it uses of the others.
fn told(cycle: &[&Module], uses: &Uses<'_>) -> String {
    let name = |module: &Module| format!("src/{}.rs", module.join("/"));
    let line = |file: &&Module| {
        let used = uses[file].iter().filter(|(used, _)| cycle.contains(used));
        let used: Vec<String> = used.map(|(used, item)| format!("{} ({item})", name(used))).collect();
        format!("{} uses {}\n", name(file), used.join(", "))
    };
    cycle.iter().map(line).collect()
}
