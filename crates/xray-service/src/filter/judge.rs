//! Judging an expression against one trace.

use super::{Expression, Field, Filter, Flag, Literal, Selector, Sign, search};
use crate::digest::{Call, Digest, Part, ServiceKey};
use crate::model::{Marks, Scalar};
use crate::work::{Ended, Work};

/// What an expression is about.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Trace(&'a Digest),
    Service(&'a Digest, &'a Part),
    Edge(&'a Digest, &'a Call),
}

impl Filter {
    /// Whether the trace matches, and what it takes to find out is taken from the budget before.
    ///
    /// # Errors
    /// When the budget is spent, or nobody waits.
    pub fn judge(&self, digest: &Digest, work: &Work) -> Result<bool, Ended> {
        work.spend(self.weight().saturating_mul(digest.size()))?;
        Ok(self.matches(digest))
    }

    /// Whether the trace matches.
    #[must_use]
    pub fn matches(&self, digest: &Digest) -> bool {
        self.expression
            .as_ref()
            .is_none_or(|expression| judge(expression, Scope::Trace(digest)))
    }
}

fn judge(expression: &Expression, scope: Scope<'_>) -> bool {
    match expression {
        Expression::Any(either) => either.iter().any(|one| judge(one, scope)),
        Expression::All(each) => each.iter().all(|one| judge(one, scope)),
        Expression::Not(inner) => !judge(inner, scope),
        Expression::Flag(flag) => scope.flag(*flag),
        Expression::FlagIs(flag, wanted) => scope.flag(*flag) == *wanted,
        // A Boolean that is false is as good as not there.
        Expression::HasAnnotation(key) => scope
            .annotations()
            .any(|(own, value)| own == key && *value != Scalar::Bool(false)),
        Expression::Mentions(text) => search::mentions(scope.digest(), scope.parts(), text),
        Expression::Compare(field, sign, literal) => scope.compare(field, *sign, literal),
        Expression::Service(selector, inner) => {
            let digest = scope.digest();
            digest.parts.iter().any(|part| {
                selector.takes(&part.service)
                    && inner
                        .as_ref()
                        .is_none_or(|inner| judge(inner, Scope::Service(digest, part)))
            })
        }
        Expression::Edge(from, to, inner) => {
            let digest = scope.digest();
            digest.calls.iter().any(|call| {
                from.takes(&digest.parts[call.from].service)
                    && to.takes(&digest.parts[call.to].service)
                    && inner
                        .as_ref()
                        .is_none_or(|inner| judge(inner, Scope::Edge(digest, call)))
            })
        }
    }
}

impl Selector {
    /// Whether it means this service.
    pub(crate) fn takes(&self, service: &ServiceKey) -> bool {
        self.name.as_ref().is_none_or(|name| *name == service.name)
            && self.kind.as_ref().is_none_or(|kind| *kind == service.kind)
    }
}

