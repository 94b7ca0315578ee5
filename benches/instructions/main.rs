//! What a call of `PutTraceSegments` costs in instructions and in cache lines, which no other load on the machine changes.
//!
//! `.ci/run instructions` runs the daemon under valgrind, sends it batches of 50 segments of 1 KB, and takes what its main
//! thread did for a batch: the sender, the SDK's call, HTTP over a connection that is kept, the account, the line of the
//! log. Receiving and escaping are another thread's. The endpoint is another process, the kernel's part is not counted, and
//! that of SHA-256 is taken off: a signature hashes the body, whatever the rest costs. The cache lines are those of a call
//! alone. It fails when a call costs more than the recorded baseline allows.
//!
//! `-- --record` writes the baseline anew, `-- --functions` says which functions the instructions are in. (`cargo bench
//! --bench instructions` leaves no names of functions in the program, without which SHA-256 is not known.)
//!
//! It needs Linux, valgrind, and loopback. It is not run by `cargo test`.

#[cfg(target_os = "linux")]
mod linux;

/// As in the program.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
