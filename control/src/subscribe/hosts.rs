//! The names of a station: its web port refuses requests for all other names.
//!
//! The owner of a web page can let its name point to this machine (DNS rebinding); the browser then takes page and
//! station for one origin. The Host header still has the name of the page, which its script cannot change.

use std::net::{IpAddr, Ipv6Addr};

/// The names of one station.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    own: Vec<String>,
    added: Vec<String>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name is missing, or there are several.
    Unclear,
    /// The name is not one of the station's.
    Name(String),
    /// It comes from a page of another name, or of another port of the same one.
    Page(String),
}

impl Names {
    /// The machine's own names, and those that the station file adds.
    pub fn new(own: impl IntoIterator<Item = String>, added: &[String]) -> Self {
        Self { own: own.into_iter().map(|name| normal(&name)).collect(), added: added.to_vec() }
    }

    /// Checks whether a request is for this station: `hosts` are the names that it is for, `origins` the pages that it comes
    /// from, `at` the address of this machine that it was sent to.
    ///
    /// The port is not compared: a proxy or a forwarded port has another one, and after DNS rebinding it is right anyway.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, hosts: &[&str], origins: &[&str], at: IpAddr) -> Result<(), Refusal> {
        let mut asked = None;
        for host in hosts {
            let (name, port) = authority(host).ok_or(Refusal::Unclear)?;
            if !self.has(&name, at) {
                return Err(Refusal::Name(name));
            }
            asked = Some((name, port));
        }
        let asked = asked.ok_or(Refusal::Unclear)?;
        for origin in origins {
            let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            let page = || Refusal::Page(shortened(origin));
            let (name, port) = place.and_then(authority).ok_or_else(page)?;
            // Other ports of this machine are other programs, unless the station file names them. A proxy may use another
            // name than its page has.
            if (&name, port) != (&asked.0, asked.1) && !self.added.contains(&name) {
                return Err(Refusal::Page(shortened(origin)));
            }
        }
        Ok(())
    }

    fn has(&self, name: &str, at: IpAddr) -> bool {
        let is_here = match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == at.to_canonical(),
            // RFC 6761 reserves these.
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        is_here || self.own.iter().chain(&self.added).any(|own| own == name)
    }
}

/// Reads a name or an address of a station file (`studio.lan`, `192.168.1.5`, `fd00::5`) into the form in which names are
/// compared.
pub fn read(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    authority(text).filter(|(_, port)| port.is_none()).map(|(name, _)| name)
}

/// Splits `name:port`. An IPv6 address has brackets.
fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, rest) = inside.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" | ":" => None,
        rest => {
            let digits = rest.strip_prefix(':')?;
            let digits = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
            Some(digits.parse().ok()?)
        }
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    let is_name = !host.is_empty() && host.len() <= 255 && host.bytes().all(is_plain);
    is_name.then(|| (normal(host), port))
}

/// A name in the form in which it is compared.
fn normal(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
    }
}

/// An origin as it can be shown: no control characters, not too long.
fn shortened(origin: &str) -> String {
    origin.chars().filter(|sign| !sign.is_control()).take(255).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn names() -> Names {
        let added = ["studio.lan", "203.0.113.7"].map(|name| read(name).unwrap());
        Names::new(["Desk".to_owned(), "desk.local".to_owned()], &added)
    }

    fn check(host: &str, origin: &[&str], at: &str) -> Result<(), Refusal> {
        names().check(&[host], origin, at.parse().unwrap())
    }

    #[test]
    fn the_station_is_reached_by_its_own_names_and_addresses_only() {
        for host in [
            "localhost",
            "LocalHost:8600",
            "localhost.",
            "page.localhost",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8600",
            "[::ffff:127.0.0.1]",
            "desk",
            "DESK.local.:80",
            "studio.lan:443",
            "203.0.113.7",
            "192.168.1.5:8600",
        ] {
            assert_eq!(check(host, &[], "192.168.1.5"), Ok(()), "{host}");
        }
        assert_eq!(check("[fd00:0::5]:8600", &[], "fd00::5"), Ok(()));
        assert_eq!(check("192.168.1.5", &[], "::ffff:192.168.1.5"), Ok(()));
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "xdesk",
            "192.168.1.6",
            "0.0.0.0",
            "[::2]",
            "2130706433",
            "127.1",
            "desk..",
        ] {
            let refused = check(host, &[], "192.168.1.5");
            assert!(matches!(refused, Err(Refusal::Name(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn a_request_says_clearly_which_name_it_asks_for() {
        for host in [
            "",
            ":8600",
            "user@localhost",
            "localhost:x",
            "localhost:+80",
            "localhost:99999",
            "[::1",
            "::1",
            "localhost/",
            "local host",
            "localhost\n",
            "höst",
            "[localhost]",
        ] {
            assert_eq!(check(host, &[], "127.0.0.1"), Err(Refusal::Unclear), "{host:?}");
        }
        let at = "127.0.0.1".parse().unwrap();
        assert_eq!(names().check(&[], &[], at), Err(Refusal::Unclear));
        let both = names().check(&["localhost", "evil.example"], &[], at);
        assert_eq!(both, Err(Refusal::Name("evil.example".to_owned())));
    }

    #[test]
    fn a_page_is_of_the_station_itself_or_of_a_name_that_the_file_adds() {
        let fine = |host: &str, origin: &str| check(host, &[origin], "127.0.0.1").is_ok();
        assert!(fine("localhost:8600", "http://localhost:8600"));
        assert!(fine("LOCALHOST:8600", "http://localhost:8600"));
        assert!(fine("[::1]:8600", "http://[::1]:8600"));
        assert!(fine("studio.lan", "https://studio.lan"));
        // A proxy that asks by an address of its own choice.
        assert!(fine("127.0.0.1:8600", "https://studio.lan"));
        assert!(fine("127.0.0.1:8600", "https://studio.lan:8443"));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://evil.example:8600",
            "http://localhost:3000",
            "http://localhost",
            "https://",
            "http://user@localhost:8600",
            "file://",
            "ftp://localhost:8600",
            "chrome-extension://localhost:8600",
        ] {
            assert!(!fine("localhost:8600", origin), "{origin:?}");
        }
        let two = check("localhost", &["http://localhost", "null"], "127.0.0.1");
        assert_eq!(two, Err(Refusal::Page("null".to_owned())));
    }

    #[test]
    fn the_names_of_a_file_are_names_and_nothing_more() {
        assert_eq!(read("Studio.LAN."), Some("studio.lan".to_owned()));
        assert_eq!(read("FD00:0::5"), Some("fd00::5".to_owned()));
        for bad in ["", "http://studio.lan", "studio.lan:80", "*.lan", "studio lan", "[::1]:80", "a/b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
