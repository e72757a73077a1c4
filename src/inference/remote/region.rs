//! Memory that is shared with a server on this machine: POSIX shared memory, which it maps by its name.
//!
//! A region is locked for as long as its owner lives, in whichever container: what can be locked was left behind by a process
//! that has crashed, and is removed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where POSIX shared memory is on Linux.
const FOLDER: &str = "/dev/shm";
/// Names of regions begin so.
pub(super) const PREFIX: &str = "depthanything-";
/// Entries of the folder that are looked at.
const MOST_ENTRIES: usize = 4096;

/// A region that this process has made. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct Region {
    name: String,
    at: NonNull<u8>,
    length: usize,
    /// Holds the lock.
    _file: File,
}

// SAFETY: the mapping belongs to this value alone, as far as this process goes
unsafe impl Send for Region {}

impl Region {
    /// # Errors
    /// When the system has no such memory left, or none at all.
    pub(super) fn new(length: usize) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let name = format!(
            "{PREFIX}{}-{}-{}",
            std::process::id(),
            time.map_or(0, |time| time.as_nanos()),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(FOLDER).join(&name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&path)?;
        let map = || {
            if !is_locked_now(&file) {
                return Err(io::Error::last_os_error());
            }
            let bytes = libc::off_t::try_from(length).map_err(io::Error::other)?;
            // with its memory, so that a write does not end the process where there is none left
            // SAFETY: a plain system call on a file of ours
            let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) };
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            // SAFETY: a new mapping of a file that is as long; nobody shortens what only this user can open
            let at = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    file.as_raw_fd(),
                    0,
                )
            };
            NonNull::new(at.cast::<u8>())
                .filter(|_| at != libc::MAP_FAILED)
                .ok_or_else(io::Error::last_os_error)
        };
        match map() {
            Ok(at) => Ok(Self {
                name,
                at,
                length,
                _file: file,
            }),
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// As servers are told it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Its first `length` bytes, to be written while no server works on them.
    pub(super) fn front(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.length);
        // SAFETY: within the mapping, which lives as long as this value. What a server writes there against what it was
        // asked for changes bytes, which any value of is one
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), length) }
    }

    /// A copy of the bytes from `from` on; `None`: there are not so many.
    pub(super) fn copy(&self, from: usize, length: usize) -> Option<Vec<u8>> {
        let end = from.checked_add(length)?;
        if end > self.length {
            return None;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).ok()?;
        // SAFETY: within the mapping, and room was made for as many
        unsafe {
            std::ptr::copy_nonoverlapping(self.at.as_ptr().add(from), bytes.as_mut_ptr(), length);
            bytes.set_len(length);
        }
        Some(bytes)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Path::new(FOLDER).join(&self.name));
        // SAFETY: mapped when it was made, and not used any more
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.length) };
    }
}

/// Locks a file, if nobody has.
fn is_locked_now(file: &File) -> bool {
    // SAFETY: a plain system call on an open file
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Whether there is a region of this name.
pub(super) fn exists(name: &str) -> bool {
    !name.contains('/') && Path::new(FOLDER).join(name).exists()
}

/// Removes regions whose owners are gone.
pub(super) fn clean() {
    let Ok(entries) = std::fs::read_dir(FOLDER) else {
        return;
    };
    for entry in entries.take(MOST_ENTRIES).flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(entry.path());
        if file.is_ok_and(|file| is_locked_now(&file)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_hold_bytes_and_go_with_their_owner() {
        let mut region = Region::new(1000).unwrap();
        region.front(3).copy_from_slice(&[1, 2, 3]);
        assert_eq!(region.copy(1, 2), Some(vec![2, 3]));
        assert_eq!(region.copy(999, 1), Some(vec![0]));
        assert_eq!(region.copy(999, 2), None);
        assert_eq!(region.copy(usize::MAX, 2), None);
        assert_eq!(region.front(5000).len(), 1000);
        let name = region.name().to_owned();
        // one that is left behind has no owner who holds it
        let stale = format!("{PREFIX}stale-{}", std::process::id());
        std::fs::write(Path::new(FOLDER).join(&stale), b"x").unwrap();
        clean();
        assert!(exists(&name) && !exists(&stale));
        drop(region);
        assert!(!exists(&name));
    }
}
