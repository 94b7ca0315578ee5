//! What the terminal shows: where to look, and each trace when it is finished.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use xray_service::hints::Hint;
use xray_service::model::Tree;
use xray_service::row::Row;
use xray_service::traces::Trace;
use xray_service::work::Work;

use super::finished::{HEADLESS, Waiting};
use super::lines::json::json_line;
use super::lines::{self, Sheet, Style};
use super::remarks::{Form, Remarks};
use super::web::Site;
use crate::config::LogFormat;

/// Texts that may wait for a terminal that does not read (a paused one, say); more are counted and left out.
const QUEUE: usize = 256;

/// Changed traces that are looked at in one go.
const AT_ONCE: usize = 200;

/// Traces with the same hint of which a terminal shows it; the page and JSON have it with each.
const SAME_HINTS: u32 = 3;

/// How traces are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Each as a tree.
    pub tree: bool,
    /// Lines for people, or JSON.
    pub format: LogFormat,
    /// What is written on.
    pub sheet: Sheet,
    /// Also what was refused: the log, which says it, does not go to this terminal.
    pub refusals: bool,
}

/// The stdout of this process: coloured when it is a terminal and `NO_COLOR` is not set, as wide as that is, and with links
/// where it is known to show them. `page` is the page's address.
#[must_use]
pub(crate) fn sheet_of_process(page: String) -> Sheet {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = if io::stdout().is_terminal() && !plain {
        Style::Coloured
    } else {
        Style::Plain
    };
    Sheet {
        style,
        columns: columns_of_process(),
        links: supports_hyperlinks::on(supports_hyperlinks::Stream::Stdout),
        page,
    }
}

/// How wide the terminal on stdout is at this moment; `None` when it is none.
fn columns_of_process() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
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
        LogFormat::Text => Form::Text(view.sheet.style),
    };
    let mut said_hints: HashMap<String, u32> = HashMap::new();
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
        let now = Instant::now() + if is_last { HEADLESS } else { Duration::ZERO };
        let due = waiting.take_due(now);
        if !due.is_empty() {
            // Somebody may have drawn the window wider.
            let sheet = Sheet {
                columns: view.sheet.columns.and_then(|_| columns_of_process()),
                ..view.sheet.clone()
            };
            let found = found(&shared, &due, view.tree && view.format == LogFormat::Text).await;
            for one in found {
                screen.say(one.text(view.format, &sheet, &mut waiting, &mut said_hints));
            }
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
        let rows = away(move || {
            traces
                .iter()
                .map(|trace| Row::of(&trace.digest()))
                .collect::<Vec<_>>()
        })
        .await;
        for row in rows.unwrap_or_default() {
            waiting.changed(&row, Instant::now());
        }
        let is_all = changes.revision == *revision;
        *revision = changes.revision;
        if is_all {
            return;
        }
    }
}

/// A trace that is to be shown.
struct Found {
    row: Row,
    tree: Option<Tree>,
    hints: Vec<Hint>,
    now: SystemTime,
}

impl Found {
    fn text(
        &self,
        format: LogFormat,
        sheet: &Sheet,
        waiting: &mut Waiting,
        said: &mut HashMap<String, u32>,
    ) -> String {
        let again = waiting.shown(&self.row);
        if format == LogFormat::Json {
            return json_line(&self.row, &self.hints, again, sheet) + "\n";
        }
        let is_new = |hint: &&Hint| {
            let times = said.entry(hint.code.to_string()).or_default();
            *times += 1;
            *times <= SAME_HINTS
        };
        let hints: Vec<Hint> = self.hints.iter().filter(is_new).cloned().collect();
        let now = self
            .now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        match &self.tree {
            Some(tree) => lines::tree(&self.row, tree, &hints, again, sheet, now.as_secs_f64()),
            None => lines::line(&self.row, &hints, again, sheet, now.as_secs_f64()),
        }
    }
}

async fn found(shared: &Site, ids: &[String], with_tree: bool) -> Vec<Found> {
    let view = shared.service().view();
    let traces: Vec<Arc<Trace>> = {
        let service = shared.service();
        ids.iter().filter_map(|id| service.traces().share(id)).collect()
    };
    let now = SystemTime::now();
    let of_trace = move |trace: Arc<Trace>| Found {
        row: Row::of(&trace.digest()),
        tree: with_tree.then(|| trace.tree()),
        // One that is too much work has none here.
        hints: view.hints(&trace, now, &Work::new()).unwrap_or_default(),
        now,
    };
    let found = away(move || traces.into_iter().map(of_trace).collect::<Vec<_>>()).await;
    found.unwrap_or_default()
}

/// `None` when it has panicked, which has shown itself.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
