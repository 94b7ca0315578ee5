//! Memory for bodies: straight from the system, used again for the next bodies, and straight back.
//!
//! An allocator serves these badly. Each body of fifty segments is some 60 KB, made by the receiver and freed by the
//! sender; most allocators keep what one thread allocated and another freed, and after a burst hold on to more than the
//! burst itself was. Taken from the system and given back for each body, the pages cost more than what is written into
//! them; so a few are kept while segments keep coming.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

use super::encoding::Output;

/// From this size on memory comes as pages of its own: fifty of the smallest segments. Less would waste much of a page.
const MAPPED_MIN_BYTES: usize = 8 << 10;

/// The most mappings at a time; Linux lets a process have 65,530, and the allocator and threads need theirs. More bodies
/// than that come from the allocator.
const MAX_MAPPINGS: usize = 16 << 10;

/// What the system gives memory in: 4 KiB mostly, up to 64 KiB on some ARM machines.
fn page_bytes() -> usize {
    // Windows has pages of one size on each processor that it runs on.
    #[cfg(unix)]
    return rustix::param::page_size();
    // As above.
    #[cfg(not(unix))]
    return 4096;
}

/// Where bodies' memory comes from and goes to. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    shared: Arc<PoolMemory>,
}

#[derive(Debug)]
struct PoolMemory {
    max_bytes: usize,
    mappings: Arc<AtomicUsize>,
    // A std mutex: held for a few instructions, in which nothing is given back to the system.
    spares: Mutex<Spares>,
}

/// What is kept for the next bodies.
#[derive(Debug, Default)]
struct Spares {
    memory: Vec<Memory>,
    bytes: usize,
    /// Nothing is kept until the next body is made.
    resting: bool,
}

impl Pool {
    /// One that keeps at most `max_bytes` for later.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            shared: Arc::new(PoolMemory {
                max_bytes,
                mappings: Arc::default(),
                spares: Mutex::default(),
            }),
        }
    }

    /// An empty buffer for a body of about `capacity_bytes`: one that is kept, if it is neither much too small, so that it
    /// would grow and be copied, nor much too large, so that the body would hold memory that it does not use.
    pub(super) fn take(&self, capacity_bytes: usize) -> Buffer {
        let tolerance_bytes = capacity_bytes / 16 + page_bytes();
        let fits = capacity_bytes.saturating_sub(tolerance_bytes)..=capacity_bytes + tolerance_bytes;
        let mut kept = std::iter::from_fn(|| self.shared.next());
        let memory = kept
            .find(|memory| fits.contains(&memory.bytes().len()))
            .unwrap_or_else(|| Memory::new(capacity_bytes, &self.shared.mappings));
        Buffer {
            memory,
            filled: 0,
            pool: self.clone(),
        }
    }

    /// Gives back to the system what is kept, and what comes until the next body is made.
    pub(super) fn rest(&self) {
        let resting = Spares {
            resting: true,
            ..Spares::default()
        };
        let kept = mem::replace(&mut *self.shared.spares(), resting);
        // Outside of the lock, which the statement above holds to its end.
        drop(kept);
    }
}

impl PoolMemory {
    fn spares(&self) -> MutexGuard<'_, Spares> {
        // Nothing panics while it is held.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Memory> {
        let mut spares = self.spares();
        spares.resting = false;
        let memory = spares.memory.pop()?;
        spares.bytes -= memory.bytes().len();
        Some(memory)
    }

    /// Keeps `memory`, or returns it when there is no room for it.
    fn keep(&self, memory: Memory) -> Option<Memory> {
        let bytes = memory.bytes().len();
        let mut spares = self.spares();
        if spares.resting || bytes == 0 || spares.bytes + bytes > self.max_bytes {
            return Some(memory);
        }
        spares.bytes += bytes;
        spares.memory.push(memory);
        None
    }
}

/// Pages of their own, counted while they live.
#[derive(Debug)]
struct Mapping {
    bytes: MmapMut,
    count: Arc<AtomicUsize>,
}

