//! What SDKs that are started with these variables would send to, beside where the daemon listens.

use std::net::IpAddr;

use super::report::Verdict;
use crate::config::{Config, DEFAULT_SDK_ADDRESS, Environment, sdk_addresses};
use crate::logs::sanitize;

const VARIABLE: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// The longest value that is shown, in characters.
const SHOWN_MAX_CHARS: usize = 160;

/// What to say of the variable.
pub(super) fn verdict(config: &Config, environment: &Environment) -> Verdict {
    const CHECK: &str = "sdks";
    let (listens, tcp) = (&config.udp.address.value, &config.tcp);
    let set = environment.get(VARIABLE);
    let shown = match set {
        Some(value) => format!("{VARIABLE} is {} here", sanitize(value, SHOWN_MAX_CHARS)),
        None => format!("{VARIABLE} is not set here, so that SDKs send to {DEFAULT_SDK_ADDRESS}"),
    };
    let shown = format!("{shown} (they read it, the daemon does not, and your application may have another)");
    let to = sdk_addresses(set.unwrap_or(DEFAULT_SDK_ADDRESS));
    let (Some(segments), Some(calls)) = (&to.udp, &to.tcp) else {
        return Verdict::fail(
            CHECK,
            format!("{shown}; that is no address"),
            format!("write HOST:PORT, or tcp:HOST:PORT udp:HOST:PORT, such as {VARIABLE}=xray:2000"),
        );
    };
    let goes_past = [("UDP", segments, listens), ("TCP", calls, &tcp.address.value)];
    let mut goes_past = goes_past
        .into_iter()
        // Without a port nothing is sampled by the service, and SDKs go on with their own rules.
        .filter(|(name, ..)| *name == "UDP" || !tcp.closed)
        .filter(|(_, sent, listens)| !meets(sent, listens));
    match goes_past.next() {
        None => Verdict::ok(CHECK, format!("{shown}: where this daemon listens")),
        Some((name, _, listens)) => Verdict::warn(
            CHECK,
            format!("{shown}; this daemon listens on {name} {listens}"),
            format!(
                "set {VARIABLE} for your application to the host of the daemon and its port, or -b and -t for it"
            ),
        ),
    }
}

/// Whether what is sent to the one address can come in at the other one. A name may be any address.
fn meets(sent: &str, listens: &str) -> bool {
    let parts = |address: &str| {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((host, port.parse::<u16>().ok()?))
    };
    let (Some((to, to_port)), Some((at, at_port))) = (parts(sent), parts(listens)) else {
        return false;
    };
    let at_ip = at.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified());
    let hosts_meet = match (to.parse::<IpAddr>(), at_ip) {
        (Ok(to), Some(at)) => to == at,
        _ => true,
    };
    to_port == at_port && hosts_meet
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use crate::config::{Flags, Sourced, SystemFiles};

    fn said(variable: Option<&str>, bind: &str) -> (Level, String) {
        let address = || {
            Some(Sourced {
                value: bind.to_owned(),
                source: "flag".to_owned(),
            })
        };
        let flags = Flags {
            udp_address: address(),
            tcp_address: address(),
            ..Flags::default()
        };
        let variables = variable.map(|value| (VARIABLE.to_owned(), value.to_owned()));
        let environment = Environment(variables.into_iter().collect());
        let config = crate::config::load(&flags, &Environment::default(), &SystemFiles).unwrap();
        let verdict = verdict(&config, &environment);
        (verdict.level, verdict.message)
    }

    #[test]
    fn sdks_that_send_where_the_daemon_listens_are_well() {
        for (variable, bind) in [
            (None, "127.0.0.1:2000"),
            (None, "0.0.0.0:2000"),
            (Some("xray:2000"), "0.0.0.0:2000"),
            (Some("tcp:xray:2000 udp:xray:2000"), "[::]:2000"),
            (Some("127.0.0.1:3000"), "127.0.0.1:3000"),
        ] {
            let (level, message) = said(variable, bind);
            assert_eq!(level, Level::Ok, "{message}");
            assert!(message.contains("the daemon does not"), "{message}");
        }
    }

    #[test]
    fn sdks_that_send_elsewhere_are_told_where_the_daemon_listens() {
        for (variable, bind) in [
            (None, "127.0.0.1:3000"),
            (Some("127.0.0.1:2001"), "127.0.0.1:2000"),
            (Some("10.0.0.1:2000"), "127.0.0.1:2000"),
            (Some("tcp:x:2001 udp:x:2000"), "0.0.0.0:2000"),
            (Some("http://x:2001"), "0.0.0.0:2000"),
        ] {
            let (level, message) = said(variable, bind);
            assert_eq!(level, Level::Warn, "{message}");
            assert!(message.contains(bind), "{message}");
        }
        let (level, message) = said(Some("udp:x:2000"), "0.0.0.0:2000");
        assert_eq!(level, Level::Fail, "{message}");
    }
}
