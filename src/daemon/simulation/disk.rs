//! The disk: the one in memory, which outlives processes, with the faults of the plan, and each operation takes its time.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::documents;
use super::endpoint::Endpoint;
use super::moment;
use super::plan::{DiskFault, Window};
use crate::exporters::bodies::Bodies;
use crate::pipeline::spool::disk::Disk;
use crate::pipeline::spool::name::FileName;
use crate::pipeline::spool::store::Moment;
use crate::pipeline::spool::tests::fake::FakeDisk;

/// How long an operation takes when nothing is wrong.
const USUALLY: Duration = Duration::from_micros(200);

/// The time of day at the start.
const START_UNIX_MS: u64 = 1_795_227_595_034;

/// The disk as one process sees it; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct SimulatedDisk {
    pub(super) fake: FakeDisk,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    windows: Vec<Window<DiskFault>>,
    clock_steps: Vec<(Duration, i64)>,
    rng: Rng,
    /// What the operations since the last time they were asked for took.
    spent: Duration,
    faults: u64,
    /// Names that were not made safe: the last try failed.
    names_unsafe: bool,
    /// Documents that were found in files.
    found: u64,
    /// This process has looked before.
    is_listed: bool,
    endpoint: Endpoint,
}

impl SimulatedDisk {
    pub(super) fn new(
        start: Instant,
        windows: &[Window<DiskFault>],
        clock_steps: &[(Duration, i64)],
        endpoint: &Endpoint,
        rng: Rng,
    ) -> Self {
        Self {
            fake: FakeDisk::default(),
            shared: Arc::new(Mutex::new(Shared {
                start,
                windows: windows.to_vec(),
                clock_steps: clock_steps.to_vec(),
                rng,
                spent: Duration::ZERO,
                faults: 0,
                names_unsafe: false,
                found: 0,
                is_listed: false,
                endpoint: endpoint.clone(),
            })),
        }
    }

    /// As it is for the next process.
    pub(super) fn with(&self, fake: FakeDisk) -> Self {
        self.shared().is_listed = false;
        Self {
            fake,
            shared: Arc::clone(&self.shared),
        }
    }

    /// How many documents were found in files since the last call.
    pub(super) fn take_found(&self) -> u64 {
        std::mem::take(&mut self.shared().found)
    }

    /// How many faults it has made.
    pub(super) fn faults(&self) -> u64 {
        self.shared().faults
    }

    /// Whether the last files that were written may not survive a loss of power.
    pub(super) fn are_names_unsafe(&self) -> bool {
        self.shared().names_unsafe
    }

    /// What the operations since the last call took.
    pub(super) fn take_spent(&self) -> Duration {
        std::mem::take(&mut self.shared().spent)
    }

    /// The moment on both clocks, behind what the operations have taken.
    pub(super) fn clock(&self) -> Moment {
        let shared = self.shared();
        let instant: Instant = moment() + shared.spent;
        let passed: Duration = instant - shared.start;
        let steps = shared.clock_steps.iter().filter(|(at, _)| *at <= passed);
        let stepped: i64 = steps.map(|(_, by_ms)| by_ms).sum();
        Moment {
            instant,
            unix_ms: (START_UNIX_MS + passed.as_millis() as u64).saturating_add_signed(stepped),
        }
    }

    /// The numbers of the documents in whole files.
    pub(super) fn documents(&self) -> Vec<usize> {
        let mut numbers = Vec::new();
        for called in self.fake.names() {
            if let Some(name) = FileName::parse::<Bodies>(&called) {
                let body = self.fake.read(&called, name.bytes).unwrap();
                numbers.extend(documents::of_body(&body).iter().map(|document| document.number));
            }
        }
        numbers
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

/// What is done to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Lock,
    Read,
    Create,
    Change,
}

impl Shared {
    /// One operation, its time, and what is wrong with it.
    fn operate(&mut self, operation: Operation) -> io::Result<()> {
        let passed = moment() + self.spent - self.start;
        self.spent += USUALLY;
        let open: Vec<DiskFault> = self
            .windows
            .iter()
            .filter(|window| window.is_open(passed))
            .map(|window| window.fault)
            .collect();
        for fault in open {
            let is = |of: &[Operation]| of.contains(&operation);
            let error = match fault {
                DiskFault::Slow { each } => {
                    self.spent += each;
                    None
                }
                DiskFault::Fails { in_thousand } => (is(&[Operation::Create, Operation::Change])
                    && self.rng.u32(0..1000) < in_thousand)
                    .then(|| io::Error::other("input/output error")),
                DiskFault::Full => is(&[Operation::Create]).then(|| io::ErrorKind::StorageFull.into()),
                DiskFault::Unreadable => {
                    is(&[Operation::Read]).then(|| io::ErrorKind::PermissionDenied.into())
                }
                DiskFault::Locked => is(&[Operation::Lock]).then(|| io::ErrorKind::WouldBlock.into()),
            };
            self.faults += u64::from(error.is_some() || matches!(fault, DiskFault::Slow { .. }));
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    type File = usize;

    fn lock(&mut self) -> io::Result<()> {
        self.shared().operate(Operation::Lock)?;
        self.fake.lock()
    }

    fn is_open_to_others(&self) -> bool {
        self.fake.is_open_to_others()
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut shared = self.shared();
        shared.operate(Operation::Read)?;
        let found = self.documents();
        let is_again = std::mem::replace(&mut shared.is_listed, true);
        shared.found += found.len() as u64;
        shared.endpoint.service().found_on_disk(&found, is_again);
        self.fake.list()
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<usize> {
        self.shared().operate(Operation::Create)?;
        self.fake.create(name, content)
    }

    fn sync(&self, files: &[usize]) -> Vec<io::Result<()>> {
        let sync = |file: &usize| {
            self.shared().operate(Operation::Change)?;
            self.fake.sync(std::slice::from_ref(file)).remove(0)
        };
        files.iter().map(sync).collect()
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut shared = self.shared();
        shared.names_unsafe = true;
        shared.operate(Operation::Change)?;
        self.fake.sync_names()?;
        shared.names_unsafe = false;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.shared().operate(Operation::Change)?;
        self.fake.rename(from, to)
    }

    fn read(&self, name: &str, bytes: u64) -> io::Result<Vec<u8>> {
        self.shared().operate(Operation::Read)?;
        self.fake.read(name, bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.shared().operate(Operation::Change)?;
        self.fake.remove(name)
    }
}
