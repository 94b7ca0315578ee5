//! Spans on their way to X-Ray as segments: documents are made of them here.
//!
//! How much a request becomes is known only when it has been converted: a short span becomes many times its length, since
//! each document says all that its resource and its scope are. So a request that goes nowhere else is taken whole or not at
//! all, and its sender is told to come again. One that OTLP's lane takes as it is goes on; X-Ray's lane drops its oldest then,
//! in its own account.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Instant;

use xray_document::otlp::json;
use xray_document::otlp::to_segment::{Options, Refused, segments_while};

use super::Fanout;
use crate::ledger::DropReason;
use crate::ledger::signal::Content;
use crate::logs;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::{Batch, OpenBatch};
use crate::pipeline::intake::{Form, Intake as _, NoRoom, NotTaken, Request, Room};
use crate::pipeline::lane::Lane;

/// Most characters of the reason why a span is no segment.
const REASON_MAX_CHARS: usize = 300;

/// Documents are put into a body whenever so many bytes of them are made: a request of the longest kind makes four times its
/// length, which need not be there twice. What makes less is put together with what comes next.
const MADE_AT_ONCE_BYTES: usize = 256 << 10;

/// Documents as many times as long as the protobuf that they are made of are usual; that much room is asked for before a
/// request is read.
const DOCUMENT_GROWTH: usize = 2;

/// Short spans grow more: each document says all that its resource, its scope and its form are. So many times as long are the
/// documents of a request of a few of them, on top; what a request of this length or more has on top.
const SMALL_GROWTH: usize = 16;
const SMALL_GROWTH_MAX_BYTES: usize = 64 << 10;

/// The part of its length that a document grows by in a body, at the most, as quotes are escaped there.
const ESCAPED_PART: usize = 2;

/// The room that the documents of a request of so many bytes mostly need.
pub(super) fn documents_bytes(request_bytes: usize) -> usize {
    let more = request_bytes.saturating_mul(SMALL_GROWTH);
    request_bytes
        .saturating_mul(DOCUMENT_GROWTH)
        .saturating_add(more.min(SMALL_GROWTH_MAX_BYTES))
}

/// Whether there is room in `lane` for what a request of so many bytes becomes, before that is known. There may be less than
/// is needed; but what might fit is never told that it is too long.
pub(super) fn room_for<E: Encoding>(lane: &Lane<E>, request_bytes: usize) -> Room {
    let likely_bytes = documents_bytes(request_bytes).min(lane.longest_bytes() / 2);
    lane.room_for(likely_bytes.max(request_bytes))
}

/// Documents that are made of a request.
struct Made<'l, E> {
    lane: &'l Lane<E>,
    now: Instant,
    /// Whether they are to be in the lane all or not at all.
    is_whole: bool,
    documents: Vec<String>,
    documents_bytes: usize,
    /// Of those that are to be there whole, what is too much to be kept as documents: bodies that are sealed, and the next.
    sealed: Vec<Batch>,
    sealed_bytes: usize,
    open: Option<OpenBatch<E>>,
    /// Spans that are no segments, and one of them.
    refused: u64,
    example: Option<Refused>,
}

impl<E: Encoding> Made<'_, E> {
    fn add(&mut self, document: String) -> Result<(), NoRoom> {
        self.documents_bytes += document.len();
        self.documents.push(document);
        if self.documents_bytes < MADE_AT_ONCE_BYTES {
            return Ok(());
        }
        if self.is_whole {
            self.put_aside()
        } else {
            self.put_in();
            Ok(())
        }
    }

    /// Puts documents into the lane, whatever that pushes out.
    fn put_in(&mut self) {
        self.lane
            .add_made(self.documents.iter().map(String::as_bytes), self.now);
        self.documents.clear();
        self.documents_bytes = 0;
    }

    /// Puts documents into bodies of their own, as long as there is room for those.
    fn put_aside(&mut self) -> Result<(), NoRoom> {
        let lane = self.lane;
        let open = self.open.get_or_insert_with(|| lane.aside());
        for document in self.documents.drain(..) {
            if let Some(batch) = open.push(document.as_bytes(), self.now).sealed {
                self.sealed_bytes += batch.body.len();
                self.sealed.push(batch);
            }
        }
        self.documents_bytes = 0;
        free(lane.room_for(self.sealed_bytes + open.bytes()))
    }

    /// All of the request has been converted.
    fn end(mut self) -> Result<(u64, Option<Refused>), NoRoom> {
        if self.is_whole && self.open.is_some() {
            self.put_aside()?;
            let last = self.open.as_mut().and_then(OpenBatch::seal);
            self.lane
                .add_made_sealed(self.sealed.into_iter().chain(last), self.now);
        } else {
            if self.is_whole && !self.documents.is_empty() {
                let bytes = self.documents_bytes + self.documents_bytes / ESCAPED_PART;
                free(self.lane.room_for(bytes))?;
            }
            self.put_in();
        }
        Ok((self.refused, self.example))
    }
}

fn free(room: Room) -> Result<(), NoRoom> {
    match room {
        Room::Free => Ok(()),
        Room::Full => Err(NoRoom::Now),
        Room::TooLong => Err(NoRoom::Ever),
    }
}

impl<E: Encoding> Fanout<E> {
    /// Makes documents of the spans in `request` and puts them into `lane`: all of them, or, if it `is_whole`, none.
    /// Returns what is no document.
    pub(super) fn add_as_segments(
        &self,
        lane: &Lane<E>,
        request: &Request,
        is_whole: bool,
        now: Instant,
    ) -> Result<Option<NotTaken>, NoRoom> {
        let protobuf: Vec<u8>;
        let body = match request.form {
            Form::Protobuf => &request.body[..],
            Form::Json => match json::to_protobuf(&request.body) {
                Ok(bytes) => {
                    protobuf = bytes;
                    &protobuf
                }
                Err(error) => return Ok(Some(self.refuse(lane, request.items, &error.to_string(), now))),
            },
        };
        let mut made = Made {
            lane,
            now,
            is_whole,
            documents: Vec::new(),
            documents_bytes: 0,
            sealed: Vec::new(),
            sealed_bytes: 0,
            open: None,
            refused: 0,
            example: None,
        };
        let mut added = Ok(());
        let read = segments_while(body, &Options::default(), |one| {
            match one {
                Ok(segment) => added = made.add(segment.document),
                Err(error) => {
                    made.refused += 1;
                    made.example.get_or_insert(error);
                }
            }
            if added.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        added?;
        if let Err(error) = read {
            return Ok(Some(self.refuse(lane, request.items, &error.to_string(), now)));
        }
        let (refused, example) = made.end()?;
        Ok(example.map(|example| self.refuse(lane, refused, &example.to_string(), now)))
    }

    /// Counts spans that are no segments, and says so.
    fn refuse(&self, lane: &Lane<E>, spans: u64, why: &str, now: Instant) -> NotTaken {
        let why = logs::sanitize(why, REASON_MAX_CHARS);
        lane.ledger().add_accepted(Content::Traces, spans);
        lane.ledger()
            .of(Content::Traces)
            .add_dropped(DropReason::NotConvertible, spans);
        let budget = self.refused.lock();
        let allowed = budget.unwrap_or_else(PoisonError::into_inner).allow(now);
        if let Some(left_out) = allowed {
            tracing::warn!(
                spans,
                reason = why,
                left_out,
                "{spans} spans can't be made into segments and do not go to X-Ray: {why}"
            );
        }
        NotTaken { items: spans, why }
    }
}
