//! Resource policies: kept and given back, and nobody asks them. PutResourcePolicy, ListResourcePolicies,
//! DeleteResourcePolicy.
//!
//! Fields, limits and the revision that has to match are the model's; the most policies and all texts are **believed**.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::request::{bounded, first_page_of, read, required};

/// The most policies of an account.
const MAX_POLICIES: usize = 5;

/// The longest document: 5 kB.
const MAX_DOCUMENT_BYTES: usize = 5 * 1_024;

/// By name.
#[derive(Debug, Default)]
pub(crate) struct Policies(BTreeMap<String, Policy>);

#[derive(Debug)]
struct Policy {
    document: String,
    revision: u64,
    updated_at: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    policy_name: Option<String>,
    policy_document: Option<String>,
    policy_revision_id: Option<String>,
}

impl Request {
    fn name(&self) -> Result<String, Answer> {
        let name = required(self.policy_name.clone(), "PolicyName")?;
        bounded(&name, "PolicyName", 1, 128)?;
        let fits = |c: char| c.is_alphanumeric() || "_+=,.@-".contains(c);
        if !name.chars().all(fits) {
            return Err(Answer::invalid(
                "PolicyName has letters, digits and _ + = , . @ - only",
            ));
        }
        Ok(name)
    }

    fn check_revision(&self, own: Option<u64>) -> Result<(), Answer> {
        match &self.policy_revision_id {
            Some(wanted) if *wanted != own.unwrap_or_default().to_string() => Err(Answer::error(
                400,
                "InvalidPolicyRevisionIdException",
                "The revision is not the latest one",
            )),
            _ => Ok(()),
        }
    }
}

impl Policies {
    /// `PutResourcePolicy`.
    pub(crate) fn put(&mut self, body: &[u8], now: SystemTime) -> Result<Value, Answer> {
        let request: Request = read(body)?;
        let name = request.name()?;
        let document = required(request.policy_document.clone(), "PolicyDocument")?;
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(Answer::error(
                400,
                "PolicySizeLimitExceededException",
                &format!("{} bytes exceed {MAX_DOCUMENT_BYTES}", document.len()),
            ));
        }
        if !serde_json::from_str::<Value>(&document).is_ok_and(|value| value.is_object()) {
            return Err(Answer::error(
                400,
                "MalformedPolicyDocumentException",
                "PolicyDocument is no JSON object",
            ));
        }
        let own = self.0.get(&name).map(|policy| policy.revision);
        request.check_revision(own)?;
        if own.is_none() && self.0.len() >= MAX_POLICIES {
            return Err(Answer::error(
                400,
                "PolicyCountLimitExceededException",
                &format!("There are {MAX_POLICIES} resource policies, and no more are allowed"),
            ));
        }
        let policy = Policy {
            document,
            revision: own.unwrap_or_default() + 1,
            updated_at: now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        };
        let answer = answer(&name, &policy);
        self.0.insert(name, policy);
        Ok(json!({ "ResourcePolicy": answer }))
    }

    /// `ListResourcePolicies`, on one page.
    pub(crate) fn list(&self, body: &[u8]) -> Result<Value, Answer> {
        first_page_of(body)?;
        let policies: Vec<Value> = self.0.iter().map(|(name, policy)| answer(name, policy)).collect();
        Ok(json!({ "ResourcePolicies": policies }))
    }

    /// `DeleteResourcePolicy`.
    pub(crate) fn delete(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let request: Request = read(body)?;
        let name = request.name()?;
        let own = self.0.get(&name).map(|policy| policy.revision);
        let own = own.ok_or_else(|| Answer::invalid("There is no such resource policy"))?;
        request.check_revision(Some(own))?;
        self.0.remove(&name);
        Ok(json!({}))
    }
}

fn answer(name: &str, policy: &Policy) -> Value {
    json!({
        "PolicyName": name,
        "PolicyDocument": policy.document,
        "PolicyRevisionId": policy.revision.to_string(),
        "LastUpdatedTime": policy.updated_at,
    })
}
