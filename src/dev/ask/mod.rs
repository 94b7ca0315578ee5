//! `xray traces` and `xray trace`: a running `xray dev` is asked what its page asks it, with the key that is in the page.
//!
//! | file | its one job |
//! |---|---|
//! | this one | the questions, and how answers are shown |
//! | `client` | one request over HTTP, and a stream of events |

mod client;

use std::io::{self, Write as _};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use xray_service::digest::Digest;
use xray_service::hints::Hint;
use xray_service::model::Tree;
use xray_service::row::Row;

use self::client::{Answer, Client, Events};
use super::finished::Waiting;
use super::lines::json::{hints_of, object};
use super::lines::{self, Sheet};
use super::screen::sheet_of_process;
use crate::logs::sanitize;

/// Traces that are listed when nobody says how many.
const DEFAULT_LIMIT: usize = 20;

/// The longest text of an answer that is shown, in characters.
const SHOWN_CHARS: usize = 300;

/// What `xray traces` asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// `host:port` of the page.
    pub from: String,
    /// An expression, or words.
    pub filter: String,
    /// JSON, and not lines for people.
    pub json: bool,
    /// Go on with what comes.
    pub follow: bool,
    /// The most traces that are there already.
    pub limit: Option<usize>,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers, or nobody any more.
    #[error(
        "No xray dev answers at {address}: {reason}. Start one (xray dev), or give its page's address by --from HOST:PORT."
    )]
    Nobody {
        /// What was asked.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// What answers is something else, or does not let this in.
    #[error("What answers at {address} is no page of xray dev: {reason}")]
    Other {
        /// What was asked.
        address: String,
        /// What it said.
        reason: String,
    },
    /// The filter cannot be read.
    #[error("{0}")]
    Filter(String),
    /// It is not in the store.
    #[error("Trace {0} is not there: it has not come, or newer ones have pushed it out")]
    Missing(String),
    /// The system refuses what it takes to ask.
    #[error("The system refuses what it takes to ask: {0}")]
    System(io::Error),
}

impl AskError {
    /// What the process ends with: 1: there is no such trace; 2: the question is wrong; 3: nobody answers.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Missing(_) => 1,
            Self::Filter(_) => 2,
            Self::Nobody { .. } | Self::Other { .. } | Self::System(_) => 3,
        }
    }
}

/// Prints traces. Whether there was one.
///
/// # Errors
/// As [`AskError`].
pub fn traces(asked: &Traces) -> Result<bool, AskError> {
    run(async {
        let client = Client::connect(&asked.from).await?;
        let view = View {
            sheet: sheet_of_process(client.page()),
            json: asked.json,
        };
        // From here on what comes is in the stream, if it is not in the list.
        let events = match asked.follow {
            true => Some(client.events(&asked.filter).await?),
            false => None,
        };
        let default = if asked.follow { 0 } else { DEFAULT_LIMIT };
        let limit = asked.limit.unwrap_or(default);
        let rows = if limit == 0 {
            Vec::new()
        } else {
            client.traces(&asked.filter, limit).await?
        };
        for row in rows.iter().rev() {
            if !say(&view.line(row, false)) {
                return Ok(true);
            }
        }
        match events {
            Some(events) => follow(&client, events, &view, &rows).await,
            None => Ok(!rows.is_empty()),
        }
    })
}

/// Prints traces as they are finished, until the stream ends, which is an error, or nobody reads.
async fn follow(client: &Client, mut events: Events, view: &View, known: &[Row]) -> Result<bool, AskError> {
    let mut waiting = Waiting::default();
    let mut rows = std::collections::HashMap::new();
    for row in known {
        waiting.shown(row);
    }
    loop {
        let due = waiting.next_due();
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event.map_err(|reason| client.gone(reason))? {
                client::Event::Trace(row) => {
                    waiting.changed(&row, Instant::now());
                    rows.insert(row.id.clone(), *row);
                }
                client::Event::Gone(ids) => for id in &ids {
                    waiting.gone(id);
                    rows.remove(id);
                },
                client::Event::Reset => {
                    waiting.clear();
                    rows.clear();
                }
            },
            () = due => {}
        }
        for id in waiting.take_due(Instant::now()) {
            let Some(row) = rows.remove(&id) else { continue };
            let again = waiting.shown(&row);
            if !say(&view.line(&row, again)) {
                return Ok(true);
            }
        }
    }
}

