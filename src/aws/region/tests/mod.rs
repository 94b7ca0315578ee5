//! Every source of the region, alone and against the others, over loopback addresses and files of the test.

mod fake;
mod platform;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fake::{Fake, Silent, direct_http};
use http::Method;
use tempfile::TempDir;

use super::*;
use crate::config::{LogFormat, LogLevel, Sourced};

/// Everything a resolution sees; nothing of the process that runs the test.
struct Lab {
    home: TempDir,
    config: XRayConfig,
    environment: Environment,
    limits: Limits,
}

impl Lab {
    /// No source has a region, and none is asked over a net.
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let config = XRayConfig {
            concurrency: NonZeroUsize::new(1),
            region: None,
            endpoint: None,
            local_mode: false,
            resource_arn: None,
            role_arn: None,
            no_verify_ssl: false,
            proxy_address: None,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(15),
            no_telemetry: false,
        };
        let mut lab = Self {
            home,
            config,
            environment: Environment::default(),
            // Generous: reached only by an address that never answers, and then by tests that set their own.
            limits: Limits {
                connect: Duration::from_secs(20),
                source: Duration::from_secs(20),
            },
        };
        let home = lab.home.path().display().to_string();
        lab.set("HOME", &home);
        lab.set("USERPROFILE", &home);
        lab.set("AWS_EC2_METADATA_DISABLED", "true");
        lab
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.0.insert(name.to_owned(), value.to_owned());
    }

    fn ec2(&mut self, url: &str) {
        self.environment.0.remove("AWS_EC2_METADATA_DISABLED");
        self.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
    }

    fn region_flag(&mut self, value: &str) {
        self.config.region = Some(Sourced {
            value: value.to_owned(),
            source: "flag -n".to_owned(),
        });
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn ecs_file(&mut self, content: &str) -> String {
        let path = self.file("ecs.json", content);
        self.set("ECS_ENABLE_CONTAINER_METADATA", "true");
        self.set("ECS_CONTAINER_METADATA_FILE", &path);
        path
    }

    async fn resolve(&self) -> Result<ResolvedRegion, RegionError> {
        resolve_within(&self.config, &self.environment, &direct_http(), self.limits).await
    }

    /// The region and its source, in one text.
    async fn found(&self) -> String {
        match self.resolve().await {
            Ok(found) => format!("{} from {}", found.region, found.source),
            Err(err) => panic!("{err}"),
        }
    }

    /// What `source` said, none having a region.
    async fn said(&self, source: &str) -> String {
        match self.resolve().await {
            Err(RegionError::NotFound { tried }) => {
                let attempt = tried.into_iter().find(|attempt| attempt.source == source);
                attempt.expect("the source was asked").said
            }
            other => panic!("{other:?}"),
        }
    }
}

