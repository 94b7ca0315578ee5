//! `aws`, `service` and `origin` of a segment: where it ran, as the resource of its spans.

use serde_json::{Map, Value};

use super::rest::{copy_text, leftovers, take_object};
use super::scope_of;
use crate::otlp::attributes::{Attributes, json_of, listed, of_text, texts};
use crate::otlp::message::{Scope, any_value};
use crate::otlp::tables::{EC2, ECS, EKS, PLATFORMS, SERVICE};

/// Takes what tells of the resource; of it, what has no attribute there becomes one of the span. A subsegment tells nothing
/// but what it is called in.
pub(super) fn take(
    entity: &mut Map<String, Value>,
    service: Option<&str>,
    is_subsegment: bool,
    attributes: &mut Attributes,
) -> Attributes {
    let mut resource = Attributes::new();
    resource.insert(
        "service.name".to_owned(),
        of_text(service.unwrap_or("unknown_service")),
    );
    if is_subsegment {
        return resource;
    }
    if let Some(service) = object(entity, "service") {
        for (field, key) in SERVICE {
            copy_text(service, field, &mut resource, key);
        }
    }
    let origin = entity.get("origin").and_then(Value::as_str);
    let platform = PLATFORMS.iter().find(|(known, _)| Some(*known) == origin);
    let mut is_aws = origin.is_some_and(|origin| origin.starts_with("AWS::"));
    if let Some((_, platform)) = platform {
        resource.insert("cloud.platform".to_owned(), of_text(*platform));
    }
    if let Some(aws) = object(entity, "aws") {
        is_aws |= ["ec2", "ecs", "eks", "elastic_beanstalk"]
            .iter()
            .any(|part| aws.contains_key(*part));
        parts(aws, &mut resource, attributes);
    }
    if is_aws {
        resource.insert("cloud.provider".to_owned(), of_text("aws"));
    }
    // What the resource does not tell, or tells in other words, stays beside it.
    let told = crate::otlp::resource::fields(&json_of(&listed(resource.clone())));
    for field in ["service", "aws"] {
        if let Some(left) = take_object(entity, field) {
            untold(&[field], left, object(&told, field), attributes);
        }
    }
    resource
}

fn object<'e>(entity: &'e Map<String, Value>, field: &str) -> Option<&'e Map<String, Value>> {
    entity.get(field)?.as_object()
}

/// Makes attributes of the span of what is in an object and not the same in the other one.
fn untold(
    path: &[&str],
    mut left: Map<String, Value>,
    told: Option<&Map<String, Value>>,
    attributes: &mut Attributes,
) {
    let same = |field: &str, value: &Value| told.and_then(|told| told.get(field)) == Some(value);
    left.retain(|field, value| !same(field, value));
    if let [root] = path {
        for part in ["ecs", "ec2", "eks", "elastic_beanstalk", "xray"] {
            if *root == "aws"
                && let Some(inner) = take_object(&mut left, part)
            {
                untold(
                    &[root, part],
                    inner,
                    told.and_then(|told| object(told, part)),
                    attributes,
                );
            }
        }
    }
    if path == ["aws", "xray"] {
        let rule = left
            .get("sampling_rule_name")
            .and_then(Value::as_str)
            .map(of_text);
        if rule.is_some() && rule.as_ref() == attributes.get("aws.xray.sampling_rule") {
            left.remove("sampling_rule_name");
        }
    }
    leftovers(path, left, attributes);
}

fn parts(aws: &Map<String, Value>, resource: &mut Attributes, attributes: &mut Attributes) {
    copy_text(aws, "account_id", resource, "cloud.account.id");
    for (part, fields) in [("ecs", ECS), ("ec2", EC2), ("eks", EKS)] {
        let Some(object) = object(aws, part) else {
            continue;
        };
        for (field, key) in fields {
            copy_text(object, field, resource, key);
        }
        if part == "ec2" {
            // Node's word for the type.
            copy_text(object, "instance_size", resource, "host.type");
        }
        if let Some(launch_type) = object.get("launch_type").and_then(Value::as_str) {
            resource.insert(
                "aws.ecs.launchtype".to_owned(),
                of_text(launch_type.to_ascii_lowercase()),
            );
        }
    }
    if let Some(beanstalk) = object(aws, "elastic_beanstalk") {
        copy_text(beanstalk, "environment_name", resource, "service.namespace");
        // Node's word for the name.
        copy_text(beanstalk, "environment", resource, "service.namespace");
        copy_text(beanstalk, "version_label", resource, "service.version");
        if let Some(Value::Number(deployment)) = beanstalk.get("deployment_id") {
            resource.insert("service.instance.id".to_owned(), of_text(deployment.to_string()));
        }
    }
    log_groups(aws, resource);
    if let Some(sdk) = object(aws, "xray") {
        copy_text(sdk, "sdk", resource, "telemetry.sdk.name");
        copy_text(sdk, "sdk_version", resource, "telemetry.sdk.version");
        if let Some(any_value::Value::Text(name)) = resource.get("telemetry.sdk.name")
            && let Some(language) = language(name)
        {
            resource.insert("telemetry.sdk.language".to_owned(), of_text(language));
        }
        copy_text(sdk, "sampling_rule_name", attributes, "aws.xray.sampling_rule");
        // Node's word for it.
        copy_text(sdk, "rule_name", attributes, "aws.xray.sampling_rule");
    }
}

fn log_groups(aws: &Map<String, Value>, resource: &mut Attributes) {
    let groups = crate::fields::array(aws.get("cloudwatch_logs"));
    for (field, key) in [
        ("log_group", "aws.log.group.names"),
        ("arn", "aws.log.group.arns"),
    ] {
        let found: Vec<&str> = groups
            .iter()
            .filter_map(|group| group.get(field)?.as_str())
            .collect();
        if !found.is_empty() {
            resource.insert(key.to_owned(), texts(found));
        }
    }
}

/// `X-Ray for Node.js` is for `nodejs`.
fn language(sdk: &str) -> Option<String> {
    let (_, language) = sdk.rsplit_once(" for ")?;
    Some(match language {
        "Node.js" => "nodejs".to_owned(),
        ".NET" | ".NET Core" => "dotnet".to_owned(),
        other => other.to_ascii_lowercase(),
    })
}

/// The library that made the spans, which is the SDK.
pub(super) fn scope(resource: &Attributes) -> Scope {
    let of = |key: &str| match resource.get(key) {
        Some(any_value::Value::Text(text)) => text.as_str(),
        _ => "",
    };
    scope_of(of("telemetry.sdk.name"), of("telemetry.sdk.version"))
}
