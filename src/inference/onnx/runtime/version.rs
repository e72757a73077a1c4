//! Versions of ONNX Runtime.

use std::fmt;

/// Version of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1 so far.
    pub major: u32,
    /// Also the number of its API.
    pub minor: u32,
    /// Fixes.
    pub patch: u32,
}

/// The oldest version that serves.
pub const MINIMUM: Version = Version {
    major: 1,
    minor: 21,
    patch: 0,
};

impl Version {
    /// Reads `1.32.0`, `1.21`, `1.22.0-dev`, `1.20.1+cu12`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().splitn(3, '.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse::<u32>().ok()
        });
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().flatten().unwrap_or(0),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |major, minor, patch| {
            Some(Version {
                major,
                minor,
                patch,
            })
        };
        assert_eq!(Version::parse("1.32.0"), version(1, 32, 0));
        assert_eq!(Version::parse("1.21"), version(1, 21, 0));
        assert_eq!(Version::parse("1.22.0-dev-20260101"), version(1, 22, 0));
        assert_eq!(Version::parse("1.20.1+cu12"), version(1, 20, 1));
        assert_eq!(Version::parse("so"), None);
        assert_eq!(Version::parse(""), None);
        assert_eq!(Version::parse("1."), None);
        assert!(Version::parse("1.9.0") < Version::parse("1.21.0"));
    }
}
