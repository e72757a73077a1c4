//! Links lead somewhere, paths in the table of CONTRIBUTING are there, and pages stay short enough to be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{common, page, pages, recipe, tables};

/// The Markdown files of the project, relative to its root: those under version control, else those of the folders that
/// hold some.
fn markdown() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "*.md"])
        .current_dir(common::root())
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let mut files: Vec<_> = listed.lines().map(PathBuf::from).collect();
    let known = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ];
    files.extend(known.map(PathBuf::from));
    files.extend(pages().into_iter().map(PathBuf::from));
    files.sort();
    files.dedup();
    // one that was deleted and is not committed yet
    files.retain(|file| common::root().join(file).exists());
    files
}

/// The text without what is in fences and between backquotes: nothing in there is a link or a heading.
fn prose(text: &str) -> String {
    let unfenced = text.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    unfenced.split('`').step_by(2).collect()
}

/// The targets of `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let inline = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned());
    let references = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
        .map(|(_, target)| target.trim().to_owned());
    inline.chain(references).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let unfenced = text.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    unfenced
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let anchor: String = line
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                count => format!("{anchor}-{}", count - 1),
            }
        })
        .collect()
}

/// Why a link from `file` leads nowhere.
fn broken(file: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    if target.contains("://") {
        return Some("neither https nor a path".into());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = file.parent().unwrap_or(Path::new(""));
    let path = match path {
        "" => common::root().join(file),
        path => common::root().join(folder).join(path),
    };
    if !path.exists() {
        return Some("no such file".into());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(&path).ok()?;
    let known = anchors(&text);
    (!known.iter().any(|known| known == anchor)).then(|| format!("no such heading among {known:?}"))
}

#[test]
fn links_lead_somewhere() {
    let files = markdown();
    let mut count = 0;
    let mut faults = Vec::new();
    for file in &files {
        for target in links(&page(&file.display().to_string())) {
            count += 1;
            if let Some(why) = broken(file, &target) {
                faults.push(format!("{}: {target}: {why}", file.display()));
            }
        }
    }
    assert!(count >= 100, "only {count} links in {files:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn broken_links_are_found() {
    let readme = Path::new("README.md");
    for target in [
        "nothing.md",
        "CONTRIBUTING.md#nothing",
        "#nothing",
        "ftp://a.b",
    ] {
        assert!(broken(readme, target).is_some(), "{target}");
    }
    for target in ["CONTRIBUTING.md", "CONTRIBUTING.md#layout", "#recipes"] {
        assert_eq!(broken(readme, target), None, "{target}");
    }
    assert_eq!(
        links("a [b](c) `[d](e)` [f `g`](h#i)\n```\n[j](k)\n```\n[l]: m"),
        ["c", "h#i", "m"]
    );
    assert_eq!(
        anchors("# A, b-c `d_e`\n## A\n## A"),
        ["a-b-c-d_e", "a", "a-1"]
    );
}

/// The README is one page, and every page in `docs/` is read in a sitting and found from the README.
#[test]
fn pages_are_short_and_found() {
    let readme = page("README.md");
    assert!(readme.lines().count() <= 160, "README is too long");
    for path in pages() {
        let text = page(&path);
        assert!(text.starts_with("# "), "{path} has no title");
        assert!(text.lines().count() <= 300, "{path} is too long");
        assert!(
            links(&readme).contains(&path),
            "README does not link to {path}"
        );
    }
    // outside of the recipes nothing is marked as run
    let run: usize = recipe::recipes(&readme)
        .iter()
        .map(|recipe| recipe.blocks.len())
        .sum();
    assert_eq!(run, recipe::fenced(&readme, "sh").len());
}

/// Each task of CONTRIBUTING has one file, which is there.
#[test]
fn contributing_names_files_that_exist() {
    let rows = tables::table(&page("CONTRIBUTING.md"), "## Which file to open");
    assert!(rows.len() >= 10, "only {} tasks", rows.len());
    for row in rows {
        let file = row[1].trim_matches('`');
        assert!(
            common::root().join(file).is_file(),
            "{}: there is no file {file}",
            row[0]
        );
    }
    for row in tables::table(&page("CONTRIBUTING.md"), "## Layout") {
        for path in row[0].split(", ").map(|path| path.trim_matches('`')) {
            assert!(common::root().join(path).exists(), "there is no {path}");
        }
    }
}
