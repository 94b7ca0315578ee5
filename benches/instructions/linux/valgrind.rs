//! This very program, under valgrind.

use std::process::Command;

use super::Result;

/// `role` under `tool`, which has `options`.
pub(crate) fn command(tool: &str, options: &[&str], role: &str, arguments: &[String]) -> Result<Command> {
    let mut command = Command::new("valgrind");
    command
        .arg("-q")
        .arg(format!("--tool={tool}"))
        .args(options)
        .arg(std::env::current_exe()?)
        .arg(role)
        .args(arguments)
        // Of the machine's own settings none counts.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    Ok(command)
}

/// What went wrong before valgrind began.
pub(crate) fn not_there(error: &std::io::Error) -> String {
    format!("valgrind: {error}; install the package valgrind")
}
