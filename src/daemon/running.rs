//! What runs in a daemon, and how it is told to end: the sources first, then what waits is sent.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::StartError;
use super::signals::Stop;
use crate::api::health::Health;
use crate::exporters::bodies::Bodies;
use crate::exporters::sender::Phase;
use crate::pipeline::fanout::Fanout;
use crate::pipeline::intake::Intake as _;
use crate::pipeline::lane::Lane;

/// The part of the shutdown timeout that requests on the TCP port get, as a divisor: half. They take 1.8 s at the most
/// when they are forwarded; what waits is sent meanwhile, and needs the rest when a slow client uses all of it.
const SERVING_SHARE: u32 = 2;

/// What the receiver gets beyond the deadline, at a stop that was too short for it, to read what the kernel holds: a
/// full receive buffer takes some 50 ms.
const COUNTING_MAX: Duration = Duration::from_millis(250);

/// A source of documents: it runs until it is told to end.
#[derive(Debug)]
pub(super) struct Part<F> {
    stop: Vec<oneshot::Sender<()>>,
    ended: F,
}

impl<F> Part<F> {
    pub(super) fn new(stop: Vec<oneshot::Sender<()>>, ended: F) -> Self {
        Self { stop, ended }
    }

    /// Tells it to end. One that has ended already needs no signal.
    fn stop(&mut self) {
        for stop in self.stop.drain(..) {
            let _: Result<(), ()> = stop.send(());
        }
    }
}

/// The receiver, on its own thread; that thread says how it ended.
pub(super) type Receiving = Part<oneshot::Receiver<io::Result<()>>>;

impl Receiving {
    /// At a stop that was too short for it: told to stop, it reads all the same what came before, so that what can't be
    /// sent any more is counted with the rest.
    pub(super) async fn read_the_rest(&mut self) {
        if !self.ended.is_terminated() {
            drop(timeout(COUNTING_MAX, &mut self.ended).await);
        }
    }
}

/// The TCP port, and those for OTLP.
pub(super) type Serving<'d> = Part<Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'd>>>;

/// The sending side: it ends by itself when the start failed, else when it is told to drain and all is sent.
pub(super) struct Sending<'d> {
    pub(super) phase: watch::Sender<Phase>,
    pub(super) ended: Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + 'd>>,
}

/// What runs, in the order of the data.
pub(super) struct Running<'d> {
    pub(super) receiving: &'d mut Receiving,
    pub(super) serving: Serving<'d>,
    pub(super) fanout: &'d Fanout<Bodies>,
    pub(super) sending: Sending<'d>,
    pub(super) health: &'d Health,
    pub(super) shutdown_timeout: Duration,
}

impl Running<'_> {
    /// Runs until it is told to stop, which is `None`, or a part of it can't go on.
    pub(super) async fn run(&mut self, stop: &mut watch::Receiver<Stop>) -> Option<Result<(), StartError>> {
        tokio::select! {
            // It ends by itself only when the start failed.
            result = &mut self.sending.ended => Some(result),
            ended = &mut self.receiving.ended => Some(Err(receiving_failed(ended))),
            ended = &mut self.serving.ended => Some(Err(serving_failed(ended))),
            _ = stop.wait_for(|stop| *stop != Stop::Run) => None,
        }
    }

    /// Takes what the sources still have, sends what waits, and keeps what can't be sent by then, all until `deadline`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the open batch is sealed when the sources have ended"
    )]
    pub(super) async fn drain(mut self, deadline: Instant) -> Result<(), StartError> {
        self.stop_sources();
        let until = deadline - spool_reserve(self.fanout, self.shutdown_timeout);
        let serving_limit = self.shutdown_timeout / SERVING_SHARE;
        let sources_end = async {
            tokio::join!(
                received(&mut self.receiving.ended),
                served(self.serving.ended, serving_limit)
            );
            // What came over TCP after the receiver had ended.
            self.fanout.seal(Instant::now().into_std());
            self.sending.phase.send_replace(Phase::Draining);
        };
        let drained = async { tokio::join!(sources_end, self.sending.ended.as_mut()).1 };
        let result = timeout_at(until, drained).await.unwrap_or(Ok(()));
        // With it go the calls in flight: their batches are kept too.
        drop(self.sending.ended);
        keep_what_is_left(self.fanout, deadline).await;
        result
    }

    /// As [`Running::drain`], after a part of it `failed`: what is there can't be sent, only kept.
    pub(super) async fn give_up(
        mut self,
        failed: Result<(), StartError>,
        deadline: Instant,
    ) -> Result<(), StartError> {
        self.stop_sources();
        if matches!(&failed, Err(error) if !matches!(error, StartError::System(_))) {
            drop(timeout_at(deadline, &mut self.receiving.ended).await);
        }
        drop(self.sending.ended);
        keep_what_is_left(self.fanout, deadline).await;
        failed
    }

    fn stop_sources(&mut self) {
        self.health.set_receiving_ended();
        self.receiving.stop();
        self.serving.stop();
    }
}