/// Prints one trace.
///
/// # Errors
/// As [`AskError`].
pub fn trace(from: &str, id: &str, json: bool) -> Result<bool, AskError> {
    run(async {
        let client = Client::connect(from).await?;
        let sheet = sheet_of_process(client.page());
        let answer = client.trace(id).await?;
        let hints: Vec<Hint> = answer.hints.iter().map(Said::hint).collect();
        let documents = || answer.segments.iter().map(|segment| segment.document.as_str());
        let tree = Tree::build(documents());
        let row = Row::of(&Digest::of(&answer.id, &tree));
        let text = if json {
            let mut all = object(&row, &sheet);
            all["hints"] = hints_of(&hints);
            // What is no JSON stays the text that it is.
            let parsed = documents().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
            all["documents"] = parsed.collect::<Vec<Value>>().into();
            if answer.limit_exceeded {
                all["limit_exceeded"] = json!(true);
            }
            format!("{all}\n")
        } else {
            lines::tree(&row, &tree, &hints, false, &sheet, now_s())
        };
        say(&text);
        Ok(true)
    })
}

struct View {
    sheet: Sheet,
    json: bool,
}

impl View {
    fn line(&self, row: &Row, again: bool) -> String {
        if !self.json {
            return lines::line(row, &[], again, &self.sheet, now_s());
        }
        let mut object = object(row, &self.sheet);
        if again {
            object["again"] = json!(true);
        }
        format!("{object}\n")
    }
}

fn now_s() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// Whether somebody reads.
fn say(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

fn run<T>(asking: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::System)?;
    let outcome = runtime.block_on(asking);
    // A name that is being looked up keeps nobody.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

/// `/-/trace/ID`.
#[derive(Debug, Deserialize)]
struct TraceAnswer {
    id: String,
    segments: Vec<Segment>,
    limit_exceeded: bool,
    hints: Vec<Said>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    document: String,
}

#[derive(Debug, Deserialize)]
struct Said {
    code: String,
    text: String,
    segments: Vec<String>,
}

impl Said {
    fn hint(&self) -> Hint {
        Hint {
            code: self.code.clone().into(),
            text: self.text.clone(),
            segments: self.segments.clone(),
        }
    }
}

impl Client {
    /// The newest traces, newest first.
    async fn traces(&self, filter: &str, limit: usize) -> Result<Vec<Row>, AskError> {
        #[derive(Deserialize)]
        struct List {
            traces: Vec<Row>,
        }
        let limit = limit.to_string();
        let answer = self
            .get("/-/traces", &[("filter", filter), ("limit", &limit)])
            .await?;
        self.read::<List>(answer).map(|list| list.traces)
    }

    async fn trace(&self, id: &str) -> Result<TraceAnswer, AskError> {
        let answer = self.get(&format!("/-/trace/{id}"), &[]).await?;
        if answer.status == 404 {
            return Err(AskError::Missing(id.to_owned()));
        }
        self.read(answer)
    }

    /// A good answer, or what the other one says.
    fn read<T: for<'de> Deserialize<'de>>(&self, answer: Answer) -> Result<T, AskError> {
        let Answer { status, body } = answer;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|error| self.other(error.to_string()));
        }
        Err(self.refused(status, &body))
    }

    /// What an answer says that is none to the question.
    fn refused(&self, status: u16, body: &[u8]) -> AskError {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = said["message"].as_str().map(|text| sanitize(text, SHOWN_CHARS));
        match (status, message) {
            (400, Some(message)) => {
                let place = said["position"].as_u64();
                let place = place.map_or_else(String::new, |place| format!(" (at character {})", place + 1));
                AskError::Filter(format!("The filter is wrong: {message}{place}"))
            }
            (_, message) => self.other(message.unwrap_or_else(|| format!("status {status}"))),
        }
    }
}
