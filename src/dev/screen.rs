//! What the terminal shows: where to look, and each trace when it is finished.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::finished::{PATIENCE, Waiting};
use super::lines::{self, Style};
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
}

impl View {
    /// For the stdout of this process: coloured when it is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub(crate) fn of_process(tree: bool, format: LogFormat) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if io::stdout().is_terminal() && !plain {
            Style::Coloured
        } else {
            Style::Plain
        };
        Self { tree, format, style }
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
    // Those from a file are not news.
    let mut revision = shared.service().traces().revision();
    let mut waiting = Waiting::default();
    loop {
        let due = waiting.next_due();
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
        look(&shared, &mut revision, &mut waiting);
        let now = Instant::now() + if is_last { PATIENCE } else { Duration::ZERO };
        for id in waiting.take_due(now) {
            if let Some(text) = text_of(&shared, &id, view, &mut waiting) {
                screen.say(text);
            }
        }
        if is_last {
            return screen;
        }
    }
}

fn look(shared: &Site, revision: &mut u64, waiting: &mut Waiting) {
    loop {
        let service = shared.service();
        let changes = service.traces().changes_since(*revision, AT_ONCE);
        if changes.reset {
            waiting.clear();
        }
        for id in &changes.gone {
            waiting.gone(id);
        }
        for trace in changes.changed.iter().filter_map(|id| service.traces().get(id)) {
            waiting.changed(&trace.digest(), Instant::now());
        }
        let is_all = changes.revision == *revision;
        *revision = changes.revision;
        if is_all {
            return;
        }
    }
}

fn text_of(shared: &Site, id: &str, view: View, waiting: &mut Waiting) -> Option<String> {
    let service = shared.service();
    let trace = service.traces().get(id)?;
    let digest = trace.digest();
    let known = waiting.shown(id, digest.segments);
    Some(match view.format {
        LogFormat::Json => lines::json_line(&digest) + "\n",
        LogFormat::Text if view.tree => lines::tree(&digest, &trace.tree(), known, view.style),
        LogFormat::Text => lines::line(&digest, known, view.style) + "\n",
    })
}
