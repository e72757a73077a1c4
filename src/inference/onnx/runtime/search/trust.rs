//! Who may put code where a library is to be loaded from.

use std::path::Path;

/// Refuses `file` if everybody may replace it: by writing to it, to a folder on its way, or to where a link on its way
/// lies. In a folder such as `/tmp`, where everybody may write but touch only what is their own, what belongs to this
/// user or to root is safe.
///
/// # Errors
/// Which folder or file, and what to do, as the end of a sentence.
#[cfg(unix)]
pub(in crate::inference::onnx::runtime) fn check(file: &Path) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Component, PathBuf};

    /// As many links as the kernel follows.
    const MOST_LINKS: usize = 40;

    let unreadable = |path: &Path, error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "not found".to_owned(),
        _ => format!("{}: {error}", path.display()),
    };
    let mut here = PathBuf::from("/");
    let mut folder = std::fs::metadata(&here).map_err(|error| unreadable(&here, &error))?;
    // last component first
    let mut rest: Vec<PathBuf> = Vec::new();
    let push = |path: &Path, rest: &mut Vec<PathBuf>| {
        let parts = path
            .components()
            .map(|part| PathBuf::from(part.as_os_str()));
        rest.extend(parts.collect::<Vec<_>>().into_iter().rev());
    };
    let absolute = std::path::absolute(file).map_err(|error| error.to_string())?;
    push(&absolute, &mut rest);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.components().next() {
            Some(Component::Normal(_)) => {}
            Some(Component::ParentDir) => {
                here.pop();
                folder = std::fs::metadata(&here).map_err(|error| unreadable(&here, &error))?;
                continue;
            }
            Some(Component::RootDir) => {
                here = PathBuf::from("/");
                folder = std::fs::metadata(&here).map_err(|error| unreadable(&here, &error))?;
                continue;
            }
            _ => continue,
        }
        let next = here.join(&part);
        let entry = std::fs::symlink_metadata(&next).map_err(|error| unreadable(&next, &error))?;
        check_entry(&here, &folder, &next, &entry)?;
        if entry.file_type().is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err("its links lead in a circle".to_owned());
            }
            let target = std::fs::read_link(&next).map_err(|error| unreadable(&next, &error))?;
            debug_assert!(!target.as_os_str().as_bytes().is_empty());
            push(&target, &mut rest);
            continue;
        }
        if !rest.is_empty() || entry.is_dir() {
            here = next;
            folder = entry;
        } else if is_writable(&entry) {
            return Err(format!(
                "everybody may write to it, so anybody's code could be in it; `chmod o-w {}` if it is yours",
                next.display()
            ));
        }
    }
    Ok(())
}

/// Whether `entry` of `folder` can only be replaced by who is trusted.
#[cfg(unix)]
fn check_entry(
    here: &Path,
    folder: &std::fs::Metadata,
    next: &Path,
    entry: &std::fs::Metadata,
) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    const STICKY: u32 = 0o1000;

    if !is_writable(folder) {
        return Ok(());
    }
    if folder.mode() & STICKY == 0 {
        return Err(format!(
            "everybody may write to {}, so anybody's code could be in it; `chmod o-w {}` if it is yours, or install it \
             elsewhere",
            here.display(),
            here.display(),
        ));
    }
    // SAFETY: asks for a number, and never fails
    let user = unsafe { libc::geteuid() };
    if entry.uid() == 0 || entry.uid() == user {
        Ok(())
    } else {
        Err(format!(
            "everybody may write to {}, and {} belongs to another user (number {}); install it elsewhere",
            here.display(),
            next.display(),
            entry.uid()
        ))
    }
}

#[cfg(unix)]
fn is_writable(entry: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    entry.mode() & 0o002 != 0
}

#[cfg(not(unix))]
pub(in crate::inference::onnx::runtime) fn check(_file: &Path) -> Result<(), String> {
    Ok(())
}

/// Whether this program runs with more rights than who started it (set-user-ID, capabilities): then the environment is
/// somebody else's, and says nothing about where code is to come from.
pub(super) fn has_raised_rights() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: asks the kernel's notes for this process for a number
    let raised = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd"))]
    // SAFETY: asks for a number
    let raised = unsafe { libc::issetugid() } != 0;
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "openbsd"
    )))]
    let raised = false;
    raised
}
