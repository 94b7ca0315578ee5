//! The operations of the API: all 38 of botocore's model (2016-04-12), each `POST` on its own path.

macro_rules! operations {
    ($($name:ident $path:literal)*) => {
        /// The operations that are served, each `POST` on its own path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(#[doc = concat!("`", $path, "`")] $name,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: [Self; 38] = [$(Self::$name),*];

            /// The path it is posted to.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }
        }
    };
}

operations! {
    PutTraceSegments "/TraceSegments"
    PutTelemetryRecords "/TelemetryRecords"
    GetSamplingRules "/GetSamplingRules"
    GetSamplingTargets "/SamplingTargets"
    GetSamplingStatisticSummaries "/SamplingStatisticSummaries"
    CreateSamplingRule "/CreateSamplingRule"
    UpdateSamplingRule "/UpdateSamplingRule"
    DeleteSamplingRule "/DeleteSamplingRule"
    BatchGetTraces "/Traces"
    GetTraceSummaries "/TraceSummaries"
    GetServiceGraph "/ServiceGraph"
    GetTraceGraph "/TraceGraph"
    GetTimeSeriesServiceStatistics "/TimeSeriesServiceStatistics"
    GetGroups "/Groups"
    GetGroup "/GetGroup"
    CreateGroup "/CreateGroup"
    UpdateGroup "/UpdateGroup"
    DeleteGroup "/DeleteGroup"
    GetInsightSummaries "/InsightSummaries"
    GetInsight "/Insight"
    GetInsightEvents "/InsightEvents"
    GetInsightImpactGraph "/InsightImpactGraph"
    GetEncryptionConfig "/EncryptionConfig"
    PutEncryptionConfig "/PutEncryptionConfig"
    GetTraceSegmentDestination "/GetTraceSegmentDestination"
    UpdateTraceSegmentDestination "/UpdateTraceSegmentDestination"
    GetIndexingRules "/GetIndexingRules"
    UpdateIndexingRule "/UpdateIndexingRule"
    ListResourcePolicies "/ListResourcePolicies"
    PutResourcePolicy "/PutResourcePolicy"
    DeleteResourcePolicy "/DeleteResourcePolicy"
    ListTagsForResource "/ListTagsForResource"
    TagResource "/TagResource"
    UntagResource "/UntagResource"
    StartTraceRetrieval "/StartTraceRetrieval"
    ListRetrievedTraces "/ListRetrievedTraces"
    GetRetrievedTracesGraph "/GetRetrievedTracesGraph"
    CancelTraceRetrieval "/CancelTraceRetrieval"
}

impl Operation {
    /// Whether it only asks about traces, which can take long: it is answered of a
    /// [`View`](crate::service::View).
    #[must_use]
    pub const fn reads_traces(self) -> bool {
        matches!(
            self,
            Self::BatchGetTraces
                | Self::GetTraceSummaries
                | Self::GetServiceGraph
                | Self::GetTraceGraph
                | Self::GetTimeSeriesServiceStatistics
                | Self::ListRetrievedTraces
                | Self::GetRetrievedTracesGraph
        )
    }

    /// The operation of a request, if it is one.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Option<Self> {
        if method != "POST" {
            return None;
        }
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }
}