impl Mapping {
    /// `None` when the system has none to give, or there are too many.
    fn new(bytes: usize, count: &Arc<AtomicUsize>) -> Option<Self> {
        if count.load(Relaxed) >= MAX_MAPPINGS {
            return None;
        }
        // With its pages, since they are about to be written: one by one they would cost far more.
        let bytes = MmapOptions::new().len(bytes).populate().map_anon().ok()?;
        count.fetch_add(1, Relaxed);
        Some(Self {
            bytes,
            count: Arc::clone(count),
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// Initialised memory.
#[derive(Debug)]
enum Memory {
    Mapped(Mapping),
    Heap(Vec<u8>),
}

impl Memory {
    /// Of at least `bytes`, counted in `mappings` if it is one.
    fn new(bytes: usize, mappings: &Arc<AtomicUsize>) -> Self {
        if bytes >= MAPPED_MIN_BYTES {
            let bytes = bytes.next_multiple_of(page_bytes());
            if let Some(mapping) = Mapping::new(bytes, mappings) {
                return Self::Mapped(mapping);
            }
        }
        Self::Heap(vec![0; bytes])
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => &mapping.bytes,
            Self::Heap(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(mapping) => &mut mapping.bytes,
            Self::Heap(bytes) => bytes,
        }
    }
}

/// A body that is being written. Its memory goes back to its pool with the last who reads it.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Memory,
    filled: usize,
    pool: Pool,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// How much memory it holds.
    pub(super) fn capacity(&self) -> usize {
        self.memory.bytes().len()
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.append_with(bytes.len(), |room| {
            room.copy_from_slice(bytes);
            bytes.len()
        });
    }

    /// Takes back what was written behind the first `bytes`.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.filled = self.filled.min(bytes);
    }

    /// What was written, not copied.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    fn grow(&mut self, least_bytes: usize) {
        let now_bytes = self.capacity();
        // Large ones by no more than a body may hold beyond its length.
        let more_bytes = if now_bytes < MAPPED_MIN_BYTES {
            now_bytes
        } else {
            now_bytes / 4
        };
        let mut grown = Memory::new(
            least_bytes.max(now_bytes + more_bytes),
            &self.pool.shared.mappings,
        );
        grown.bytes_mut()[..self.filled].copy_from_slice(self.as_ref());
        self.memory = grown;
    }
}

impl Output for Buffer {
    fn append_with(&mut self, max_bytes: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let end = self.filled + max_bytes;
        if end > self.capacity() {
            self.grow(end);
        }
        let written = write(&mut self.memory.bytes_mut()[self.filled..end]);
        self.filled += written.min(max_bytes);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory.bytes()[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = mem::replace(&mut self.memory, Memory::Heap(Vec::new()));
        // What is not kept goes back to the system here, outside of the lock.
        drop(self.pool.shared.keep(memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body of 60,000 bytes takes: 61,440 where a page has 4 KiB.
    fn mapped_bytes() -> usize {
        60_000_usize.next_multiple_of(page_bytes())
    }

    fn kept(pool: &Pool) -> (usize, usize) {
        let spares = pool.shared.spares();
        (spares.memory.len(), spares.bytes)
    }

    #[test]
    fn memory_is_used_again_once_nobody_reads_the_body() {
        let pool = Pool::new(1 << 20);
        let mut buffer = pool.take(60_000);
        buffer.extend(b"{\"TraceSegmentDocuments\":[\"x\"]}");
        let body = buffer.into_bytes();
        let reader = body.clone();
        let at = body.as_ptr();
        drop(body);
        assert_eq!(kept(&pool), (0, 0));
        assert_eq!(&reader[..], b"{\"TraceSegmentDocuments\":[\"x\"]}");
        drop(reader);
        assert_eq!(kept(&pool), (1, mapped_bytes()));

        let again = pool.take(60_000);
        assert_eq!(
            (again.as_ref().as_ptr(), again.len(), again.capacity()),
            (at, 0, mapped_bytes())
        );
        assert_eq!(kept(&pool), (0, 0));
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let pool = Pool::new(2 * mapped_bytes() + 30_000);
        let buffers: Vec<Buffer> = (0..5).map(|_| pool.take(60_000)).collect();
        drop(buffers);
        assert_eq!(kept(&pool), (2, 2 * mapped_bytes()));
    }

    #[test]
    fn memory_of_another_size_is_given_back_instead() {
        let (large, page) = (mapped_bytes(), page_bytes());
        for (size, wanted, fits) in [
            (large, large, true),
            (large, large + page, true),
            (large, 2 * large + page, false),
            (large, large - large / 20, true),
            (large, large - large / 16 - page - 1, false),
            (500, page, true),
            (500, page + page / 2, false),
        ] {
            let pool = Pool::new(usize::MAX);
            drop(pool.take(size));
            assert_eq!(kept(&pool), (1, size));
            let capacity = pool.take(wanted).capacity();
            assert_eq!(capacity == size, fits, "{size} for {wanted}");
        }
    }

    #[test]
    fn the_larger_the_body_the_more_its_memory_may_differ_from_what_is_asked() {
        let large = 1_000_000_usize.next_multiple_of(page_bytes());
        let least = large - large / 16;
        for (wanted, fits) in [
            (large - 50_000 - page_bytes(), true),
            (large + 50_000 + page_bytes(), true),
            (least - large / 16 - page_bytes(), false),
        ] {
            let pool = Pool::new(usize::MAX);
            drop(pool.take(large));
            assert_eq!(pool.take(wanted).capacity() == large, fits, "{wanted}");
        }
    }

    #[test]
    fn the_bound_itself_may_be_kept() {
        let pool = Pool::new(2 * mapped_bytes());
        let buffers = [pool.take(60_000), pool.take(60_000)];
        drop(buffers);
        assert_eq!(kept(&pool), (2, 2 * mapped_bytes()));
    }

    #[test]
    fn a_small_body_grows_to_the_double_and_a_large_one_by_a_quarter() {
        let pool = Pool::new(0);
        // From the allocator, whose memory has no pages.
        pool.shared.mappings.store(MAX_MAPPINGS, Relaxed);
        for (size, grown) in [
            (100, 200),
            (MAPPED_MIN_BYTES - 1, 2 * (MAPPED_MIN_BYTES - 1)),
            (MAPPED_MIN_BYTES, MAPPED_MIN_BYTES + MAPPED_MIN_BYTES / 4),
            (100_002, 125_002),
        ] {
            let mut buffer = pool.take(size);
            buffer.extend(&vec![b'x'; size]);
            assert_eq!(buffer.capacity(), size, "it is full");
            buffer.extend(b"y");
            assert_eq!(buffer.capacity(), grown, "{size}");
        }
        let mut buffer = pool.take(100);
        buffer.extend(&[b'x'; 1000]);
        assert_eq!(buffer.capacity(), 1000, "more than the double at once");
    }

    #[test]
    fn at_rest_nothing_is_kept_until_the_next_body_is_made() {
        let pool = Pool::new(1 << 20);
        let (first, second) = (pool.take(60_000), pool.take(60_000));
        drop(first);
        pool.rest();
        assert_eq!(kept(&pool), (0, 0));
        drop(second);
        assert_eq!(kept(&pool), (0, 0));
        drop(pool.take(60_000));
        assert_eq!(kept(&pool), (1, mapped_bytes()));
    }

    #[test]
    fn mappings_are_counted_and_beyond_their_number_bodies_come_from_the_allocator() {
        let pool = Pool::new(0);
        let count = || pool.shared.mappings.load(Relaxed);
        let (small, mut large) = (pool.take(MAPPED_MIN_BYTES - 1), pool.take(MAPPED_MIN_BYTES));
        assert_eq!(count(), 1);
        large.extend(&[b'x'; 2 * MAPPED_MIN_BYTES]);
        assert_eq!(count(), 1, "grown, in the place of the first");
        drop((small, large));
        assert_eq!(count(), 0);

        pool.shared.mappings.store(MAX_MAPPINGS, Relaxed);
        let mut buffer = pool.take(MAPPED_MIN_BYTES);
        assert!(matches!(buffer.memory, Memory::Heap(_)));
        buffer.extend(&[b'x'; 2 * MAPPED_MIN_BYTES]);
        assert_eq!(buffer.into_bytes(), [b'x'; 2 * MAPPED_MIN_BYTES][..]);
        assert_eq!(count(), MAX_MAPPINGS);
    }

    #[test]
    fn it_grows_with_what_is_written_whatever_its_memory_is() {
        for size in [1, 100, MAPPED_MIN_BYTES - 1, MAPPED_MIN_BYTES, 100_000] {
            let mut buffer = Pool::new(0).take(size);
            let text: Vec<u8> = (0..5 * size + 7).map(|index| index as u8).collect();
            for piece in text.chunks(1000) {
                buffer.extend(piece);
            }
            assert_eq!(buffer.as_ref(), text, "{size}");
            assert_eq!(&buffer.into_bytes()[..], text);
        }
    }
}
