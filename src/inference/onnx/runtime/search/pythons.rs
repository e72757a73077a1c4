//! Where Python installations keep their packages.

use std::path::{Path, PathBuf};

/// The `site-packages` folders of one Python installation, or a group of them.
#[derive(Debug, Clone)]
pub(super) struct Python {
    pub(super) origin: &'static str,
    /// What was looked through, for the error: `~/.local/lib/python3.*/site-packages`.
    pub(super) pattern: PathBuf,
    /// The folders that exist, newest Python first.
    pub(super) folders: Vec<PathBuf>,
}

/// What says where Python installations are, apart from fixed places.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes {
    /// The Python that runs in this process: its `bin/python`, links not followed.
    pub(super) running: Option<PathBuf>,
    pub(super) virtual_env: Option<PathBuf>,
    pub(super) conda_prefix: Option<PathBuf>,
    pub(super) user_base: Option<PathBuf>,
    pub(super) pyenv: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    /// `/`, except in tests.
    pub(super) root: PathBuf,
}

/// A place to look in, or one that is not to be looked in and why.
pub(super) type Place = Result<Python, (&'static str, PathBuf, &'static str)>;

const RELATIVE: &str = "it is no absolute path, and code is not taken from whatever folder is the current one; give it \
                        from / on";

pub(super) fn pythons(homes: &Homes) -> Vec<Place> {
    let home = |below: &str| homes.home.as_ref().map(|home| home.join(below));
    let root = |below: &str| Some(homes.root.join(below));
    let user = homes.user_base.clone().or_else(|| home(".local"));
    let pyenv = homes.pyenv.clone().or_else(|| home(".pyenv"));

    let running = homes.running.iter().flat_map(|python| prefixes(python));
    let mut places: Vec<(&'static str, Option<PathBuf>)> = running
        .map(|prefix| ("the Python of this process", Some(prefix)))
        .collect();
    places.extend([
        ("Python of VIRTUAL_ENV", homes.virtual_env.clone()),
        ("Python of CONDA_PREFIX", homes.conda_prefix.clone()),
        ("the user's Python packages", user),
        ("pyenv", pyenv.map(|pyenv| pyenv.join("versions/*"))),
        ("Miniconda", home("miniconda3")),
        ("Miniforge", home("miniforge3")),
        ("Anaconda", home("anaconda3")),
        ("the system's Python", root("usr/local")),
        ("the system's Python", root("usr")),
        ("Conda", root("opt/conda")),
    ]);
    let mut pythons = Vec::new();
    for (origin, prefix) in places {
        let Some(prefix) = prefix else { continue };
        if !prefix.is_absolute() {
            pythons.push(Err((origin, prefix, RELATIVE)));
            continue;
        }
        let folders = site_packages(&prefix);
        // the places that are named or that every system has are worth a line in the error even when empty
        let expected = ["process", "VIRTUAL_ENV", "CONDA_PREFIX", "user", "system"]
            .iter()
            .any(|word| origin.contains(word));
        if expected || !folders.is_empty() {
            pythons.push(Ok(Python {
                origin,
                pattern: prefix.join("lib/python3*/site-packages"),
                folders,
            }));
        }
    }
    pythons
}

/// Where a Python finds its packages: its virtual environment, and what that is based on.
fn prefixes(python: &Path) -> Vec<PathBuf> {
    let above = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_owned);
    let mut prefixes = Vec::new();
    // a virtual environment's `bin/python` is a link; what it leads to knows nothing of it
    if let Some(prefix) = above(python) {
        let settings = std::fs::read_to_string(prefix.join("pyvenv.cfg")).unwrap_or_default();
        let home = settings.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "home").then(|| PathBuf::from(value.trim()))
        });
        prefixes.push(prefix);
        prefixes.extend(home.as_deref().and_then(Path::parent).map(Path::to_owned));
    }
    let real = std::fs::canonicalize(python).ok();
    prefixes.extend(real.as_deref().and_then(above));
    let mut seen = Vec::new();
    prefixes.retain(|prefix| {
        let is_new = !seen.contains(prefix);
        seen.push(prefix.clone());
        is_new
    });
    prefixes
}

/// The `site-packages` that `plugin` lies in, at whatever depth.
pub(super) fn around(plugin: &Path) -> Option<PathBuf> {
    plugin
        .ancestors()
        .find(|folder| folder.ends_with("site-packages") || folder.ends_with("dist-packages"))
        .map(Path::to_owned)
}

/// `site-packages` and `dist-packages` below `prefix`, newest Python first. A last component `*` stands for every
/// folder there.
pub(super) fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    if prefix.ends_with("*") {
        let parent = prefix.parent().unwrap_or(prefix);
        return subfolders(parent)
            .iter()
            .flat_map(|prefix| site_packages(prefix))
            .collect();
    }
    let mut found = Vec::new();
    for library in ["lib", "lib64"] {
        let mut pythons: Vec<_> = subfolders(&prefix.join(library))
            .into_iter()
            .filter_map(|folder| {
                let name = folder.file_name()?.to_string_lossy().into_owned();
                let version = name.strip_prefix("python3")?.to_owned();
                let minor = version
                    .strip_prefix('.')
                    .map_or(0, |v| v.parse().unwrap_or(0));
                Some((minor, folder))
            })
            .collect();
        pythons.sort_by_key(|(minor, _): &(u32, PathBuf)| std::cmp::Reverse(*minor));
        for (_, folder) in pythons {
            for packages in ["site-packages", "dist-packages"] {
                let folder = folder.join(packages);
                if folder.is_dir() {
                    found.push(folder);
                }
            }
        }
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}
