//! The sending side of a daemon, from finding out where to send to the last batch and the last telemetry record.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::StartError;
use crate::api::App;
use crate::api::health::Health;
use crate::aws;
use crate::aws::credentials::reason::alone;
use crate::config::{Config, Environment};
use crate::exporters::bodies::Bodies;
use crate::exporters::either::Either;
use crate::exporters::otlp::Otlp;
use crate::exporters::sender::{Phase, Sender};
use crate::exporters::xray::XRay;
use crate::exporters::xray::telemetry::{self, Telemetry};
use crate::ledger::destination::Destination;
use crate::pipeline::fanout::Fanout;
use crate::pipeline::lane::Lane;

/// Sends what each lane holds until `phases` says otherwise: to X-Ray, to OTLP, or to both.
pub(super) async fn send(
    config: &Config,
    environment: &Environment,
    fanout: &Fanout<Bodies>,
    phases: &watch::Receiver<Phase>,
    app: &App<XRay>,
    health: &Arc<Health>,
) -> Result<(), StartError> {
    let lanes = fanout.lanes();
    let to_xray = async {
        match lanes.to(Destination::XRay) {
            Some(lane) => send_to_xray(config, environment, lane, phases.clone(), app, health).await,
            None => Ok(()),
        }
    };
    let to_otlp = async {
        match lanes.to(Destination::Otlp) {
            Some(lane) => send_to_otlp(config, environment, lane, phases.clone()).await,
            None => Ok(()),
        }
    };
    // Neither waits for the other, but for one that can't start.
    tokio::try_join!(to_xray, to_otlp).map(|((), ())| ())
}

/// Finds region, credentials and endpoint, tells `app` and `health` of them, and sends.
async fn send_to_xray(
    config: &Config,
    environment: &Environment,
    lane: &Arc<Lane<Bodies>>,
    phases: watch::Receiver<Phase>,
    app: &App<XRay>,
    health: &Arc<Health>,
) -> Result<(), StartError> {
    let ledger = lane.ledger();
    let region = aws::region::resolve(&config.xray, environment, &aws::metadata_client(environment))
        .await
        .map_err(StartError::Region)?;
    tracing::info!(
        region = region.region,
        source = region.source,
        "Using region: {} (from {})",
        region.region,
        region.source
    );
    let client = XRay::connect(&config.xray, environment, &region.region)
        .await
        .map_err(StartError::Aws)?;
    let endpoint = client.endpoint_description();
    for warning in client.warnings() {
        warning.say();
    }
    tracing::info!(endpoint, "Using endpoint: {endpoint}");
    if !config.tcp.closed {
        tracing::info!(endpoint, "HTTP Proxy server using X-Ray Endpoint : {endpoint}");
    }
    if let Some(proxy) = client.proxy_description() {
        tracing::info!(proxy = proxy.url, source = proxy.source, "Using proxy: {proxy}");
    }
    health.set_region(&region.region);
    app.set_upstream(client.clone());
    let credentials = tokio::spawn(say_where_credentials_come_from(
        client.clone(),
        Arc::clone(health),
    ));
    let (stop_telemetry, telemetry_stopped) = oneshot::channel();
    let telemetry = async {
        if !config.xray.no_telemetry {
            Telemetry::new(client.clone(), Arc::clone(ledger))
                .run(telemetry::identity(&config.xray, environment), telemetry_stopped)
                .await;
        }
    };
    let sender = async {
        Sender::new(
            Either::XRay(client.clone()),
            Arc::clone(lane),
            Arc::clone(ledger),
            config.xray.concurrency,
        )
        .run(phases)
        .await;
        // Gone when telemetry is off.
        let _: Result<(), ()> = stop_telemetry.send(());
    };
    tokio::join!(sender, telemetry);
    credentials.abort();
    Ok(())
}

/// Says where OTLP goes, and sends.
async fn send_to_otlp(
    config: &Config,
    environment: &Environment,
    lane: &Arc<Lane<Bodies>>,
    phases: watch::Receiver<Phase>,
) -> Result<(), StartError> {
    let Some(endpoint) = config.otlp.as_ref().and_then(|otlp| otlp.endpoint.as_ref()) else {
        // The configuration lets nothing go to an endpoint that there is not.
        return Ok(());
    };
    let client = Otlp::connect(endpoint, &config.xray, environment)
        .await
        .map_err(StartError::Aws)?;
    let endpoint = client.endpoint_description();
    for warning in client.warnings() {
        warning.say();
    }
    tracing::info!(endpoint, "Using OTLP endpoint: {endpoint}");
    if let Some(proxy) = client.proxy_description() {
        tracing::info!(
            proxy = proxy.url,
            source = proxy.source,
            "Using proxy for OTLP: {proxy}"
        );
    }
    let ledger = Arc::clone(lane.ledger());
    Sender::new(
        Either::Otlp(client),
        Arc::clone(lane),
        ledger,
        config.xray.concurrency,
    )
    .run(phases)
    .await;
    Ok(())
}

/// Looks for credentials, and says what came of it; when there are none, again when somebody's search has found some.
async fn say_where_credentials_come_from(client: XRay, health: Arc<Health>) {
    let provider = match client.credentials_description().await {
        Ok(provider) => provider,
        Err(reason) => {
            health.set_credentials(Err(reason.clone()));
            tracing::warn!(
                reason,
                "No AWS credentials yet: {}. Segments wait in memory until there are some: set \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this container, task or instance a role",
                alone(&reason).trim_end_matches('.')
            );
            client.credentials_arrival().await
        }
    };
    health.set_credentials(Ok(()));
    tracing::info!(provider, "Using credentials from {provider}");
}
