//! The secret that servers are told: read from its file at each connection, and never shown.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a secret at most.
const LONGEST: u64 = 64 << 10;

/// Where a secret is.
#[derive(Clone)]
pub(super) struct SecretFile {
    path: PathBuf,
    /// The header that it is sent in.
    header: String,
}

/// A secret. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretFile {
    pub(super) fn new(path: &Path, header: &str) -> Self {
        Self {
            path: path.to_owned(),
            header: header.to_ascii_lowercase(),
        }
    }

    /// Its value as it is sent. In `authorization`, a word without a scheme is a bearer's.
    ///
    /// # Errors
    /// Which file can't be used, and why.
    pub(super) fn read(&self) -> Result<Secret, String> {
        let text = contents(&self.path, LONGEST)
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "it is not plain text".to_owned())
            })
            .and_then(|text| {
                let text = text.trim().to_owned();
                if text.is_empty() {
                    return Err("it is empty".to_owned());
                }
                if !text.chars().all(|c| matches!(c, ' '..='~')) {
                    return Err("it is not one line of ASCII".to_owned());
                }
                Ok(text)
            })
            .map_err(|reason| format!("the secret in {}: {reason}", self.path.display()))?;
        let is_bare = self.header == "authorization" && !text.contains(' ');
        Ok(Secret(if is_bare {
            format!("Bearer {text}")
        } else {
            text
        }))
    }

    /// Says that everybody on this machine can read it; `None`: they can't.
    pub(super) fn warning(&self) -> Option<String> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let mode = std::fs::metadata(&self.path).ok()?.mode();
            (mode & 0o004 != 0).then(|| {
                format!(
                    "the secret in {0} can be read by all users of this machine: chmod 600 {0}",
                    self.path.display()
                )
            })
        }
        #[cfg(not(unix))]
        None
    }
}

/// The bytes of a regular file, without waiting for any other kind.
///
/// # Errors
/// Why it can't be read.
pub(super) fn contents(path: &Path, longest: u64) -> Result<Vec<u8>, String> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC,
    );
    let file = options.open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let mut limited = file.take(longest + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > longest {
        return Err(format!("it has more than {longest} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = |text: &[u8], header| {
            std::fs::write(&path, text).unwrap();
            SecretFile::new(&path, header).read()
        };
        let read = |text: &[u8], header| secret(text, header).map(|s| s.expose().to_owned());
        assert_eq!(read(b"abc\n", "Authorization").unwrap(), "Bearer abc");
        assert_eq!(read(b"Basic abc", "authorization").unwrap(), "Basic abc");
        assert_eq!(read(b" abc ", "x-key").unwrap(), "abc");
        for bad in [
            &b""[..],
            b" \n",
            b"a\nb",
            "ä".as_bytes(),
            b"\xff",
            &vec![b'a'; 70_000],
        ] {
            let error = secret(bad, "x-key").unwrap_err();
            assert!(error.contains("token"), "{error}");
        }
        let shown = format!("{:?}", secret(b"abc", "x-key").unwrap());
        assert!(!shown.contains("abc"), "{shown}");
        let missing = SecretFile::new(&folder.path().join("none"), "x-key");
        assert!(missing.read().unwrap_err().contains("none"));
        let not_a_file = SecretFile::new(folder.path(), "x-key");
        assert!(not_a_file.read().is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_all_can_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = SecretFile::new(file.path(), "authorization");
        let mode = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            secret.warning()
        };
        assert!(mode(0o600).is_none());
        assert!(mode(0o640).is_none());
        assert!(mode(0o644).is_some_and(|text| text.contains("chmod 600")));
    }
}
