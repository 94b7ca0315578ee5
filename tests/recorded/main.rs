//! What real clients have sent (`sent`, made by the tests of `clients` and `dev`), through the parser, the batch, the
//! conversions and the ports: the forms on the wire stay tested where no such client is.

mod requests;
mod segments;

use std::collections::BTreeSet;

use xray_double::harness::recorded::{Recording, Way};

#[test]
fn there_is_a_recording_of_every_client_that_the_tests_have() {
    let with = |way: Way| {
        let recordings = Recording::all().into_iter().filter(move |recording| {
            let mut messages = recording.messages.iter();
            messages.any(|message| message.way == way)
        });
        recordings
            .map(|recording| recording.client)
            .collect::<BTreeSet<_>>()
    };
    let sdks = ["go", "java", "node", "python"].map(str::to_owned);
    assert_eq!(with(Way::Udp), BTreeSet::from(sdks.clone()));
    let samplers = ["otel-java", "otel-node", "otel-python"].map(str::to_owned);
    assert_eq!(
        with(Way::Tcp),
        BTreeSet::from_iter(sdks.into_iter().chain(samplers))
    );
    let callers = ["aws-cli", "aws-js", "aws-rust", "boto3"].map(str::to_owned);
    assert_eq!(with(Way::Api), BTreeSet::from(callers));
    let exporters = ["otlp-node", "otlp-python"].map(str::to_owned);
    assert_eq!(with(Way::Otlp), BTreeSet::from(exporters));
}
