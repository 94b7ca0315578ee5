//! The daemon's inner loops, one by one, beside what could take their place: `cargo bench --bench micro [-- FILTER]`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, bench, bench_group};
use sha2::{Digest, Sha256};
use xray::exporters::xray::encoding::Segments;
use xray::ledger::Ledger;
use xray::pipeline::batch::encoding::Encoding as _;
use xray::pipeline::budget::Budget;
use xray::pipeline::intake::Intake;
use xray::pipeline::lane::Lane;
use xray::pipeline::queue::{Next, Queue};
use xray::receivers::udp::datagram;
use xray_double::sized::Segment;

/// From the smallest segments to what fills a datagram.
const SIZES: [usize; 4] = [300, 1024, 10_240, 61_440];

/// As the daemon makes batches.
type OpenBatch = xray::pipeline::batch::OpenBatch<Segments>;

const MAX_DOCUMENTS: usize = Segments::MAX_DOCUMENTS;

/// A typical segment.
const BYTES: usize = 1024;

fn main() {
    for size in SIZES {
        let document = document(size);
        assert_eq!(document.len(), size);
        assert!(
            serde_json::from_slice::<serde::de::IgnoredAny>(&document).is_ok(),
            "{size} bytes: not JSON"
        );
        assert_eq!(
            memchr::memchr_iter(xray_double::sized::MARK, &document).count(),
            1
        );
        let mut expected = Vec::new();
        assert!(serde_json::to_writer(&mut expected, text(&document)).is_ok());
        let mut ours = Vec::new();
        xray::exporters::xray::encoding::escape::escape(&document, &mut ours);
        assert!(
            ours == expected,
            "our escape differs from serde_json's at {size} bytes"
        );
    }
    divan::main();
}

fn document(bytes: usize) -> Vec<u8> {
    let mut segment = Segment::new(bytes);
    segment.numbered(0xC0FFEE);
    segment.document().to_vec()
}

fn text(document: &[u8]) -> &str {
    std::str::from_utf8(document).unwrap_or_default()
}

fn budget() -> Budget {
    Budget::of_mb(64)
}

/// The header check.
#[bench_group]
mod header {
    use super::{Bencher, ItemsCount, Segment, bench, black_box, datagram};

    fn check(bencher: Bencher<'_, '_>, datagram: &[u8]) {
        bencher
            .counter(ItemsCount::new(1_usize))
            .bench_local(|| datagram::document(black_box(datagram)).is_ok());
    }

    /// What the SDKs send.
    #[bench]
    fn usual(bencher: Bencher<'_, '_>) {
        check(bencher, Segment::new(super::BYTES).numbered(7));
    }

    /// What others send.
    #[bench]
    fn unusual(bencher: Bencher<'_, '_>) {
        check(
            bencher,
            b"{ \"version\" : 1, \"format\" : \"JSON\" }\n{\"name\":\"shop\"}",
        );
    }

    #[bench]
    fn refused(bencher: Bencher<'_, '_>) {
        check(
            bencher,
            b"{\"format\":\"xml\",\"version\":1}\n{\"name\":\"shop\"}",
        );
    }
}

/// A document as a JSON string.
#[bench_group]
mod escape {
    use super::{Bencher, BytesCount, SIZES, bench, black_box, document, text};

    fn escape(bencher: Bencher<'_, '_>, bytes: usize, escape: impl Fn(&[u8], &mut Vec<u8>)) {
        let document = document(bytes);
        let mut out = Vec::with_capacity(8 * bytes);
        bencher.counter(BytesCount::new(bytes)).bench_local(|| {
            out.clear();
            escape(black_box(&document), &mut out);
            black_box(&out).len()
        });
    }

    #[bench(args = SIZES)]
    fn serde_json(bencher: Bencher<'_, '_>, bytes: usize) {
        escape(bencher, bytes, |document, out| {
            let _: Result<(), _> = serde_json::to_writer(out, text(document));
        });
    }

    #[bench(args = SIZES)]
    fn json_escape_simd(bencher: Bencher<'_, '_>, bytes: usize) {
        escape(bencher, bytes, |document, out| {
            json_escape_simd::escape_into(text(document), out)
        });
    }

    /// What the daemon uses, and the footprint benchmark's control.
    #[bench(args = SIZES)]
    fn eight_at_a_time(bencher: Bencher<'_, '_>, bytes: usize) {
        escape(bencher, bytes, |document, out| {
            xray::exporters::xray::encoding::escape::escape(document, out)
        });
    }

    /// The least: a copy.
    #[bench(args = SIZES)]
    fn copy(bencher: Bencher<'_, '_>, bytes: usize) {
        escape(bencher, bytes, |document, out| out.extend_from_slice(document));
    }
}

/// Whether a document is UTF-8.
#[bench_group]
mod utf8 {
    use super::{Bencher, BytesCount, SIZES, bench, black_box, document};

    #[bench(args = SIZES)]
    fn std(bencher: Bencher<'_, '_>, bytes: usize) {
        let document = document(bytes);
        bencher
            .counter(BytesCount::new(bytes))
            .bench_local(|| std::str::from_utf8(black_box(&document)).is_ok());
    }

    #[bench(args = SIZES)]
    fn simdutf8(bencher: Bencher<'_, '_>, bytes: usize) {
        let document = document(bytes);
        bencher
            .counter(BytesCount::new(bytes))
            .bench_local(|| simdutf8::basic::from_utf8(black_box(&document)).is_ok());
    }
}

