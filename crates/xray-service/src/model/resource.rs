//! The resource that a call to AWS was about.

use serde_json::{Map, Value};
use xray_document::fields::{array, text};

/// A resource of AWS, as the service map has a node for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `AWS::DynamoDB::Table` and the like.
    pub kind: &'static str,
    /// The table's, queue's, topic's, function's or bucket's name.
    pub name: String,
}

/// Where `aws` names a resource, and of which kind it is then. Kinds are those of the guide and the SDKs' segments;
/// that a queue and a topic are named by the last part of URL and ARN is **believed**.
const FIELDS: [(&str, &str); 5] = [
    ("table_name", "AWS::DynamoDB::Table"),
    ("queue_url", "AWS::SQS::Queue"),
    ("topic_arn", "AWS::SNS::Topic"),
    ("function_name", "AWS::Lambda::Function"),
    ("bucket_name", "AWS::S3::Bucket"),
];

impl Resource {
    /// Of the `aws` of a subsegment or of an inferred segment. A batch that names several tables is about the first.
    pub(super) fn of(aws: &Map<String, Value>) -> Option<Self> {
        let named = FIELDS.iter().find_map(|(field, kind)| {
            let name = text(aws.get(*field))?;
            Some(Self {
                kind,
                name: last_part(&name).to_owned(),
            })
        });
        named.or_else(|| {
            let name = array(aws.get("table_names")).first()?.as_str()?;
            Some(Self {
                kind: "AWS::DynamoDB::Table",
                name: name.to_owned(),
            })
        })
    }
}

/// Of a URL or an ARN; a name stays as it is.
fn last_part(name: &str) -> &str {
    let part = name.rsplit(['/', ':']).next().unwrap_or_default();
    if part.is_empty() { name } else { part }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_resource_is_read_with_its_name() {
        for (aws, wanted) in [
            (
                json!({"table_name": "carts"}),
                Some(("AWS::DynamoDB::Table", "carts")),
            ),
            (
                json!({"table_names": ["carts", "users"]}),
                Some(("AWS::DynamoDB::Table", "carts")),
            ),
            (
                json!({"queue_url": "https://sqs.us-east-2.amazonaws.com/123456789012/jobs"}),
                Some(("AWS::SQS::Queue", "jobs")),
            ),
            (
                json!({"topic_arn": "arn:aws:sns:us-west-2:123456789012:news"}),
                Some(("AWS::SNS::Topic", "news")),
            ),
            (
                json!({"function_name": "random-name", "invocation_type": "RequestResponse"}),
                Some(("AWS::Lambda::Function", "random-name")),
            ),
            (
                json!({"function_name": "arn:aws:lambda:us-west-2:123456789012:function:random-name"}),
                Some(("AWS::Lambda::Function", "random-name")),
            ),
            (
                json!({"bucket_name": "images"}),
                Some(("AWS::S3::Bucket", "images")),
            ),
            (json!({"operation": "ListTables", "table_names": []}), None),
            (json!({"table_name": 5, "queue_url": ""}), None),
        ] {
            let Value::Object(map) = &aws else { panic!("{aws}") };
            let found = Resource::of(map);
            let found = found.as_ref().map(|found| (found.kind, found.name.as_str()));
            assert_eq!(found, wanted, "{aws}");
        }
    }
}
