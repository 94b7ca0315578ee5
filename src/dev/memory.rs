//! Keeps the process inside `--max-store-mb`.
//!
//! The store charges each document for what is held because of it, as far as can be known: not for what the allocator
//! leaves free between pieces, nor for what it keeps of what questions and calls took. So the process is looked at: what
//! it holds beyond its size when it was idle is what the store is told that it costs. While there is work, the store is
//! not made smaller for what that work takes for a moment.
//!
//! The allocator keeps freed memory for a second, in case it is wanted again, and gives back what is older when
//! something else is freed, on any thread. After the last call nothing is: megabytes would stay with an idle process.
//! The end of a thread is such a moment, and it costs nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout};

use super::web::Site;

/// What calls and questions that are being answered take: bodies of 5 MiB with their documents, and the tree of a trace
/// for each thread.
const WORK_BYTES: usize = 24 << 20;

/// How often the process is looked at while there is work.
const WHILE_WORKING: Duration = Duration::from_secs(2);

/// Without work for so long, all that was freed is old enough to be given back: threads that did work end a second after
/// it, and what they held is kept for another one.
const QUIET: Duration = Duration::from_millis(2_500);

/// How long it is kept by the allocator, and a little more.
const GIVEN_BACK: Duration = Duration::from_millis(1_200);

/// The most looks without work between. Each lets a quarter of what is too much go: pages that traces share with
/// others are free only when the last of them has gone.
const MAX_LOOKS: usize = 12;

/// The share of the setting that may be too much: less is not worth a trace.
const TOLERATED: usize = 16;

/// What the process holds when it is idle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    /// `None` where the system does not tell: then the charges alone count.
    bytes: Option<usize>,
}

impl Idle {
    /// As the process is now.
    pub(super) fn now() -> Self {
        Self {
            bytes: resident_bytes(),
        }
    }

    /// What it holds now beyond that.
    fn grown(self) -> Option<usize> {
        Some(resident_bytes()?.saturating_sub(self.bytes?))
    }
}

/// What the process has in memory, as Linux tells it without a privilege or a library.
#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

/// Elsewhere the store goes by its own account alone.
#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Option<usize> {
    None
}

/// Looks at the process when there was work. Sleeps without a timer while there is none.
#[expect(clippy::disallowed_methods, reason = "looks at the process every so often")]
pub(super) async fn keep_inside(site: Arc<Site>, idle: Idle) {
    let mut worked = site.work();
    let max_bytes = site.service().traces().limits().max_bytes;
    while worked.changed().await.is_ok() {
        let mut looked = Instant::now();
        while timeout(QUIET, worked.changed()).await.is_ok() {
            if looked.elapsed() >= WHILE_WORKING
                && let Some(grown) = idle.grown()
            {
                site.correct_store(grown, WORK_BYTES);
                looked = Instant::now();
            }
        }
        for _ in 0..MAX_LOOKS {
            let Some(grown) = settled(&mut worked, idle).await else {
                break;
            };
            let too_much = grown.saturating_sub(max_bytes);
            let lets_go = site.correct_store(grown, (too_much / 4 * 3).max(max_bytes / TOLERATED));
            if !lets_go {
                break;
            }
        }
    }
}

/// What the process holds when the allocator has given back all that it will, which is when it holds no less a while
/// later; `None` when there is work meanwhile, or the system does not tell.
async fn settled(worked: &mut Receiver<()>, idle: Idle) -> Option<usize> {
    let mut before = usize::MAX;
    loop {
        give_back();
        if timeout(GIVEN_BACK, worked.changed()).await.is_ok() {
            return None;
        }
        give_back();
        let grown = idle.grown()?;
        if grown >= before - before / 100 {
            return Some(grown);
        }
        before = grown;
        if timeout(QUIET, worked.changed()).await.is_ok() {
            return None;
        }
    }
}

/// Makes the allocator give back what was freed long enough ago.
fn give_back() {
    // A system that refuses a thread has other worries.
    if let Ok(thread) = std::thread::Builder::new()
        .name("xray-give-back".to_owned())
        .spawn(|| ())
    {
        drop(thread.join());
    }
}