impl<'a> Scope<'a> {
    const fn digest(self) -> &'a Digest {
        match self {
            Self::Trace(digest) | Self::Service(digest, _) | Self::Edge(digest, _) => digest,
        }
    }

    fn marks(self) -> Marks {
        match self {
            Self::Trace(digest) => digest.root_marks(),
            Self::Service(_, part) => part.marks,
            Self::Edge(_, call) => call.marks,
        }
    }

    fn flag(self, flag: Flag) -> bool {
        let marks = self.marks();
        match flag {
            Flag::Fault => marks.fault,
            Flag::Error => marks.error,
            Flag::Throttle => marks.throttle,
            Flag::Ok => marks.ok(),
            Flag::Partial => match self {
                Self::Trace(digest) => digest.in_progress,
                Self::Service(_, part) => part.in_progress,
                Self::Edge(_, call) => call.in_progress,
            },
            Flag::Inferred => match self {
                Self::Trace(digest) => digest
                    .parts
                    .iter()
                    .any(|part| part.inferred && part.service.kind != "client"),
                Self::Service(_, part) => part.inferred,
                Self::Edge(digest, call) => digest.parts[call.to].inferred,
            },
            Flag::Root => match self {
                Self::Trace(digest) => digest.entry.is_some(),
                Self::Service(_, part) => part.root,
                Self::Edge(digest, call) => digest.parts[call.to].root,
            },
        }
    }

    /// The service that is meant where only one can be.
    fn part(self) -> Option<&'a Part> {
        match self {
            Self::Trace(digest) => digest.entry_part(),
            Self::Service(_, part) => Some(part),
            Self::Edge(digest, call) => digest.parts.get(call.to),
        }
    }

    /// The services that are meant where any may be.
    fn parts(self) -> &'a [Part] {
        match self {
            Self::Trace(digest) => &digest.parts,
            Self::Service(_, part) => std::slice::from_ref(part),
            Self::Edge(digest, call) => std::slice::from_ref(&digest.parts[call.to]),
        }
    }

    fn annotations(self) -> impl Iterator<Item = &'a (String, Scalar)> {
        self.parts().iter().flat_map(|part| &part.annotations)
    }

    fn compare(self, field: &Field, sign: Sign, literal: &Literal) -> bool {
        let number = |own: Option<f64>| own.is_some_and(|own| compare_number(own, sign, literal));
        let text = |own: Option<&str>| own.is_some_and(|own| compare_text(own, sign, literal));
        let of_any = |own: fn(&Part) -> Option<&str>| self.parts().iter().any(|part| text(own(part)));
        let http = self.part().map(|part| &part.http);
        match field {
            Field::ResponseTime => number(match self {
                Self::Trace(digest) => digest.response_time(),
                Self::Service(_, part) => (!part.in_progress).then(|| part.duration()),
                Self::Edge(_, call) => (!call.in_progress).then_some(call.end - call.start),
            }),
            Field::Duration => number(Some(match self {
                Self::Trace(digest) => digest.duration(),
                Self::Service(_, part) => part.duration(),
                Self::Edge(_, call) => call.end - call.start,
            })),
            Field::HttpStatus => number(http.and_then(|http| http.status).map(|status| status as f64)),
            Field::HttpUrl => text(http.and_then(|http| http.url.as_deref())),
            Field::HttpMethod => text(http.and_then(|http| http.method.as_deref())),
            Field::HttpUserAgent => text(http.and_then(|http| http.user_agent.as_deref())),
            Field::HttpClientIp => text(http.and_then(|http| http.client_ip.as_deref())),
            Field::Name => match self {
                Self::Trace(digest) => text(Some(&digest.name)),
                _ => text(self.part().map(|part| part.service.name.as_str())),
            },
            Field::Type => text(self.part().map(|part| part.service.kind.as_str())),
            Field::User => of_any(|part| part.user.as_deref()),
            Field::InstanceId => of_any(|part| part.instance_id.as_deref()),
            Field::AvailabilityZone => of_any(|part| part.availability_zone.as_deref()),
            Field::ResourceArn => of_any(|part| part.resource_arn.as_deref()),
            Field::Annotation(key) => self
                .annotations()
                .filter(|(own, _)| own == key)
                .any(|(_, value)| compare_scalar(value, sign, literal)),
        }
    }
}

fn compare_scalar(own: &Scalar, sign: Sign, literal: &Literal) -> bool {
    match (own, literal) {
        (Scalar::Text(own), Literal::Text(_)) => compare_text(own, sign, literal),
        (Scalar::Number(own), Literal::Number(_)) => compare_number(*own, sign, literal),
        (Scalar::Bool(own), Literal::Bool(wanted)) => match sign {
            Sign::Equal => own == wanted,
            Sign::Unequal => own != wanted,
            _ => false,
        },
        // Of another type: certainly not equal.
        _ => sign == Sign::Unequal,
    }
}

fn compare_number(own: f64, sign: Sign, literal: &Literal) -> bool {
    let Literal::Number(wanted) = *literal else {
        return false;
    };
    match sign {
        Sign::Equal => own == wanted,
        Sign::Unequal => own != wanted,
        Sign::Less => own < wanted,
        Sign::LessOrEqual => own <= wanted,
        Sign::Greater => own > wanted,
        Sign::GreaterOrEqual => own >= wanted,
        Sign::Contains | Sign::BeginsWith | Sign::EndsWith => false,
    }
}

fn compare_text(own: &str, sign: Sign, literal: &Literal) -> bool {
    let Literal::Text(wanted) = literal else {
        return false;
    };
    let wanted = wanted.as_str();
    match sign {
        Sign::Equal => own == wanted,
        Sign::Unequal => own != wanted,
        Sign::Less => own < wanted,
        Sign::LessOrEqual => own <= wanted,
        Sign::Greater => own > wanted,
        Sign::GreaterOrEqual => own >= wanted,
        Sign::Contains => own.contains(wanted),
        Sign::BeginsWith => own.starts_with(wanted),
        Sign::EndsWith => own.ends_with(wanted),
    }
}
