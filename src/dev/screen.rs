//! What the terminal shows: where to look, and each trace when it is finished.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use xray_service::digest::Digest;
use xray_service::model::Tree;
use xray_service::traces::Trace;

use super::finished::{PATIENCE, Waiting};
use super::lines::{self, Style};
use super::remarks::{Form, Remarks};
use super::web::Site;
use crate::config::LogFormat;

/// Texts that may wait for a terminal that does not read (a paused one, say); more are counted and left out.
const QUEUE: usize = 256;

/// Changed traces that are looked at in one go.
const AT_ONCE: usize = 200;

/// How traces are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Each as a tree.
    pub tree: bool,
    /// Lines for people, or JSON.
    pub format: LogFormat,
    /// Colours, for lines for people.
    pub style: Style,
    /// Also what was refused: the log, which says it, does not go to this terminal.
    pub refusals: bool,
}

impl View {
    /// For the stdout of this process: coloured when it is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub(crate) fn of_process(tree: bool, format: LogFormat, refusals: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if io::stdout().is_terminal() && !plain {
            Style::Coloured
        } else {
            Style::Plain
        };
        Self {
            tree,
            format,
            style,
            refusals,
        }
    }
}

/// Writes texts on a thread of its own, so that a terminal that does not read holds up nobody.
#[derive(Debug)]
pub(crate) struct Screen {
    texts: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
    left_out: u64,
}

impl Screen {
    /// Onto `target`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn new(mut target: impl Write + Send + 'static) -> io::Result<Self> {
        let (texts, waiting) = sync_channel::<String>(QUEUE);
        let writer = std::thread::Builder::new()
            .name("xray-screen".to_owned())
            .spawn(move || {
                while let Ok(text) = waiting.recv() {
                    // Whoever closed it does not want the text; the traces are on the page still.
                    let _ = target.write_all(text.as_bytes()).and_then(|()| target.flush());
                }
            })?;
        Ok(Self {
            texts: Some(texts),
            writer: Some(writer),
            left_out: 0,
        })
    }

    /// Shows a text, which has the end of its last line.
    pub(crate) fn say(&mut self, mut text: String) {
        let Some(texts) = &self.texts else { return };
        if self.left_out > 0 {
            text = format!("… {} traces were not shown here\n{text}", self.left_out);
        }
        match texts.try_send(text) {
            Ok(()) => self.left_out = 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.left_out += 1,
        }
    }

    /// Waits until all is written; not on a runtime that has other work.
    pub(crate) fn finish(mut self) {
        drop(self.texts.take());
        if let Some(writer) = self.writer.take() {
            // A panic of it has shown itself.
            let _ = writer.join();
        }
    }
}

/// Shows traces as they are finished, until `stop`; then those that only their quiet time holds back. Sleeps without a
/// timer while none is on its way.
pub(super) async fn show(
    shared: Arc<Site>,
    view: View,
    mut screen: Screen,
    mut stop: oneshot::Receiver<()>,
) -> Screen {
    let mut changes = shared.changes();
    // What was refused before this task ran is news.
    changes.mark_changed();
    // Those from a file are not news.
    let mut revision = shared.service().traces().revision();
    let mut waiting = Waiting::default();
    let mut remarks = Remarks::default();
    let form = match view.format {
        LogFormat::Json => Form::Json,
        LogFormat::Text => Form::Text(view.style),
    };
    loop {
        let due = [waiting.next_due(), remarks.next_due()]
            .into_iter()
            .flatten()
            .min();
        let sleeping = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let is_last = tokio::select! {
            _ = &mut stop => true,
            _ = changes.changed() => false,
            () = sleeping => false,
        };
        look(&shared, &mut revision, &mut waiting).await;
        let now = Instant::now() + if is_last { PATIENCE } else { Duration::ZERO };
        let due = waiting.take_due(now);
        for text in texts_of(&shared, &due, view, &mut waiting).await {
            screen.say(text);
        }
        let said = remarks.say(&shared.service(), view.refusals, form, now);
        if !said.is_empty() {
            screen.say(said);
        }
        if is_last {
            return screen;
        }
    }
}

/// Digests are made on another thread than the one that receives: a large trace takes its time.
async fn look(shared: &Site, revision: &mut u64, waiting: &mut Waiting) {
    loop {
        let (changes, traces) = {
            let service = shared.service();
            let changes = service.traces().changes_since(*revision, AT_ONCE);
            let changed = changes.changed.iter();
            let traces: Vec<Arc<Trace>> = changed.filter_map(|id| service.traces().share(id)).collect();
            (changes, traces)
        };
        if changes.reset {
            waiting.clear();
        }
        for id in &changes.gone {
            waiting.gone(id);
        }
        let digests = away(move || traces.iter().map(|trace| trace.digest()).collect::<Vec<_>>()).await;
        for digest in digests.unwrap_or_default() {
            waiting.changed(&digest, Instant::now());
        }
        let is_all = changes.revision == *revision;
        *revision = changes.revision;
        if is_all {
            return;
        }
    }
}

async fn texts_of(shared: &Site, ids: &[String], view: View, waiting: &mut Waiting) -> Vec<String> {
    if ids.is_empty() {
        return Vec::new();
    }
    let traces: Vec<Arc<Trace>> = {
        let service = shared.service();
        ids.iter().filter_map(|id| service.traces().share(id)).collect()
    };
    let of_trace = move |trace: Arc<Trace>| {
        let tree = (view.format == LogFormat::Text && view.tree).then(|| trace.tree());
        (trace.digest(), tree)
    };
    let found = away(move || traces.into_iter().map(of_trace).collect::<Vec<_>>()).await;
    let found = found.unwrap_or_default().into_iter();
    let text = |(digest, tree): (Arc<Digest>, Option<Tree>)| {
        let known = waiting.shown(&digest.id, digest.segments);
        match (view.format, tree) {
            (LogFormat::Json, _) => lines::json_line(&digest) + "\n",
            (LogFormat::Text, Some(tree)) => lines::tree(&digest, &tree, known, view.style),
            (LogFormat::Text, None) => lines::line(&digest, known, view.style) + "\n",
        }
    };
    found.map(text).collect()
}

/// `None` when it has panicked, which has shown itself.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
