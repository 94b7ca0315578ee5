//! Filter expressions, as X-Ray's documentation describes them: read, and judged against one trace.
//!
//! | written | meaning |
//! |---|---|
//! | `fault`, `error`, `throttle`, `ok` | the first segment has it; `ok`: none of them |
//! | `partial`, `inferred`, `root` | in progress; known from its caller only; where it came in |
//! | `responsetime`, `duration` | seconds: of the first service; of the whole trace |
//! | `http.url`, `http.method`, `http.status`, `http.useragent`, `http.clientip` | of the first service's request |
//! | `name`, `type` | of the first service |
//! | `user`, `instance.id`, `availabilityzone`, `resource.arn` | of any service |
//! | `annotation.KEY`, `annotation[KEY]`, `annotation["KEY"]` | of any segment |
//! | `service("NAME") { … }`, `service(id(name: "N", type: "T")) { … }` | a service whose part is as in the braces |
//! | `edge("FROM", "TO") { … }` | a call whose part is as in the braces |
//! | `group.name = "NAME"`, `groupname = "NAME"`, `group.arn = "ARN"` | the group's own filter |
//! | `=` `!=` `<` `<=` `>` `>=` `CONTAINS` `BEGINSWITH` `ENDSWITH` | comparisons |
//! | `AND` `OR` `NOT` `!` `( )` | in any case of letters; next to each other means `AND` |
//!
//! For people there is more ([`Filter::parse_question`]): a word that is no keyword, or a text in quotes, asks for traces
//! that mention it in URL, name, service, user, the values of annotations, or what exceptions say.
//!
//! A keyword alone asks whether it is set; an annotation that is `false` counts as one that is not. In the braces the
//! same words are meant of that service or call alone. What is compared and not there is not equal, not unequal, and not
//! less. Root causes (`rootcause.…`, with `message`, `first`, `last`, `remote`, `index`, `coverage` and `json` in them)
//! and `account.id` are not supported; what is not is refused with its position, and told from what nobody knows. So
//! is `service` or `edge` in the braces of either, which keeps the work of judging a trace inside the product of the
//! expression's length and the trace's.

mod judge;
mod parse;
mod search;
#[cfg(test)]
mod tests;

pub use search::trace_id;

/// The longest expression, in characters; the API's own limit is not published.
pub const MAX_CHARS: usize = 4_000;

/// Parentheses, braces and negations inside each other: more than anyone writes, less than a stack holds.
const MAX_DEPTH: usize = 50;

/// Conditions in one expression, with those of the groups that it names: what the judge looks at for each trace.
const MAX_TERMS: usize = 2_000;

/// How an expression names a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupRef<'a> {
    /// `group.name`, `groupname`.
    Name(&'a str),
    /// `group.arn`.
    Arn(&'a str),
}

/// The filter of a group, if there is one of that name.
pub type GroupFilters<'a> = dyn Fn(GroupRef<'_>) -> Option<Filter> + 'a;

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
    terms: usize,
}

impl Filter {
    /// Whether `service` or `edge` is in it.
    fn asks_for_entities(&self) -> bool {
        self.expression
            .as_ref()
            .is_some_and(Expression::asks_for_entities)
    }

    /// What an empty expression is: it takes everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            expression: None,
            terms: 0,
        }
    }
}

/// What statistics are asked of: a service or the calls between two.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EntitySelector {
    /// `service(…)` or `id(…)`.
    Service(Selector),
    /// `edge(…, …)`.
    Edge(Selector, Selector),
}

impl EntitySelector {
    /// Reads an `EntitySelectorExpression`: one `id`, `service` or `edge` without braces.
    ///
    /// # Errors
    /// What was expected where.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        if let Some(selector) = parse::lone_selector(text)? {
            return Ok(Self::Service(selector));
        }
        match Filter::parse(text)?.expression {
            Some(Expression::Service(selector, None)) => Ok(Self::Service(selector)),
            Some(Expression::Edge(from, to, None)) => Ok(Self::Edge(from, to)),
            _ => Err(FilterError {
                message: "one service(…), edge(…, …) or id(…) expected, without braces".to_owned(),
                position: 0,
            }),
        }
    }
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
    /// In lower case.
    Mentions(String),
    Compare(Field, Sign, Literal),
    Service(Selector, Option<Box<Expression>>),
    Edge(Selector, Selector, Option<Box<Expression>>),
}

impl Expression {
    /// [`MAX_DEPTH`] bounds the recursion.
    fn asks_for_entities(&self) -> bool {
        match self {
            Self::Any(inner) | Self::All(inner) => inner.iter().any(Self::asks_for_entities),
            Self::Not(inner) => inner.asks_for_entities(),
            Self::Service(..) | Self::Edge(..) => true,
            Self::Flag(_)
            | Self::FlagIs(..)
            | Self::HasAnnotation(_)
            | Self::Mentions(_)
            | Self::Compare(..) => false,
        }
    }

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
            | Self::Mentions(_)
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
pub(crate) struct Selector {
    name: Option<String>,
    kind: Option<String>,
}
