//! `aws` of a call, `sql`; and what a resource tells of a segment: `aws`, `service`, `origin`.

use serde_json::{Map, Value, json};

use super::{add, add_object, names, text, whole};
use crate::otlp::tables::{EC2, ECS, EKS, PLATFORMS, SERVICE};

/// `aws` of a call, whoever the provider is said to be.
pub(super) fn of_call(attributes: &Map<String, Value>) -> Map<String, Value> {
    let mut aws = Map::new();
    if names::is_aws(attributes) {
        let operation = text(attributes, &["rpc.method", "aws.operation"]);
        add(
            &mut aws,
            "operation",
            operation.map(|operation| operation.rsplit('/').next()),
        );
    } else {
        add(&mut aws, "operation", text(attributes, &["aws.operation"]));
    }
    let region: &[&str] = if names::is_aws(attributes) {
        &["aws.region", "cloud.region"]
    } else {
        &["aws.region"]
    };
    for (field, keys) in [
        ("region", region),
        ("request_id", &["aws.request_id", "aws.requestId"]),
        ("id_2", &["aws.extended_request_id"]),
        ("account_id", &["aws.account_id"]),
        (
            "queue_url",
            &["aws.sqs.queue.url", "aws.queue_url", "aws.queue.url"],
        ),
    ] {
        add(&mut aws, field, text(attributes, keys));
    }
    match attributes
        .get("aws.dynamodb.table_names")
        .and_then(Value::as_array)
    {
        Some(tables) if tables.len() == 1 => add(&mut aws, "table_name", tables[0].as_str()),
        Some(tables) => {
            aws.insert("table_names".to_owned(), Value::Array(tables.clone()));
        }
        None => add(
            &mut aws,
            "table_name",
            text(attributes, &["aws.table_name", "aws.table.name"]),
        ),
    }
    add(&mut aws, "retries", whole(attributes, &["aws.xray.retries"]));
    aws
}

/// `sql`; empty when there is nothing of it.
pub(super) fn sql(attributes: &Map<String, Value>, is_from_segment: bool) -> Map<String, Value> {
    let mut sql = Map::new();
    add(
        &mut sql,
        "sanitized_query",
        text(attributes, &["db.query.text", "db.statement"]),
    );
    let system = text(attributes, &["db.system.name", "db.system"]);
    // DynamoDB is a service of AWS in X-Ray's map, and no database with queries.
    let is_sql = system.is_some_and(|system| !system.contains("dynamodb")) || !sql.is_empty();
    if is_sql && !is_from_segment {
        add(&mut sql, "database_type", system);
    }
    sql
}

/// Keys of resources that come back from the fields that [`of_resource`] makes.
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
pub(super) fn of_resource(resource: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    let platform = text(resource, &["cloud.platform"]);
    add(
        &mut fields,
        "origin",
        platform.and_then(|platform| origin(platform, resource)),
    );
    let mut service = Map::new();
    for (field, key) in SERVICE {
        add(&mut service, field, text(resource, &[key]));
    }
    add_object(&mut fields, "service", service);
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
    add_object(&mut fields, "aws", aws);
    fields
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