async fn received(receiving_ended: &mut oneshot::Receiver<io::Result<()>>) {
    if let Ok(Err(error)) = receiving_ended.await {
        tracing::error!(error = %error, "Receiving on UDP ended with: {error}");
    }
}

/// When the time is up, what is still being served ends with `serving`, so that nothing comes after the seal.
async fn served(serving: impl Future<Output = io::Result<()>>, limit: Duration) {
    match timeout(limit, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = %error, "Serving on TCP ended with: {error}"),
        Err(_) => tracing::warn!(
            limit_s = limit.as_secs_f64(),
            "Requests on the TCP port that were not over {} s after the signal are cut",
            limit.as_secs_f64()
        ),
    }
}

/// How much of the shutdown timeout is kept for writing to the spool what can't be sent: a quarter, or more when there is
/// much to write for this disk, up to a half.
fn spool_reserve(fanout: &Fanout<Bodies>, shutdown_timeout: Duration) -> Duration {
    let spooling: Vec<_> = fanout
        .lanes()
        .all()
        .filter(|lane| lane.spool().is_some())
        .collect();
    if spooling.is_empty() {
        return Duration::ZERO;
    }
    // They share the disk.
    let to_keep = spooling.iter().map(|lane| lane.time_to_keep());
    to_keep
        .fold(Duration::ZERO, Duration::saturating_add)
        .clamp(shutdown_timeout / 4, shutdown_timeout / 2)
}

/// Gives the spools everything that is still in memory, and waits until they have it. Late, they keep what they can, and
/// the rest is counted at the end.
async fn keep_what_is_left(fanout: &Fanout<Bodies>, deadline: Instant) {
    let all = async {
        let mut lanes = fanout.lanes().all();
        // Side by side: one disk, and one deadline.
        match (lanes.next(), lanes.next()) {
            (Some(first), Some(second)) => drop(tokio::join!(give_to_spool(first), give_to_spool(second))),
            (Some(only), _) => give_to_spool(only).await,
            (None, _) => {}
        }
    };
    drop(timeout_at(deadline, all).await);
}

async fn give_to_spool(lane: &Lane<Bodies>) {
    let Some(spool) = lane.spool() else { return };
    let items = lane.pending_amounts().items();
    // What it can't take stays in the lane, and is counted at the end.
    let segments = lane.keep_in_spool();
    if segments > 0 {
        tracing::info!(
            destination = lane.destination().other_label(),
            segments,
            "Keeping {segments} unsent {items} in the spool, to be sent{} after the next start",
            lane.destination().to_other()
        );
    }
    spool.close().await;
}

fn receiving_failed(ended: Result<io::Result<()>, oneshot::error::RecvError>) -> StartError {
    let error = match ended {
        Ok(Err(error)) => error,
        // It only ends by itself with an error, or by a panic, which drops its end of the channel.
        Ok(Ok(())) | Err(_) => io::Error::other("the receiving thread has ended"),
    };
    StartError::System(error)
}

fn serving_failed(ended: io::Result<()>) -> StartError {
    let ended = ended.err();
    // It only ends by itself with an error.
    StartError::System(ended.unwrap_or_else(|| io::Error::other("the TCP port is closed")))
}