fn task(region: &str) -> String {
    format!(r#"{{"Cluster":"c","TaskARN":"arn:aws:ecs:{region}:123456789012:task/c/0"}}"#)
}

/// An EC2 instance in eu-west-1.
fn instance(method: &Method, path: &str, _: usize) -> (u16, Vec<u8>) {
    match (method.as_str(), path) {
        ("PUT", "/latest/api/token") => (200, b"a-token".to_vec()),
        ("GET", "/latest/meta-data/placement/region") => (200, b"eu-west-1".to_vec()),
        _ => (404, Vec::new()),
    }
}

#[tokio::test]
async fn the_first_source_that_has_a_region_decides_and_no_address_is_asked_before() {
    let silent = Silent::new();
    let ecs = Fake::start(|_, _, _| (200, task("us-west-6").into())).await;
    let mut lab = Lab::new();
    lab.ec2(&silent.url());

    lab.set("ECS_CONTAINER_METADATA_URI_V4", &format!("{}/v4/id", ecs.url()));
    assert_eq!(lab.found().await, "us-west-6 from ECS task metadata");
    assert_eq!(ecs.lines(), ["GET /v4/id/task"]);
    assert_eq!(ecs.header(0, "host"), ecs.url().replace("http://", ""));

    lab.set("ECS_CONTAINER_METADATA_URI_V4", &silent.url());
    lab.ecs_file(&task("us-west-5"));
    assert_eq!(lab.found().await, "us-west-5 from ECS metadata file");
    lab.file(".aws/config", "[default]\nregion = us-west-4\n");
    assert_eq!(lab.found().await, "us-west-4 from profile default");
    lab.set("AWS_DEFAULT_REGION", "us-west-3");
    assert_eq!(lab.found().await, "us-west-3 from AWS_DEFAULT_REGION");
    lab.set("AWS_REGION", "us-west-2");
    assert_eq!(lab.found().await, "us-west-2 from AWS_REGION");
    lab.region_flag("us-west-1");
    assert_eq!(lab.found().await, "us-west-1 from flag -n");
    assert!(!silent.was_asked());
}

#[tokio::test]
async fn local_mode_never_asks_an_address_or_the_ecs_file() {
    let silent = Silent::new();
    let mut lab = Lab::new();
    lab.config.local_mode = true;
    lab.ec2(&silent.url());
    lab.set("ECS_CONTAINER_METADATA_URI_V4", &silent.url());
    lab.ecs_file(&task("us-west-5"));
    assert_eq!(lab.said("ECS and EC2 metadata").await, "not asked in local mode");
    lab.file(".aws/config", "[default]\nregion = us-west-4\n");
    assert_eq!(lab.found().await, "us-west-4 from profile default");
    lab.set("AWS_DEFAULT_REGION", "us-west-3");
    assert_eq!(lab.found().await, "us-west-3 from AWS_DEFAULT_REGION");
    assert!(!silent.was_asked());
}

#[tokio::test]
async fn the_profile_is_found_and_read_as_the_sdk_does() {
    let mut lab = Lab::new();
    lab.config.local_mode = true;
    let config = "[default]\nregion = us-east-2\n\
                  [profile other]\nregion = us-west-2\n\
                  [profile role]\nsource_profile = other\nrole_arn = arn:aws:iam::1:role/r\n\
                  [profile loop]\nsource_profile = loop\n\
                  [profile bare]\noutput = json\n";
    lab.file(".aws/config", config);
    assert_eq!(lab.found().await, "us-east-2 from profile default");
    for (name, expected) in [
        ("other", "us-west-2 from profile other"),
        ("role", "us-west-2 from profile other"),
        ("", "us-east-2 from profile default"),
    ] {
        lab.set("AWS_PROFILE", name);
        assert_eq!(lab.found().await, expected);
    }
    for (name, said) in [
        ("loop", "no region in profile loop of ~/.aws/config"),
        ("bare", "no region in profile bare of ~/.aws/config"),
        ("gone\n", "no profile gone\\n in ~/.aws/config"),
    ] {
        lab.set("AWS_PROFILE", name);
        assert_eq!(lab.said("profile").await, said);
    }
    let elsewhere = lab.file("elsewhere", "[profile there]\nregion = eu-north-1\n");
    lab.set("AWS_CONFIG_FILE", &elsewhere);
    lab.set("AWS_PROFILE", "there");
    assert_eq!(lab.found().await, "eu-north-1 from profile there");
    lab.set("AWS_PROFILE", "gone");
    assert_eq!(
        lab.said("profile").await,
        format!("no profile gone in {elsewhere}")
    );
}

#[tokio::test]
async fn a_broken_profile_file_is_told_with_its_line_and_stops_no_other_source() {
    let mut lab = Lab::new();
    lab.file(".aws/config", "[default]\nregion us-east-2\n");
    let said = lab.said("profile").await;
    let path = Path::new(".aws").join("config").display().to_string();
    assert!(
        said.contains(&format!("{path} on line 2: Expected an '='")),
        "{said}"
    );
    lab.ecs_file(&task("ap-south-1"));
    assert_eq!(lab.found().await, "ap-south-1 from ECS metadata file");
}

#[tokio::test]
async fn a_setting_that_is_no_region_is_an_error_that_names_it() {
    for value in [
        "us east-1",
        "us/east",
        "US-EAST-1",
        "us-east-1.evil.example",
        "-",
        "-us",
        "us-",
        "é",
        "a\u{1b}",
        "@",
        "a:1",
    ] {
        let mut lab = Lab::new();
        lab.set("AWS_REGION", value);
        // It stands before these, which would do.
        lab.set("AWS_DEFAULT_REGION", "us-east-1");
        let err = lab.resolve().await.unwrap_err();
        let value = sanitize(value, 80);
        let expected = format!(
            "The region \"{value}\" from AWS_REGION is not a region: it becomes part of a host name and may hold \
             lower-case letters, digits and hyphens only, such as us-east-1."
        );
        assert_eq!(err.to_string(), expected);
    }
    let mut lab = Lab::new();
    lab.file(".aws/config", "[default]\nregion = a b\n");
    let message = lab.resolve().await.unwrap_err().to_string();
    assert!(
        message.starts_with("The region \"a b\" from profile default is not"),
        "{message}"
    );
    lab.region_flag(&"a".repeat(64));
    assert!(matches!(lab.resolve().await, Err(RegionError::Invalid { source, .. }) if source == "flag -n"));
    lab.region_flag(&"a".repeat(63));
    assert!(lab.resolve().await.is_ok());
}

#[tokio::test]
async fn white_space_around_a_region_means_nothing_and_alone_means_unset() {
    let mut lab = Lab::new();
    lab.set("AWS_REGION", " us-east-1\r\n");
    assert_eq!(lab.found().await, "us-east-1 from AWS_REGION");
    lab.set("AWS_REGION", " ");
    lab.set("AWS_DEFAULT_REGION", "us-west-1");
    assert_eq!(lab.found().await, "us-west-1 from AWS_DEFAULT_REGION");
}

#[tokio::test]
async fn without_a_region_one_error_names_every_source_and_what_it_said() {
    let mut lab = Lab::new();
    assert_eq!(
        lab.resolve().await.unwrap_err().to_string(),
        "Cannot fetch region variable from config file, environment variables, ecs metadata, or ec2 metadata. Tried: \
         flag -n and Region in the configuration file (not set), AWS_REGION (not set), AWS_DEFAULT_REGION (not set), \
         profile (no profile default in ~/.aws/config), ECS metadata file (ECS_ENABLE_CONTAINER_METADATA is not \
         \"true\"), ECS task metadata (ECS_CONTAINER_METADATA_URI_V4 is not set), EC2 instance metadata (switched off \
         by AWS_EC2_METADATA_DISABLED). Give the region with -n, with Region in the configuration file or with \
         AWS_REGION."
    );
    lab.config.local_mode = true;
    assert_eq!(
        lab.resolve().await.unwrap_err().to_string(),
        "Cannot fetch region variable from config file, environment variables, ecs metadata, or ec2 metadata. Tried: \
         flag -n and Region in the configuration file (not set), AWS_REGION (not set), AWS_DEFAULT_REGION (not set), \
         profile (no profile default in ~/.aws/config), ECS and EC2 metadata (not asked in local mode). Give the \
         region with -n, with Region in the configuration file or with AWS_REGION."
    );
}

#[tokio::test]
async fn the_log_says_where_the_region_is_from_in_the_official_words() {
    let log_path = TempDir::new().unwrap();
    let log_path = log_path.path().join("log");
    let file = std::fs::File::create(&log_path).unwrap();
    let (dispatch, log) =
        crate::logs::to_writer(LogLevel::Debug, LogFormat::Text, || UNIX_EPOCH, file).unwrap();
    let guard = tracing::dispatcher::set_default(&dispatch);
    let ec2 = Fake::start(instance).await;
    let mut lab = Lab::new();
    lab.ec2(&ec2.url());
    lab.found().await;
    lab.ecs_file(&task("us-west-5"));
    lab.found().await;
    lab.set("AWS_REGION", "us-east-1");
    lab.found().await;
    lab.region_flag("eu-west-3");
    lab.found().await;
    drop(guard);
    assert!(log.shutdown());
    assert_eq!(
        std::fs::read_to_string(&log_path).unwrap(),
        "1970-01-01T00:00:00Z [Debug] Fetch region eu-west-1 from ec2 metadata\n\
         1970-01-01T00:00:00Z [Debug] Fetch region us-west-5 from ECS metadata file\n\
         1970-01-01T00:00:00Z [Debug] Fetch region us-east-1 from environment variables\n\
         1970-01-01T00:00:00Z [Debug] Fetch region eu-west-3 from commandline/config file\n"
    );
}
