//! What decides here how a model is loaded and what it gives, beside the model and the options: this plugin's build, the
//! runtime's files, the CPU. What is found out about a model is kept under it, and holds nowhere else.

use std::fs::Metadata;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::runtime::file_of_symbol;

/// The plugin's version and commit.
pub(super) const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID"));
/// A folder that holds more files is not the runtime's own: then of its files those count that are named after it.
const MOST_FILES: usize = 256;
/// What its files are called.
const RUNTIME: &str = "libonnxruntime";
/// Of the system's list of CPUs so much is read: the first one.
const MAX_CPU: u64 = 16 << 10;
/// What that list says of the kind of a CPU. The rest is of its state.
const KIND: [&str; 13] = [
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "stepping",
    "microcode",
    "flags",
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
    "CPU revision",
    "Features",
];

/// Adds all of it to `hash`, for the runtime whose library lies at `runtime`.
pub(super) fn add_to(hash: &mut blake3::Hasher, runtime: &Path) {
    let own = file_of_symbol(add_to as *const ());
    // a build of changes that are not committed
    let own = own.map_or(String::new(), |own| state(&own));
    add_parts(
        hash,
        [BUILD, &own, std::env::consts::ARCH, &cpu()].map(str::as_bytes),
    );
    add_library(hash, runtime);
}

/// Adds the state of a library and of what lies beside it.
pub(super) fn add_library(hash: &mut blake3::Hasher, library: &Path) {
    let files = files(library);
    add_parts(hash, files.iter().map(String::as_bytes));
}

/// A text of fixed meaning, of some parts.
pub(super) fn add_parts<'a>(hash: &mut blake3::Hasher, parts: impl IntoIterator<Item = &'a [u8]>) {
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
}

/// The library and what lies beside it, its providers among them: names, lengths and times.
fn files(library: &Path) -> Vec<String> {
    let library = library.canonicalize().unwrap_or(library.to_owned());
    let mut all = vec![format!("{} {}", library.display(), state(&library))];
    let Some(folder) = library.parent() else {
        return all;
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    if names.len() > MOST_FILES {
        names.retain(|name| name.to_string_lossy().starts_with(RUNTIME));
    }
    let beside = names.iter().map(|name| {
        let path = folder.join(name);
        format!("{} {}", name.to_string_lossy(), state(&path))
    });
    all.extend(beside);
    all
}

/// Which state of a file this is.
fn state(path: &Path) -> String {
    path.metadata().map_or(String::new(), |it| state_of(&it))
}

fn state_of(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok();
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!(
        "{} {}",
        metadata.len(),
        modified.map_or(0, |time| time.as_nanos())
    )
}

/// The kind of the first CPU; empty where the system does not tell.
fn cpu() -> String {
    let mut text = String::new();
    if let Ok(file) = std::fs::File::open("/proc/cpuinfo") {
        let _ = file.take(MAX_CPU).read_to_string(&mut text);
    }
    kind_of_cpu(&text)
}

/// What `text`, a list as Linux gives it, says of the kind of the first CPU.
fn kind_of_cpu(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let of_kind = lines.filter(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        KIND.contains(&name)
    });
    of_kind.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(runtime: &Path) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        add_to(&mut hash, runtime);
        hash.finalize().into()
    }

    #[test]
    fn another_runtime_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        std::fs::write(&library, "one").unwrap();
        let first = of(&library);
        assert_eq!(first, of(&library));
        // a provider beside it
        std::fs::write(folder.path().join("libother.so"), "provider").unwrap();
        let second = of(&library);
        assert_ne!(first, second);
        // another version in its place, of the same length
        std::fs::remove_file(&library).unwrap();
        std::fs::write(&library, "two").unwrap();
        assert_ne!(second, of(&library));
        // the same file under another name leads to the same
        let link = folder.path().parent().unwrap().join(format!(
            "{}.so",
            folder.path().file_name().unwrap().to_string_lossy()
        ));
        std::os::unix::fs::symlink(&library, &link).unwrap();
        assert_eq!(of(&library), of(&link));
        std::fs::remove_file(link).unwrap();
    }

    #[test]
    fn a_folder_of_everybody_counts_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so.1");
        std::fs::write(&library, "one").unwrap();
        for number in 0..MOST_FILES {
            std::fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        let before = of(&library);
        std::fs::write(folder.path().join("libelse.so"), "else").unwrap();
        assert_eq!(before, of(&library));
        std::fs::write(folder.path().join("libonnxruntime_providers_x.so"), "x").unwrap();
        assert_ne!(before, of(&library));
    }

    #[test]
    fn the_kind_of_a_cpu_is_not_its_state() {
        let list = |model: &str, megahertz: u32, flags: &str| {
            format!(
                "processor\t: 0\nmodel name\t: {model}\ncpu MHz\t\t: {megahertz}.000\nflags\t\t: {flags}\n\n\
                 processor\t: 1\nmodel name\t: another\n"
            )
        };
        let kind = |model, megahertz, flags| kind_of_cpu(&list(model, megahertz, flags));
        assert_eq!(kind("A", 2300, "fpu"), kind("A", 800, "fpu"));
        assert_ne!(kind("A", 2300, "fpu"), kind("B", 2300, "fpu"));
        assert_ne!(kind("A", 2300, "fpu"), kind("A", 2300, "fpu avx512_bf16"));
        assert!(!kind("A", 2300, "fpu").contains("another"));
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        assert!(cpu().contains("flags"));
    }
}
