//! The crates and which uses which, as `cargo metadata` has it, are those of ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::Command,
};

use e2e::way::root;
use serde_json::Value;

const NAME: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- begin crates -->\n```text\n";
const END: &str = "```\n<!-- end crates -->";

/// Crates of this workspace, each with those that it uses itself; what only its tests use is left out.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn graph() -> Graph {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let used = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| one["kind"].is_null()).map(name).filter(|one| ours.contains(one)).collect()
    };
    packages.iter().map(|package| (name(package), used(package))).collect()
}

/// Everything that a crate uses, directly or not.
fn all_of(graph: &Graph, of: &str) -> BTreeSet<String> {
    let direct = &graph[of];
    direct.iter().cloned().chain(direct.iter().flat_map(|one| all_of(graph, one))).collect()
}

/// A line for each crate, those that use most first. What another one of the line brings along is not repeated.
fn drawn(graph: &Graph) -> String {
    let mut order: Vec<&String> = graph.keys().collect();
    order.sort_by_key(|name| (usize::MAX - all_of(graph, name).len(), *name));
    let line = |name: &&String| {
        let direct = &graph[*name];
        let is_brought = |one: &String| direct.iter().any(|other| all_of(graph, other).contains(one));
        let needed: Vec<&str> = direct.iter().filter(|one| !is_brought(one)).map(String::as_str).collect();
        let arrow = if needed.is_empty() { "" } else { "→ " };
        format!("{name:<12}{arrow}{}", needed.join(", ")).trim_end().to_owned() + "\n"
    };
    order.iter().map(line).collect()
}

#[test]
fn the_graph_of_crates_is_documented() {
    let file = root().join(NAME);
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("ARCHITECTURE.md has a graph of crates");
    let (written, after) = rest.split_once(END).expect("the graph ends");
    let made = drawn(&graph());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, made, "UPDATE_DOCS=1 cargo test --workspace --test world writes it anew");
    }
}

#[test]
fn pure_crates_use_no_crate_with_io() {
    let graph = graph();
    let pure = ["journey", "diagnosis", "view", "packets", "http1", "h2_frames", "secrets", "text", "world"];
    for name in pure {
        let others: Vec<String> =
            all_of(&graph, name).into_iter().filter(|one| !pure.contains(&one.as_str())).collect();
        assert!(others.is_empty(), "{name} uses {others:?}");
    }
}

#[test]
fn no_service_uses_the_analysis_or_a_view() {
    let graph = graph();
    for name in ["nameserver", "resolver", "app", "lab", "netlab"] {
        let all = all_of(&graph, name);
        assert!(!all.contains("diagnosis") && !all.contains("view"), "{name} uses {all:?}");
    }
}
