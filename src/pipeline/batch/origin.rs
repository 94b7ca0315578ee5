//! Which file a batch in memory came from, so that it is removed when the last of its documents is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

/// Which file. The order is that in which files go out: that of their sequence, which the time of day can't turn round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Counted up with each file, over restarts too.
    pub sequence: u64,
    /// When the batch's first document came, in milliseconds since 1970. Tells two files apart that come from two spools.
    pub opened_ms: u64,
}

/// A batch's file. Parts of a split batch share it.
#[derive(Debug, Clone)]
pub struct Origin {
    file: FileId,
    whole: bool,
    parts: Arc<AtomicUsize>,
}

impl Origin {
    /// Of the batch that a file holds.
    #[must_use]
    pub fn new(file: FileId) -> Self {
        Self {
            file,
            whole: true,
            parts: Arc::new(AtomicUsize::new(1)),
        }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Whether the batch is still what the file holds: then it need not be written again.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Of one more batch, which holds some of the documents. It must come to its end too.
    #[must_use]
    pub fn part(&self) -> Self {
        self.parts.fetch_add(1, AcqRel);
        Self {
            whole: false,
            ..self.clone()
        }
    }

    /// A batch has come to its end: settled, replaced by its parts, or safe in another file. True for the last one, with
    /// which the file is not needed any more. Once for each batch.
    #[must_use = "with the last one, the file is to be removed"]
    pub fn end(&self) -> bool {
        self.parts.fetch_sub(1, AcqRel) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_needed_until_the_last_of_its_parts_has_ended() {
        let file = FileId {
            opened_ms: 1,
            sequence: 2,
        };
        let whole = Origin::new(file);
        let parts = [whole.part(), whole.part()];
        assert!(whole.is_whole() && !parts[0].is_whole() && !parts[1].is_whole());
        let part_of_a_part = parts[0].part();
        assert_eq!((part_of_a_part.file(), part_of_a_part.is_whole()), (file, false));
        assert!(!whole.end());
        assert!(!parts[0].end());
        assert!(!parts[1].end());
        assert!(part_of_a_part.end());
    }
}
