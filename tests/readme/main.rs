//! README and the pages in `docs/` do what they say: what they show is run as written, and so are the pipelines in the
//! elements' own documentation; tables are what the elements register and say; links lead somewhere.
//!
//! The stand-ins, for want of a screen and a camera, are in [`recipe::stand_ins`]. Everything else is typed as
//! it stands there, in a folder that holds a `photo.jpg`, a `video.mp4` and models of the zoo under the names that
//! the recipes use.

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod folder;
mod links;
mod prores;
mod recipe;
mod tables;

use std::time::{Duration, Instant};

use folder::Folder;
use recipe::Recipe;

/// More than anything takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A page by its path in the project.
fn page(path: &str) -> String {
    let text = std::fs::read_to_string(common::root().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of the pages in `docs/`, in order.
fn pages() -> Vec<String> {
    let folder = std::fs::read_dir(common::root().join("docs")).expect("a folder");
    let mut pages: Vec<_> = folder
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.sort();
    pages
}

/// The page that holds the numbered recipes.
const RECIPES: &str = "docs/recipes.md";

#[test]
fn the_readmes_recipes_run_as_written() {
    let recipes = recipe::recipes(&page("README.md"));
    assert_eq!(recipes.len(), 4, "recipes of the README");
    run(&recipes);
}

#[test]
fn recipes_run_as_written() {
    let recipes = recipe::page(&page(RECIPES));
    assert!(recipes.len() >= 14, "only {} recipes", recipes.len());
    let told = run(&recipes);

    // the same video, read from Rust, Python and C, tells the same
    let read: Vec<_> = told
        .iter()
        .filter(|(commands, _)| commands.contains("read_meta"))
        .collect();
    assert!(!read.is_empty(), "no recipe reads the meta");
    for (commands, told) in &read {
        assert_eq!(told.lines().count(), folder::FRAMES, "{commands}\n{told}");
        assert!(
            told.lines().all(|line| line.contains("s  inverse depth ")),
            "{told}"
        );
        assert_eq!(*told, read[0].1, "{commands}");
    }
}

#[test]
fn pages_run_as_written() {
    let others: Vec<_> = pages().into_iter().filter(|path| path != RECIPES).collect();
    assert!(others.len() >= 8, "only {others:?}");
    let recipes: Vec<_> = others
        .iter()
        .flat_map(|path| recipe::page(&page(path)))
        .collect();
    run(&recipes);
}

#[test]
fn pipelines_of_the_elements_documentation_run_as_written() {
    for source in ["src/depthanything/mod.rs", "src/depthcolorize/mod.rs"] {
        let text = std::fs::read_to_string(common::root().join(source)).expect("a source");
        assert!(text.contains(" * SECTION:element-"), "{source}");
        // each of them, and each enum, says since when it is there
        let comments = text.matches("/**\n").count();
        assert_eq!(text.matches("* Since: 0.").count(), comments, "{source}");
        let enums = text.matches("#[enum_type(name").count();
        assert_eq!(comments, enums + 1, "{source}");
        let blocks = recipe::documented(&text);
        assert!(!blocks.is_empty(), "{source} shows no pipeline");
        run(&[Recipe {
            title: source.to_owned(),
            at_once: false,
            blocks,
        }]);
    }
}

/// Runs them all; what each block printed.
fn run(recipes: &[Recipe]) -> Vec<(String, String)> {
    let folder = Folder::new();
    let mut told = Vec::new();
    let mut failures = Vec::new();
    for recipe in recipes {
        let start = Instant::now();
        let result = if recipe.at_once {
            folder.run_at_once(&recipe.blocks, TIMEOUT)
        } else {
            folder.run_in_turn(&recipe.blocks, TIMEOUT)
        };
        println!("{}: {:.1} s", recipe.title, start.elapsed().as_secs_f64());
        match result {
            Ok(outputs) => told.extend(outputs),
            Err(error) => failures.push(format!("{}\n{error}", recipe.title)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    told
}