/// Fifty documents into a sealed batch, each escaped: the figure is for the batch.
#[bench_group]
mod batch {
    use super::{
        Bencher, BytesCount, Instant, MAX_DOCUMENTS, OpenBatch, SIZES, bench, black_box, budget, document,
    };

    #[bench(args = SIZES)]
    fn of_fifty(bencher: Bencher<'_, '_>, bytes: usize) {
        let document = document(bytes);
        let mut open = OpenBatch::new(budget().open_batch_bytes);
        let now = Instant::now();
        bencher
            .counter(BytesCount::new(MAX_DOCUMENTS * bytes))
            .bench_local(|| {
                let mut sealed = 0;
                for _ in 0..MAX_DOCUMENTS {
                    sealed += open
                        .push(black_box(&document), now)
                        .sealed
                        .map_or(0, |batch| batch.body.len());
                }
                sealed + open.seal().map_or(0, |batch| batch.body.len())
            });
    }
}

/// A sealed batch in and out again.
#[bench_group]
mod queue {
    use super::{
        Arc, BYTES, Bencher, Instant, Intake, ItemsCount, Lane, Ledger, MAX_DOCUMENTS, Next, OpenBatch,
        Queue, Segments, bench, black_box, budget, document,
    };

    /// With so many others waiting.
    #[bench(args = [0, 1000])]
    fn push_take_settle(bencher: Bencher<'_, '_>, waiting: usize) {
        let now = Instant::now();
        let mut open = OpenBatch::new(budget().open_batch_bytes);
        let _: Vec<_> = (1..MAX_DOCUMENTS)
            .map(|_| open.push(&document(300), now))
            .collect();
        let Some(batch) = open.seal() else { return };
        let mut queue = Queue::new(usize::MAX);
        for _ in 0..waiting {
            drop(queue.push(batch.clone()));
        }
        bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
            drop(queue.push(black_box(batch.clone())));
            if let Next::Ready(flight) = queue.take(now) {
                queue.settle(flight.ticket);
            }
        });
    }

    /// The way of one receive of 32 documents through the lock, uncontended; fifty make a batch, which is taken.
    #[bench]
    fn lane_of_32(bencher: Bencher<'_, '_>) {
        let document = document(BYTES);
        let lane = Lane::<Segments>::new(budget(), Arc::new(Ledger::default()));
        let now = Instant::now();
        bencher.counter(ItemsCount::new(32_usize)).bench_local(|| {
            lane.add(std::iter::repeat_n(black_box(&document[..]), 32), now);
            if let Next::Ready(flight) = lane.take(now) {
                lane.settle(flight.ticket);
            }
        });
    }
}

/// The hash of the payload, for the signature: 50 KB are fifty documents of 1 KB.
#[bench_group]
mod sha256 {
    use super::{Bencher, BytesCount, Digest, Sha256, bench, black_box, document};

    const BODY_BYTES: usize = 50 << 10;

    #[bench]
    fn sha2(bencher: Bencher<'_, '_>) {
        let body = document(BODY_BYTES);
        bencher
            .counter(BytesCount::new(BODY_BYTES))
            .bench_local(|| Sha256::digest(black_box(&body)));
    }
}

/// From 100,000 files on a real disk to the sender and gone, the endpoint taking no time.
#[bench_group(sample_count = 1, sample_size = 1)]
mod spool {
    use super::{Arc, Bencher, Budget, Instant, ItemsCount, Lane, Ledger, Next, Segments, bench, document};
    use xray::pipeline::batch::Batch;
    use xray::pipeline::budget::MB;
    use xray::pipeline::spool::Spool;
    use xray::pipeline::spool::disk::Directory;
    use xray::pipeline::spool::store::{Moment, Store};

    const FILES: usize = 100_000;

    /// Most that are asked for at a time, as half of the calls.
    const AHEAD: usize = 32;

    #[bench]
    fn drain_of_100_000_files(bencher: Bencher<'_, '_>) {
        bencher
            .counter(ItemsCount::new(FILES))
            .with_inputs(|| {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let disk = Directory::new(directory.path());
                let (mut store, _) = Store::<_, Segments>::open(disk, u64::MAX).expect("a spool");
                let text = serde_json::to_vec(&String::from_utf8_lossy(&document(300))).expect("a string");
                let batch = Batch::of_documents::<Segments>(&[&text], Instant::now()).expect("a batch");
                for _ in 0..FILES / 1000 {
                    let written = store.write(vec![batch.clone(); 1000], Moment::now());
                    assert_eq!(written.stored.len(), 1000);
                }
                drop(store);
                directory
            })
            .bench_local_refs(|directory| drain(directory.path()));
    }

    fn drain(directory: &std::path::Path) {
        let budget = Budget::of_mb(16).with_spool();
        let ledger = Arc::new(Ledger::default());
        let (spool, worker) = Spool::new(directory, 1024 * MB, budget.to_spool_bytes, Arc::clone(&ledger));
        let lane = Arc::new(Lane::<Segments>::with_spool(budget, ledger, Some(spool)));
        let taker = Arc::clone(&lane);
        let thread = std::thread::spawn(move || worker.run(&*taker));
        let spool = lane.spool().expect("it has one");
        let mut sent = 0;
        while sent < FILES {
            while spool.out() < AHEAD && spool.ready() > spool.reading() && spool.ask() {}
            match lane.take(Instant::now()) {
                Next::Ready(flight) => {
                    lane.settle(flight.ticket);
                    sent += 1;
                }
                Next::NotBefore(_) | Next::Empty => std::thread::yield_now(),
            }
        }
        spool.close_account();
        assert!(thread.join().is_ok());
    }
}
