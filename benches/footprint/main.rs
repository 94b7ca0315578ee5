//! What the daemon costs, measured beside the least that a forwarder can do, in the same run.
//!
//! `cargo bench --bench footprint` starts, as processes of their own: a sink that counts documents and answers as the
//! service does, the daemon with a real configuration, a paced generator, and a control: one thread that receives,
//! escapes, hashes and writes over one kept-alive connection, and nothing else. `-- --help` lists what can be chosen.
//!
//! It needs Linux (it reads `/proc`), loopback, and no privilege. It is not run by `cargo test`.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
