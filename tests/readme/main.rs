//! The README does what it says: its recipes run as written, and so do the pipelines in the elements' own
//! documentation; its tables are what the elements register and say.
//!
//! The stand-ins, for want of a screen and a camera, are in [`recipe::stand_ins`]. Everything else is typed as
//! it stands there, in a folder that holds a `photo.jpg`, a `film.mp4` and models of the zoo under the names that
//! the recipes use.

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod folder;
mod prores;
mod recipe;
mod tables;

use std::time::{Duration, Instant};

use folder::Folder;
use recipe::Recipe;

/// More than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

fn readme() -> String {
    std::fs::read_to_string(common::root().join("README.md")).expect("a README")
}

#[test]
fn recipes_run_as_written() {
    let recipes = recipe::recipes(&readme());
    assert!(recipes.len() >= 10, "only {} recipes", recipes.len());
    let told = run(&recipes);

    // the same film, read from Rust, Python and C, tells the same
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
    let path = common::root().join("docs/compositing.md");
    let text = std::fs::read_to_string(&path).expect("a page");
    let recipes = recipe::page(&text);
    assert!(!recipes.is_empty(), "{} shows no command", path.display());
    run(&recipes);
}

#[test]
fn pipelines_of_the_elements_documentation_run_as_written() {
    for source in ["src/depthanything/mod.rs", "src/depthcolorize/mod.rs"] {
        let text = std::fs::read_to_string(common::root().join(source)).expect("a source");
        assert!(text.contains("//! SECTION:element-"), "{source}");
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
            folder.run_at_once(&recipe.blocks, PATIENCE)
        } else {
            folder.run_in_turn(&recipe.blocks, PATIENCE)
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
