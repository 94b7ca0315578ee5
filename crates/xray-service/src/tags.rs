//! Tags of groups and sampling rules: ListTagsForResource, TagResource, UntagResource. Limits are the model's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::request::{bounded, first_page, missing, read, required};

/// The most tags of one resource, by AWS's rules for tags.
const MAX_TAGS: usize = 50;

/// Tags by the ARN of what has them.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    by_arn: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
    next_token: Option<String>,
}

impl Request {
    /// The resource, which must exist.
    fn arn(&self, exists: impl Fn(&str) -> bool) -> Result<String, Answer> {
        let arn = required(self.resource_arn.clone(), "ResourceARN")?;
        bounded(&arn, "ResourceARN", 1, 1_011)?;
        if exists(&arn) {
            Ok(arn)
        } else {
            Err(missing("There is no group or sampling rule with this ARN"))
        }
    }
}

/// The tags in the body of a call that creates something.
pub(crate) fn of_new(body: &[u8]) -> Result<BTreeMap<String, String>, Answer> {
    let request: Request = read(body)?;
    with(BTreeMap::new(), request.tags.unwrap_or_default())
}

fn with(mut own: BTreeMap<String, String>, new: Vec<Tag>) -> Result<BTreeMap<String, String>, Answer> {
    for Tag { key, value } in new {
        bounded(&key, "The key of a tag", 1, 128)?;
        bounded(&value, "The value of a tag", 0, 256)?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Answer::invalid("Keys of tags that begin with aws: are AWS's own"));
        }
        own.insert(key, value);
    }
    if own.len() > MAX_TAGS {
        return Err(Answer::error(
            400,
            "TooManyTagsException",
            &format!("{} tags are more than {MAX_TAGS}", own.len()),
        ));
    }
    Ok(own)
}

impl Tags {
    /// Gives a new resource its tags.
    pub(crate) fn set(&mut self, arn: String, tags: BTreeMap<String, String>) {
        if !tags.is_empty() {
            self.by_arn.insert(arn, tags);
        }
    }

    /// The resource is gone.
    pub(crate) fn forget(&mut self, arn: &str) {
        self.by_arn.remove(arn);
    }

    /// `ListTagsForResource`, on one page.
    pub(crate) fn list(&self, body: &[u8], exists: impl Fn(&str) -> bool) -> Result<Value, Answer> {
        let request: Request = read(body)?;
        first_page(request.next_token.as_deref())?;
        let own = self.by_arn.get(&request.arn(exists)?);
        let tags: Vec<Value> = own
            .into_iter()
            .flatten()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        Ok(json!({ "Tags": tags }))
    }

    /// `TagResource`.
    pub(crate) fn tag(&mut self, body: &[u8], exists: impl Fn(&str) -> bool) -> Result<Value, Answer> {
        let mut request: Request = read(body)?;
        let arn = request.arn(exists)?;
        let new = required(request.tags.take(), "Tags")?;
        let own = self.by_arn.get(&arn).cloned().unwrap_or_default();
        self.set(arn, with(own, new)?);
        Ok(json!({}))
    }

    /// `UntagResource`.
    pub(crate) fn untag(&mut self, body: &[u8], exists: impl Fn(&str) -> bool) -> Result<Value, Answer> {
        let mut request: Request = read(body)?;
        let arn = request.arn(exists)?;
        let keys = required(request.tag_keys.take(), "TagKeys")?;
        if let Some(own) = self.by_arn.get_mut(&arn) {
            own.retain(|key, _| !keys.contains(key));
        }
        Ok(json!({}))
    }
}
