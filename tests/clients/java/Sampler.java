// Starts spans under OpenTelemetry's X-Ray remote sampler, which asks the first argument, and says of every 500 how many were
// sampled.

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.contrib.awsxray.AwsXrayRemoteSampler;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;

public class Sampler {
    private static final int SPANS = 500;

    public static void main(String[] arguments) throws InterruptedException {
        Resource resource = Resource.create(Attributes.of(AttributeKey.stringKey("service.name"), "sampler-java"));
        AwsXrayRemoteSampler sampler = AwsXrayRemoteSampler.newBuilder(resource).setEndpoint(arguments[0]).build();
        Tracer tracer = SdkTracerProvider.builder().setResource(resource).setSampler(sampler).build().get("sampler");
        while (true) {
            int sampled = 0;
            for (int number = 0; number < SPANS; number += 1) {
                Span span = tracer.spanBuilder("GET /checkout")
                        .setAttribute("http.request.method", "GET")
                        .setAttribute("url.path", "/checkout")
                        .startSpan();
                sampled += span.isRecording() ? 1 : 0;
                span.end();
            }
            System.out.println("sampled " + sampled + " of " + SPANS);
            Thread.sleep(100);
        }
    }
}
