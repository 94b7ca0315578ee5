//! The settings of an account: encryption, where segments go, what is indexed. They are as they are here, and what
//! cannot be had is refused: there is no KMS, no CloudWatch Logs, and every trace is indexed.
//!
//! EncryptionConfig, PutEncryptionConfig, GetTraceSegmentDestination, UpdateTraceSegmentDestination, GetIndexingRules,
//! UpdateIndexingRule. Forms are the model's; texts are ours.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::request::{first_page_of, missing, read, required};

/// The only indexing rule that there is, at X-Ray too.
const INDEXING_RULE: &str = "Default";

/// What can be set.
#[derive(Debug)]
pub(crate) struct Settings {
    /// In percent, as it was asked for; 1 at X-Ray until somebody asks.
    indexing_percent: f64,
    /// Seconds since 1970.
    indexing_modified_at: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encryption {
    #[serde(rename = "Type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Indexing {
    name: Option<String>,
    rule: Option<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    probabilistic: Option<Probabilistic>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Probabilistic {
    desired_sampling_percentage: f64,
}

impl Settings {
    /// Those of a new account.
    pub(crate) const fn new() -> Self {
        Self {
            indexing_percent: 1.0,
            indexing_modified_at: 0.0,
        }
    }

    /// `GetEncryptionConfig`.
    pub(crate) fn encryption() -> Value {
        json!({"EncryptionConfig": {"Status": "ACTIVE", "Type": "NONE"}})
    }

    /// `PutEncryptionConfig`.
    pub(crate) fn put_encryption(body: &[u8]) -> Result<Value, Answer> {
        let request: Encryption = read(body)?;
        match required(request.kind, "Type")?.as_str() {
            "NONE" => Ok(Self::encryption()),
            "KMS" => Err(Answer::invalid(
                "There is no KMS here: traces are in the memory of this process, and in the file of --store",
            )),
            _ => Err(Answer::invalid("Type is NONE or KMS")),
        }
    }

    /// `GetTraceSegmentDestination`.
    pub(crate) fn destination() -> Value {
        json!({"Destination": "XRay", "Status": "ACTIVE"})
    }

    /// `UpdateTraceSegmentDestination`.
    pub(crate) fn update_destination(body: &[u8]) -> Result<Value, Answer> {
        let request: Destination = read(body)?;
        match request.destination.as_deref() {
            None | Some("XRay") => Ok(Self::destination()),
            Some("CloudWatchLogs") => Err(Answer::invalid(
                "There is no CloudWatch Logs here: segments stay in this process",
            )),
            Some(_) => Err(Answer::invalid("Destination is XRay or CloudWatchLogs")),
        }
    }

    /// `GetIndexingRules`.
    pub(crate) fn indexing_rules(&self, body: &[u8]) -> Result<Value, Answer> {
        first_page_of(body)?;
        Ok(json!({ "IndexingRules": [self.indexing_rule()] }))
    }

    /// `UpdateIndexingRule`.
    pub(crate) fn update_indexing(&mut self, body: &[u8], now: SystemTime) -> Result<Value, Answer> {
        let request: Indexing = read(body)?;
        if required(request.name, "Name")? != INDEXING_RULE {
            return Err(missing("There is no such indexing rule"));
        }
        let rule = required(request.rule, "Rule")?;
        let percent = required(rule.probabilistic, "Probabilistic")?.desired_sampling_percentage;
        if !(0.0..=100.0).contains(&percent) {
            return Err(Answer::invalid(
                "DesiredSamplingPercentage is not between 0 and 100",
            ));
        }
        self.indexing_percent = percent;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.indexing_modified_at = since.as_secs_f64();
        Ok(json!({ "IndexingRule": self.indexing_rule() }))
    }

    fn indexing_rule(&self) -> Value {
        json!({
            "Name": INDEXING_RULE,
            "ModifiedAt": self.indexing_modified_at,
            "Rule": {"Probabilistic": {
                "DesiredSamplingPercentage": self.indexing_percent,
                // Whatever is desired: all of it can be found here.
                "ActualSamplingPercentage": 100.0,
            }},
        })
    }
}
