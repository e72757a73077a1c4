//! A folder that only this user can write, and what may be taken from it. What is loaded from it is native code.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Written last into a folder that is whole: a hash and a name in each line.
const MARKER: &str = "complete";
/// Longest marker.
const MAX_MARKER: u64 = 1 << 20;
/// Longest note.
const MAX_NOTE: u64 = 64 << 10;
/// What the name of a note begins with while it is written.
pub(super) const UNFINISHED: &str = "unfinished-";
/// How often a lock is tried while another process has it.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

fn me() -> u32 {
    // SAFETY: asks for a number, and can't fail
    unsafe { libc::geteuid() }
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// The folder for this user's engines in `base`, made where it is missing.
///
/// # Errors
/// Somebody else could write it, or has put something in its place.
pub(super) fn folder(base: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(base)?;
    let base = base.canonicalize()?;
    for folder in base.ancestors() {
        check_shared(folder, &fs::symlink_metadata(folder)?)?;
    }
    let path = base.join(format!("engines-{}", me()));
    match DirBuilder::new().mode(0o700).create(&path) {
        // where nothing can be made, what is there may still serve
        Err(error)
            if error.kind() != io::ErrorKind::AlreadyExists
                && fs::symlink_metadata(&path).is_err() =>
        {
            return Err(error);
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(&path)?;
    if !metadata.is_dir() || metadata.uid() != me() {
        return Err(refused(format!(
            "{} is not a folder of this user's own; remove it, or name another with `engine-cache`",
            path.display()
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(path)
}

/// Whoever can write a folder can put another in the place of what is in it, unless it is sticky.
fn check_shared(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let of_a_stranger = ![0, me()].contains(&metadata.uid());
    let open_to_all = metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0;
    if of_a_stranger || open_to_all {
        return Err(refused(format!(
            "{} can be changed by other users; name a folder of your own with `engine-cache`",
            path.display()
        )));
    }
    Ok(())
}

/// A regular file of this user's, that is no link.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != me() {
        return Err(refused(format!(
            "{} is not a file of this user's own",
            path.display()
        )));
    }
    Ok(file)
}

/// The lock of `folder`: whoever has it builds. Waits for it so long.
pub(super) fn lock(folder: &Path, timeout: Duration) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    let file = open(&folder.join("build.lock"), &mut options)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Err(fs::TryLockError::WouldBlock) if start.elapsed() > timeout => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "another process has been compiling for {} s",
                        timeout.as_secs()
                    ),
                ));
            }
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
        }
    }
}

/// Whether there is such a file, of this user's.
pub(super) fn has(path: &Path) -> bool {
    open(path, OpenOptions::new().read(true)).is_ok()
}

/// Makes an empty file.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    open(path, options.write(true).create(true).mode(0o600)).map(drop)
}

/// The text that [`write_note`] has left.
///
/// # Errors
/// There is none, it is no regular file of this user's own, or not what was written.
pub(super) fn read_note(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path, OpenOptions::new().read(true))?
        .take(MAX_NOTE)
        .read_to_string(&mut text)?;
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (hash, rest) = text.split_once('\n').ok_or_else(damaged)?;
    if hash != hash_of_note(path.file_name(), rest) {
        return Err(damaged());
    }
    Ok(rest.to_owned())
}

/// Writes a text into a file of this name in `folder`, whole or not at all, with a hash to know it by.
///
/// # Errors
/// Those of writing, and when it is too long.
pub(super) fn write_note(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let hash = hash_of_note(Some(name.as_ref()), text);
    let whole = format!("{hash}\n{text}");
    if whole.len() as u64 >= MAX_NOTE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)?;
    io::Write::write_all(&mut file, whole.as_bytes())?;
    file.persist(folder.join(name))
        .map_err(|error| error.error)?;
    Ok(())
}

/// Of its name, too: what is moved under another name is damaged.
fn hash_of_note(name: Option<&std::ffi::OsStr>, text: &str) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(name.unwrap_or_default().as_encoded_bytes());
    hash.update(b"\n");
    hash.update(text.as_bytes());
    hash.finalize().to_hex().to_string()
}

/// Marks `folder` as whole, with what is in it now.
pub(super) fn seal(folder: &Path) -> io::Result<()> {
    let mut lines = String::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let (Some(name), true) = (name.to_str(), entry.file_type()?.is_file()) else {
            continue;
        };
        let mut file = open(&entry.path(), OpenOptions::new().read(true))?;
        lines += &format!("{} {name}\n", hash(&mut file)?);
        file.sync_all()?;
    }
    let mut options = OpenOptions::new();
    let mut marker = open(
        &folder.join(MARKER),
        options.write(true).create_new(true).mode(0o600),
    )?;
    io::Write::write_all(&mut marker, lines.as_bytes())?;
    marker.sync_all()
}

/// Whether `folder` was sealed and has not changed since.
pub(super) fn is_intact(folder: &Path) -> bool {
    let is_ours = fs::symlink_metadata(folder).is_ok_and(|it| it.is_dir() && it.uid() == me());
    is_ours && check_sealed(folder).unwrap_or(false)
}

fn check_sealed(folder: &Path) -> io::Result<bool> {
    let mut lines = String::new();
    open(&folder.join(MARKER), OpenOptions::new().read(true))?
        .take(MAX_MARKER)
        .read_to_string(&mut lines)?;
    for line in lines.lines() {
        let Some((expected, name)) = line.split_once(' ') else {
            return Ok(false);
        };
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Ok(false);
        }
        let mut file = open(&folder.join(name), OpenOptions::new().read(true))?;
        if hash(&mut file)?.as_str() != expected {
            return Ok(false);
        }
    }
    Ok(!lines.is_empty())
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(file)?;
    Ok(hash.finalize().to_hex().to_string())
}
