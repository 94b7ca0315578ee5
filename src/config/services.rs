//! Ports by their names, as Go reads them: from `/etc/services`, and some known without it.

use std::path::Path;

use super::Files;

/// The file that a system keeps them in; images without a distribution have none.
const FILE: &str = "/etc/services";

/// Known in every image.
const KNOWN: [(&str, u16); 3] = [("domain", 53), ("http", 80), ("https", 443)];

/// The port that `name`, in any case, stands for with `protocol`, which is `udp` or `tcp`.
pub(super) fn port(name: &str, protocol: &str, files: &dyn Files) -> Option<u16> {
    let file = files.read(Path::new(FILE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&file);
    let listed = text.lines().find_map(|line| port_of(line, name, protocol));
    listed.or_else(|| {
        let known = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, port)| *port)
    })
}

/// `http  80/tcp  www  # comment`: a name, its port and protocol, further names.
fn port_of(line: &str, name: &str, protocol: &str) -> Option<u16> {
    let entry = line.split('#').next().unwrap_or_default();
    let mut words = entry.split_ascii_whitespace();
    let first = words.next()?;
    let (port, of_protocol) = words.next()?.split_once('/')?;
    let is_named = std::iter::once(first)
        .chain(words)
        .any(|word| word.eq_ignore_ascii_case(name));
    (is_named && of_protocol == protocol).then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Services(Option<&'static str>);

    impl Files for Services {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            assert_eq!(path, Path::new("/etc/services"));
            self.0
                .map(|text| text.as_bytes().to_vec())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn a_name_of_the_systems_list_is_its_port_for_that_protocol() {
        let services = Services(Some(
            "# list\nhttp 8000/tcp www # web\nXRay\t2000/udp\nbroken\nbad x/udp\nlate 1/udp",
        ));
        for (name, protocol, expected) in [
            ("http", "tcp", Some(8000)),
            ("WWW", "tcp", Some(8000)),
            ("http", "udp", Some(80)),
            ("xray", "udp", Some(2000)),
            ("xray", "tcp", None),
            ("web", "tcp", None),
            ("bad", "udp", None),
            ("late", "udp", Some(1)),
            ("", "udp", None),
        ] {
            assert_eq!(port(name, protocol, &services), expected, "{name}/{protocol}");
        }
    }

    #[test]
    fn without_the_list_the_usual_names_are_known() {
        assert_eq!(port("https", "tcp", &Services(None)), Some(443));
        assert_eq!(port("gopher", "tcp", &Services(None)), None);
    }
}
