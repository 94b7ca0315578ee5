//! The sending side of a daemon, from finding out where to send to the last batch and the last telemetry record.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::StartError;
use crate::api::App;
use crate::api::health::Health;
use crate::aws;
use crate::config::{Config, Environment};
use crate::exporters::sender::{Phase, Sender};
use crate::exporters::xray::XRay;
use crate::exporters::xray::encoding::Segments;
use crate::exporters::xray::telemetry::{self, Telemetry};
use crate::ledger::Ledger;
use crate::pipeline::lane::Lane;

/// Finds region, credentials and endpoint, tells `app` and `health` of them, and sends until `phases` says otherwise.
pub(super) async fn send(
    config: &Config,
    environment: &Environment,
    lane: &Arc<Lane<Segments>>,
    ledger: &Arc<Ledger>,
    phases: watch::Receiver<Phase>,
    app: &App<XRay>,
    health: &Arc<Health>,
) -> Result<(), StartError> {
    let region = aws::region::resolve(&config.xray, environment, &aws::metadata_client())
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
    for warning in client.warnings() {
        tracing::warn!("{warning}");
    }
    let endpoint = client.endpoint_description();
    tracing::info!(endpoint, "Using endpoint: {endpoint}");
    if !config.tcp.closed {
        tracing::info!(endpoint, "HTTP Proxy server using X-Ray Endpoint : {endpoint}");
    }
    health.set_region(&region.region);
    app.set_upstream(client.clone());
    let credentials = tokio::spawn({
        let (client, health) = (client.clone(), Arc::clone(health));
        async move {
            let found = client.credentials_description().await;
            health.set_credentials(found.as_ref().map(drop).map_err(Clone::clone));
            match found {
                Ok(provider) => tracing::info!(provider, "Using credentials from {provider}"),
                Err(reason) => tracing::warn!(
                    reason,
                    "No AWS credentials yet: {}. Segments wait in memory until there are some: set \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this container, task or instance a role",
                    reason.trim_end_matches('.')
                ),
            }
        }
    });
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
            client.clone(),
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
