//! Which servers, and how they are asked: what a user states.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Setting};

/// Servers that are named at most.
const MOST: usize = 64;
/// Characters of a host's name at most.
const LONGEST_HOST: usize = 253;

/// Servers that run the network, and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Servers {
    /// Where they are; at least one.
    pub addresses: Vec<Address>,
    /// Which of a server's models; `None`: the only one that fits.
    pub model: Option<String>,
    /// Which version of it; `None`: the server's choice.
    pub version: Option<String>,
    /// A request is answered within this time, or has failed.
    pub timeout: Duration,
    /// How long servers may be gone before a request fails.
    pub patience: Duration,
    /// File with the certificates of the authorities that are trusted; `None`: the system's.
    pub tls_ca: Option<PathBuf>,
    /// File with a secret, read at each connection.
    pub token_file: Option<PathBuf>,
    /// Header that the secret is sent in.
    pub token_header: String,
    /// Whether tensors may go through memory that is shared with a server on this machine.
    pub shared_memory: bool,
    /// Requests that each server is given at a time, at most.
    pub in_flight: usize,
}

impl Servers {
    /// `addresses` with the rest as it is by default.
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            model: None,
            version: None,
            timeout: Duration::from_secs(2),
            patience: Duration::from_secs(30),
            tls_ca: None,
            token_file: None,
            token_header: "authorization".to_owned(),
            shared_memory: true,
            in_flight: 2,
        }
    }

    /// What error messages call them: `a:8001, b:8001`.
    #[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "of servers"))]
    pub fn label(&self) -> String {
        let names: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        names.join(", ")
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its name or IP address, without brackets.
    pub host: String,
    /// Its port for gRPC.
    pub port: u16,
    /// Whether it is spoken to by TLS.
    pub tls: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    /// Several, with commas between: `host:port`, `grpc://host:port`, `grpcs://host:port`, `[::1]:port`.
    ///
    /// # Errors
    /// [`Error::Setting`] that says which is wrong, and how it is written.
    pub fn list(text: &str) -> Result<Vec<Self>, Error> {
        let mut addresses = Vec::new();
        for part in text.split(',').map(str::trim) {
            let address = Self::one(part).map_err(|reason| Error::Setting {
                setting: Setting::Server,
                reason: format!(
                    "`{}`: {reason}. Write host:port, or grpcs://host:port for TLS; several with commas",
                    crate::text::name(part)
                ),
            })?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
            if addresses.len() > MOST {
                return Err(Error::Setting {
                    setting: Setting::Server,
                    reason: format!("more than {MOST} servers"),
                });
            }
        }
        Ok(addresses)
    }

    /// Whether it is on this machine, by its name.
    #[cfg(feature = "remote")]
    pub(super) fn is_here(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|it| it.is_loopback())
    }

    fn one(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            None | Some(("grpc", _)) => (false, text.strip_prefix("grpc://").unwrap_or(text)),
            Some(("grpcs", rest)) => (true, rest),
            Some(("http" | "https", _)) => {
                return Err(
                    "servers are spoken to by gRPC, not by HTTP; Triton's port for it is 8001"
                        .to_owned(),
                );
            }
            Some((scheme, _)) => {
                return Err(format!("`{}` is not known", crate::text::name(scheme)));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let no_port = || "it has no port; Triton's for gRPC is 8001".to_owned();
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("a ] is missing")?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err("between [ and ] is no IPv6 address".to_owned());
                }
                (host, port.strip_prefix(':').ok_or_else(no_port)?)
            }
            None => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(no_port)?;
                if host.contains(':') {
                    return Err("an IPv6 address stands in [ ]".to_owned());
                }
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if host.is_empty() || host.len() > LONGEST_HOST || !host.chars().all(is_plain) {
                    return Err("it has no name of a host".to_owned());
                }
                (host, port)
            }
        };
        match port.parse() {
            Ok(port @ 1..) if !port_is_signed(rest) => Ok(Self {
                host: host.to_owned(),
                port,
                tls,
            }),
            _ => Err("its port is no number from 1 to 65535".to_owned()),
        }
    }
}

/// `host:+1` is a number to Rust.
fn port_is_signed(text: &str) -> bool {
    text.contains(":+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let list = Address::list(" a:8001, grpc://b.example:1,grpcs://[::1]:8001/,a:8001").unwrap();
        let told: Vec<_> = list.iter().map(|a| (a.to_string(), a.tls)).collect();
        assert_eq!(
            told,
            [
                ("a:8001".to_owned(), false),
                ("b.example:1".to_owned(), false),
                ("[::1]:8001".to_owned(), true)
            ]
        );
        assert_eq!(
            Servers::new(list).label(),
            "a:8001, b.example:1, [::1]:8001"
        );
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, word) in [
            ("", "port"),
            ("a", "8001"),
            ("a:", "number"),
            ("a:0", "number"),
            ("a:+1", "number"),
            ("a:65536", "number"),
            ("a:8001,", "port"),
            (":8001", "host"),
            ("a b:8001", "host"),
            ("::1:8001", "[ ]"),
            ("[::1:8001", "]"),
            ("[a]:8001", "IPv6"),
            ("[::1]8001", "port"),
            ("http://a:8000", "gRPC"),
            ("ftp://a:8000", "ftp"),
            ("grpc://user@a:8001", "host"),
        ] {
            let error = Address::list(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let many: Vec<_> = (1..200).map(|port| format!("a:{port}")).collect();
        assert!(Address::list(&many.join(",")).is_err());
    }
}
