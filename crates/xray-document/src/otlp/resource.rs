//! What a resource tells of the segments of its service: `aws`, `service` and `origin`. Both conversions go by this: what
//! does not come back by it, [`super::to_span`] keeps beside it.

use serde_json::{Map, Value, json};

use super::attributes::{add, add_object, text};
use super::tables::{EC2, ECS, EKS, PLATFORMS, SERVICE};

/// Keys of resources that come back from the fields that [`fields`] makes.
pub(super) fn is_told(key: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "aws.ecs.launchtype",
        "aws.log.group.arns",
        "aws.log.group.names",
        "cloud.account.id",
        "cloud.platform",
        "cloud.provider",
        "service.instance.id",
        "service.name",
        "service.namespace",
        "telemetry.sdk.language",
        "telemetry.sdk.name",
        "telemetry.sdk.version",
    ];
    let fields = [EC2, ECS, EKS, SERVICE];
    OTHERS.contains(&key)
        || fields
            .iter()
            .any(|fields| fields.iter().any(|(_, known)| *known == key))
}

/// `aws`, `service` and `origin` of the segments of a resource.
pub(super) fn fields(resource: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let platform = text(resource, &["cloud.platform"]);
    add(
        &mut found,
        "origin",
        platform.and_then(|platform| origin(platform, resource)),
    );
    let mut service = Map::new();
    for (field, key) in SERVICE {
        add(&mut service, field, text(resource, &[key]));
    }
    add_object(&mut found, "service", service);
    let mut aws = Map::new();
    add(&mut aws, "account_id", text(resource, &["cloud.account.id"]));
    let has = |prefix: &str| resource.keys().any(|key| key.starts_with(prefix));
    let is_on = |name: &str| platform == Some(name);
    if resource.contains_key("host.id") || is_on("aws_ec2") {
        add_object(&mut aws, "ec2", part(EC2, resource));
    }
    let is_eks = has("k8s.") || is_on("aws_eks");
    if has("aws.ecs.") || is_on("aws_ecs") || (has("container.") && !is_eks) {
        let mut ecs = part(ECS, resource);
        let launch_type = text(resource, &["aws.ecs.launchtype"]);
        add(&mut ecs, "launch_type", launch_type.map(str::to_ascii_uppercase));
        add_object(&mut aws, "ecs", ecs);
    }
    if is_eks {
        add_object(&mut aws, "eks", part(EKS, resource));
    }
    if is_on("aws_elastic_beanstalk") {
        let mut beanstalk = Map::new();
        add(
            &mut beanstalk,
            "environment_name",
            text(resource, &["service.namespace"]),
        );
        add(
            &mut beanstalk,
            "version_label",
            text(resource, &["service.version"]),
        );
        let deployment = text(resource, &["service.instance.id"]);
        let deployment = deployment.and_then(|id| id.parse::<i64>().ok());
        add(&mut beanstalk, "deployment_id", deployment);
        add_object(&mut aws, "elastic_beanstalk", beanstalk);
    }
    let groups = log_groups(resource);
    if !groups.is_empty() {
        aws.insert("cloudwatch_logs".to_owned(), Value::Array(groups));
    }
    let mut sdk = Map::new();
    add(&mut sdk, "sdk", sdk_name(resource));
    add(
        &mut sdk,
        "sdk_version",
        text(resource, &["telemetry.sdk.version"]),
    );
    add_object(&mut aws, "xray", sdk);
    add_object(&mut found, "aws", aws);
    found
}

fn part(fields: &[(&str, &str)], resource: &Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::new();
    for (field, key) in fields {
        add(&mut object, field, text(resource, &[key]));
    }
    object
}

fn origin(platform: &str, resource: &Map<String, Value>) -> Option<&'static str> {
    if platform == "aws_ecs" {
        return Some(match text(resource, &["aws.ecs.launchtype"]) {
            Some("fargate") => "AWS::ECS::Fargate",
            Some("ec2") => "AWS::ECS::EC2",
            _ => "AWS::ECS::Container",
        });
    }
    let known = PLATFORMS.iter().find(|(_, known)| *known == platform)?;
    Some(known.0)
}

/// The SDKs of X-Ray have the language in their name.
fn sdk_name(resource: &Map<String, Value>) -> Option<String> {
    let name = text(resource, &["telemetry.sdk.name"])?;
    let language = text(resource, &["telemetry.sdk.language"]).filter(|_| !name.contains(" for "));
    Some(language.map_or_else(|| name.to_owned(), |language| format!("{name} for {language}")))
}

fn log_groups(resource: &Map<String, Value>) -> Vec<Value> {
    let list = |key: &str| {
        resource
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let (names, arns) = (list("aws.log.group.names"), list("aws.log.group.arns"));
    let groups = (0..names.len().max(arns.len())).map(|place| {
        let mut group = json!({});
        for (field, found) in [("log_group", names.get(place)), ("arn", arns.get(place))] {
            if let Some(found) = found {
                group[field] = found.clone();
            }
        }
        group
    });
    groups.collect()
}
