//! Filter expressions, as X-Ray's documentation describes them: read, and judged against one trace.
//!
//! | written | meaning |
//! |---|---|
//! | `fault`, `error`, `throttle`, `ok` | any part of the trace has it; `ok`: none of them |
//! | `partial`, `inferred`, `root` | in progress or without all parents; known from its caller only; where it came in |
//! | `responsetime`, `duration` | seconds: of the first service; of the whole trace |
//! | `http.url`, `http.method`, `http.status`, `http.useragent`, `http.clientip` | of the first service's request |
//! | `name`, `type` | of the first service |
//! | `user`, `instance.id`, `availabilityzone`, `resourcearn` | of any service |
//! | `annotation.KEY`, `annotation[KEY]`, `annotation["KEY"]` | of any segment; alone: that there is one |
//! | `service("NAME") { … }`, `service(id(name: "N", type: "T")) { … }` | a service whose part is as in the braces |
//! | `edge("FROM", "TO") { … }` | a call whose part is as in the braces |
//! | `=` `!=` `<` `<=` `>` `>=` `CONTAINS` `BEGINSWITH` `ENDSWITH` | comparisons; flags stand alone too |
//! | `AND` `OR` `NOT` `!` `( )` | in any case of letters |
//!
//! In the braces the same words are meant of that service or call alone. What is compared and not there is not equal,
//! not unequal, and not less. `group`, `json`, `coverage` and root causes are not supported; what is not is refused
//! with its position. So is `service` or `edge` in the braces of either, which keeps the work of judging a trace inside
//! the product of the expression's length and the trace's.

mod judge;
mod parse;
#[cfg(test)]
mod tests;

/// The longest expression, in characters; the API's own limit is not published.
pub const MAX_CHARS: usize = 4_000;

/// Parentheses, braces and negations inside each other: more than anyone writes, less than a stack holds.
const MAX_DEPTH: usize = 50;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter expression: {message} (at character {})", .position + 1)]
pub struct FilterError {
    /// What was expected and what was found.
    pub message: String,
    /// Where, in characters from 0.
    pub position: usize,
}

/// A filter expression that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// `None`: everything matches.
    expression: Option<Expression>,
}

impl Filter {
    /// The most comparisons that judging one service or call may take, for a budget of work.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.expression.as_ref().map_or(1, Expression::weight)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Flag(Flag),
    FlagIs(Flag, bool),
    HasAnnotation(String),
    Compare(Field, Sign, Literal),
    Service(Selector, Option<Box<Expression>>),
    Edge(Selector, Selector, Option<Box<Expression>>),
}

impl Expression {
    /// [`MAX_DEPTH`] bounds the recursion.
    fn weight(&self) -> u64 {
        1 + match self {
            Self::Any(inner) | Self::All(inner) => inner.iter().map(Self::weight).sum(),
            Self::Not(inner) | Self::Service(_, Some(inner)) | Self::Edge(_, _, Some(inner)) => {
                inner.weight()
            }
            Self::Flag(_)
            | Self::FlagIs(..)
            | Self::HasAnnotation(_)
            | Self::Compare(..)
            | Self::Service(_, None)
            | Self::Edge(_, _, None) => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Fault,
    Error,
    Throttle,
    Ok,
    Partial,
    Inferred,
    Root,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    ResponseTime,
    Duration,
    HttpUrl,
    HttpMethod,
    HttpStatus,
    HttpUserAgent,
    HttpClientIp,
    Name,
    Type,
    User,
    InstanceId,
    AvailabilityZone,
    ResourceArn,
    Annotation(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    BeginsWith,
    EndsWith,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// Which services are meant: all conditions that are there must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Selector {
    name: Option<String>,
    kind: Option<String>,
}
