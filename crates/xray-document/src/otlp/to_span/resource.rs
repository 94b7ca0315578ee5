//! `aws`, `service` and `origin` of a segment: where it ran, as the resource of its spans.

use serde_json::{Map, Value};

use super::rest::{copy_text, leftovers, move_text, take_object};
use super::scope_of;
use crate::otlp::attributes::{Attributes, text, texts};
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
        text(service.unwrap_or("unknown_service")),
    );
    if is_subsegment {
        return resource;
    }
    if let Some(mut service) = take_object(entity, "service") {
        for (field, key) in SERVICE {
            move_text(&mut service, field, &mut resource, key);
        }
        leftovers(&["service"], service, attributes);
    }
    let origin = entity.get("origin").and_then(Value::as_str);
    let platform = PLATFORMS.iter().find(|(known, _)| Some(*known) == origin);
    let mut is_aws = origin.is_some_and(|origin| origin.starts_with("AWS::"));
    if let Some((_, platform)) = platform {
        resource.insert("cloud.platform".to_owned(), text(*platform));
    }
    if let Some(mut aws) = take_object(entity, "aws") {
        is_aws |= ["ec2", "ecs", "eks", "elastic_beanstalk"]
            .iter()
            .any(|part| aws.contains_key(*part));
        parts(&mut aws, &mut resource, attributes);
        leftovers(&["aws"], aws, attributes);
    }
    if is_aws {
        resource.insert("cloud.provider".to_owned(), text("aws"));
    }
    resource
}

fn parts(aws: &mut Map<String, Value>, resource: &mut Attributes, attributes: &mut Attributes) {
    move_text(aws, "account_id", resource, "cloud.account.id");
    for (part, fields) in [("ecs", ECS), ("ec2", EC2), ("eks", EKS)] {
        let Some(mut object) = take_object(aws, part) else {
            continue;
        };
        for (field, key) in fields {
            move_text(&mut object, field, resource, key);
        }
        match part {
            // Node's word for the type; it comes back by its own key.
            "ec2" => drop(copy_text(&object, "instance_size", resource, "host.type")),
            "ecs" => launch_type(&mut object, resource),
            _ => {}
        }
        leftovers(&["aws", part], object, attributes);
    }
    if let Some(mut beanstalk) = take_object(aws, "elastic_beanstalk") {
        // Node's word for the name; it comes back by its own key.
        copy_text(&beanstalk, "environment", resource, "service.namespace");
        move_text(&mut beanstalk, "environment_name", resource, "service.namespace");
        move_text(&mut beanstalk, "version_label", resource, "service.version");
        if let Some(Value::Number(deployment)) = beanstalk.get("deployment_id") {
            resource.insert("service.instance.id".to_owned(), text(deployment.to_string()));
            beanstalk.remove("deployment_id");
        }
        leftovers(&["aws", "elastic_beanstalk"], beanstalk, attributes);
    }
    log_groups(aws, resource);
    if let Some(mut sdk) = take_object(aws, "xray") {
        move_text(&mut sdk, "sdk", resource, "telemetry.sdk.name");
        move_text(&mut sdk, "sdk_version", resource, "telemetry.sdk.version");
        if let Some(any_value::Value::Text(name)) = resource.get("telemetry.sdk.name")
            && let Some(language) = language(name)
        {
            resource.insert("telemetry.sdk.language".to_owned(), text(language));
        }
        move_text(
            &mut sdk,
            "sampling_rule_name",
            attributes,
            "aws.xray.sampling_rule",
        );
        // Node's word for it; it comes back by its own key.
        copy_text(&sdk, "rule_name", attributes, "aws.xray.sampling_rule");
        leftovers(&["aws", "xray"], sdk, attributes);
    }
}

fn launch_type(ecs: &mut Map<String, Value>, resource: &mut Attributes) {
    if let Some(launch_type) = ecs.get("launch_type").and_then(Value::as_str) {
        let lower = launch_type.to_ascii_lowercase();
        // Comes back in capitals.
        let is_upper = lower.to_ascii_uppercase() == launch_type;
        resource.insert("aws.ecs.launchtype".to_owned(), text(lower));
        if is_upper {
            ecs.remove("launch_type");
        }
    }
}

/// Taken when every entry has a name and nothing but what has an attribute.
fn log_groups(aws: &mut Map<String, Value>, resource: &mut Attributes) {
    let Some(groups) = aws.get("cloudwatch_logs").and_then(Value::as_array) else {
        return;
    };
    let field = |group: &Value, field: &str| group.get(field)?.as_str().map(str::to_owned);
    let names: Vec<String> = groups
        .iter()
        .filter_map(|group| field(group, "log_group"))
        .collect();
    let arns: Vec<String> = groups.iter().filter_map(|group| field(group, "arn")).collect();
    let fields: usize = groups
        .iter()
        .map(|group| group.as_object().map_or(0, Map::len))
        .sum();
    if !names.is_empty() {
        resource.insert("aws.log.group.names".to_owned(), texts(names.iter().cloned()));
    }
    if !arns.is_empty() {
        resource.insert("aws.log.group.arns".to_owned(), texts(arns.iter().cloned()));
    }
    let is_even = names.len() == groups.len() && (arns.is_empty() || arns.len() == names.len());
    if is_even && fields == names.len() + arns.len() {
        aws.remove("cloudwatch_logs");
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
