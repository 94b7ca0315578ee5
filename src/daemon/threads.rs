//! The threads that look names up and read files, of which the runtime would start the first when it is needed.

use std::io;
use std::thread;
use std::time::Duration;

use super::status::Status;
use crate::config::Files;

/// Names that are looked up, and files that are read, at a time. Each takes a thread that can't be told to end; while name
/// servers do not answer, more of them learn nothing more.
pub(crate) const LOOK_UPS_AT_A_TIME: usize = 8;

/// How long the threads for it are kept without work: for good. The runtime panics where the system refuses one and there
/// is no other, and a limit that allowed one at the start may not later.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often the system is asked whether a thread that has ended is gone, and the time in between.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Has the runtime start the first of these threads, now that a refusal can be told.
///
/// # Errors
/// When the system refuses a thread.
pub(crate) async fn start_the_first(files: &dyn Files) -> io::Result<()> {
    let threads = Status::now(files).threads();
    thread::Builder::new()
        .name("xray-probe".to_owned())
        .spawn(|| ())?
        .join()
        .map_err(|_| io::Error::other("a thread that does nothing has panicked"))?;
    // One that has ended counts against a limit until the system has tidied up.
    for _ in 0..TRIES {
        if Status::now(files).threads() <= threads {
            break;
        }
        thread::sleep(PAUSE);
    }
    tokio::task::spawn_blocking(|| ()).await.map_err(io::Error::other)
}
