//! Who this process is to the file system.

use super::Files;

/// The user that this process runs as, for messages about files that it may not read: `user 10001 (xray)`, or only the
/// number when `/etc/passwd` has no name for it.
#[cfg(unix)]
pub(crate) fn this_user(files: &dyn Files) -> String {
    use std::path::Path;

    use crate::config::text::bare;

    let id = rustix::process::geteuid().as_raw();
    let passwd = files.read(Path::new("/etc/passwd")).unwrap_or_default();
    match name_of(id, &String::from_utf8_lossy(&passwd)) {
        Some(name) => format!("user {id} ({})", bare(name)),
        None => format!("user {id}"),
    }
}

/// The same where users have no numbers.
#[cfg(not(unix))]
pub(crate) fn this_user(_: &dyn Files) -> String {
    "this user".to_owned()
}

/// Of a user with a number, from the lines of `/etc/passwd`.
#[cfg(unix)]
fn name_of(id: u32, passwd: &str) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, of_line) = (fields.next()?, fields.nth(1)?);
        (of_line.parse() == Ok(id)).then_some(name)
    })
}

// What is tested is there on Unix only.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_third_field() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\n# a remark\nxray:x:10001:10001::/:\n";
        assert_eq!(name_of(10001, passwd), Some("xray"));
        assert_eq!(name_of(0, passwd), Some("root"));
        assert_eq!(name_of(1, passwd), None);
    }
}
