//! What both conversions go by: fields and the attributes that they are, and the form of `metadata.otlp`.

/// Origins and the platforms of the conventions.
pub(super) const PLATFORMS: [(&str, &str); 8] = [
    ("AWS::EC2::Instance", "aws_ec2"),
    ("AWS::ECS::Container", "aws_ecs"),
    ("AWS::ECS::EC2", "aws_ecs"),
    ("AWS::ECS::Fargate", "aws_ecs"),
    ("AWS::EKS::Container", "aws_eks"),
    ("AWS::ElasticBeanstalk::Environment", "aws_elastic_beanstalk"),
    ("AWS::AppRunner::Service", "aws_app_runner"),
    ("AWS::Lambda::Function", "aws_lambda"),
];

/// Fields of the parts of `aws` and the attributes that they are.
type Fields = [(&'static str, &'static str)];

pub(super) const EC2: &Fields = &[
    ("instance_id", "host.id"),
    ("instance_type", "host.type"),
    ("ami_id", "host.image.id"),
    ("availability_zone", "cloud.availability_zone"),
];

pub(super) const ECS: &Fields = &[
    ("container", "container.name"),
    ("container_id", "container.id"),
    ("container_arn", "aws.ecs.container.arn"),
    ("task_arn", "aws.ecs.task.arn"),
    ("task_family", "aws.ecs.task.family"),
    ("cluster_arn", "aws.ecs.cluster.arn"),
    ("availability_zone", "cloud.availability_zone"),
];

pub(super) const EKS: &Fields = &[
    ("cluster_name", "k8s.cluster.name"),
    ("pod", "k8s.pod.name"),
    ("container_id", "container.id"),
];

pub(super) const SERVICE: &Fields = &[
    ("version", "service.version"),
    ("runtime", "process.runtime.name"),
    ("runtime_version", "process.runtime.version"),
];

/// The field that tells a `metadata.otlp` of ours from what an application calls so.
pub(super) const FORM_FIELD: &str = "form";

/// The form that is written, and read.
pub(super) const FORM: u64 = 1;

/// Of a segment that was made for a call without a parent: the call's id.
pub(super) const WRAPS: &str = "wraps";

/// Kinds of spans by their numbers.
pub(super) const KINDS: [&str; 6] = [
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
];
