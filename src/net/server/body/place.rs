//! The memory of one body.
//!
//! Large ones have pages of their own, which go back to the system with the body: an allocator keeps what a burst of
//! megabytes has touched. What is not written to has an address and no memory, so a body whose length is known gets a place
//! for all of it at once, and nothing is copied as it grows. One without gets twice as much each time that it needs more:
//! with pages for the longest there could be, a system with huge pages gave 2 MiB to a body of 20 KiB.

use memmap2::MmapMut;

/// Up to so many bytes are had at once, whatever the body will have: most bodies.
pub(super) const SMALL_BYTES: usize = 16 << 10;

/// Longer ones than this have pages of their own. Mapping them costs a body of 100 KB, as SDKs send them all the time, a quarter
/// of what it costs in all.
const ALLOCATED_MAX_BYTES: usize = 128 << 10;

/// A place that fills.
#[derive(Debug)]
pub(super) struct Place {
    memory: Memory,
    filled: usize,
}

#[derive(Debug)]
enum Memory {
    Allocated(Vec<u8>),
    Pages(MmapMut),
}

impl Place {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::Allocated(Vec::new()),
            filled: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Adds `data`, of a body that will have `most_bytes` at the most.
    pub(super) fn add(&mut self, data: &[u8], most_bytes: usize) {
        let needed = self.filled + data.len();
        self.grow(needed, most_bytes.max(needed));
        match &mut self.memory {
            Memory::Allocated(bytes) => bytes.extend_from_slice(data),
            Memory::Pages(pages) => pages[self.filled..needed].copy_from_slice(data),
        }
        self.filled = needed;
    }

    /// Gives back what it has and does not need: nothing is added any more.
    pub(super) fn fit(&mut self) {
        if let Memory::Allocated(bytes) = &mut self.memory {
            bytes.shrink_to_fit();
        }
    }

    /// Makes room for `needed` bytes, or for all.
    fn grow(&mut self, needed: usize, most_bytes: usize) {
        let capacity = match &self.memory {
            Memory::Allocated(bytes) => bytes.capacity(),
            Memory::Pages(pages) => pages.len(),
        };
        if needed <= capacity {
            return;
        }
        let is_large = needed > SMALL_BYTES && most_bytes > ALLOCATED_MAX_BYTES;
        let mapped = is_large.then(|| MmapMut::map_anon(most_bytes));
        if let Some(Ok(mut pages)) = mapped {
            pages[..self.filled].copy_from_slice(self.as_ref());
            self.memory = Memory::Pages(pages);
            return;
        }
        // Not large, or the system has no mapping for it.
        let room = if needed > SMALL_BYTES {
            most_bytes
        } else {
            most_bytes.min(SMALL_BYTES)
        };
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(self.as_ref());
        self.memory = Memory::Allocated(bytes);
    }
}

impl AsRef<[u8]> for Place {
    fn as_ref(&self) -> &[u8] {
        match &self.memory {
            Memory::Allocated(bytes) => bytes,
            Memory::Pages(pages) => &pages[..self.filled],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_what_was_added_and_becomes_pages_once() {
        for most_bytes in [50_000, ALLOCATED_MAX_BYTES, ALLOCATED_MAX_BYTES + 1] {
            let mut place = Place::new();
            let mut expected = Vec::new();
            for round in 0..50_u8 {
                let data = vec![round; most_bytes / 50];
                place.add(&data, most_bytes);
                expected.extend_from_slice(&data);
                assert_eq!(place.as_ref(), expected);
                assert_eq!(place.len(), expected.len());
                let (capacity, has_pages) = match &place.memory {
                    Memory::Allocated(bytes) => (bytes.capacity(), false),
                    Memory::Pages(pages) => (pages.len(), true),
                };
                let small = expected.len() <= SMALL_BYTES;
                assert_eq!(capacity, if small { SMALL_BYTES } else { most_bytes });
                assert_eq!(has_pages, !small && most_bytes > ALLOCATED_MAX_BYTES);
            }
            // More than was said is taken as well.
            let length = place.len();
            place.add(&[9; 1000], most_bytes);
            assert_eq!(place.len(), length + 1000);
        }
    }

    #[test]
    fn a_small_body_of_unknown_length_keeps_no_more_than_it_has() {
        let mut place = Place::new();
        place.add(b"{}", 50_000);
        place.fit();
        assert!(matches!(&place.memory, Memory::Allocated(bytes) if bytes.capacity() == 2));
        assert_eq!(place.as_ref(), b"{}");
    }

    #[test]
    fn a_small_body_takes_what_it_will_have() {
        let mut place = Place::new();
        place.add(b"{}", 2);
        assert!(matches!(&place.memory, Memory::Allocated(bytes) if bytes.capacity() == 2));
        let mut place = Place::new();
        place.add(b"", 0);
        assert_eq!(place.as_ref(), b"");
    }
}
