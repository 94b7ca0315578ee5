//! Reading: characters to tokens to an expression, by recursive descent.

use super::{
    Expression, Field, Filter, FilterError, Flag, GroupFilters, GroupRef, Literal, MAX_CHARS, MAX_DEPTH,
    MAX_TERMS, Selector, Sign, search,
};

/// Words of the documented language that are known, and known not to be supported; by what is before their first dot.
/// Groups are where nobody knows any.
const UNSUPPORTED: [&str; 13] = [
    "group",
    "groupname",
    "grouparn",
    "account",
    "message",
    "json",
    "coverage",
    "rootcause",
    "first",
    "last",
    "remote",
    "index",
    "linked",
];

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Word(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
    /// No token; whoever comes here says so. What is before it may be known not to be supported, which tells more.
    Broken(FilterError),
    End,
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    kind: Kind,
    position: usize,
}

impl Filter {
    /// Reads an expression. An empty one takes everything.
    ///
    /// # Errors
    /// What was expected where.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::read(Parser::new(text, None)?)
    }

    /// Reads an expression that may speak of groups, whose filters take the place of their names.
    ///
    /// # Errors
    /// As [`Filter::parse`]; and when there is no such group.
    pub fn parse_with(text: &str, groups: &GroupFilters<'_>) -> Result<Self, FilterError> {
        Self::read(Parser::new(text, Some(groups))?)
    }

    /// Reads what a person types: an expression, in which a word that is no keyword and a text in quotes ask for traces
    /// that mention it; a trace id in any of its forms; or words that are no expression, each of which has to be
    /// mentioned.
    ///
    /// # Errors
    /// As [`Filter::parse_with`], when it looks like an expression.
    pub fn parse_question(text: &str, groups: &GroupFilters<'_>) -> Result<Self, FilterError> {
        if let Some(id) = search::trace_id(text) {
            return Ok(Self::mentioning([id]));
        }
        let read = Parser::new(text, Some(groups)).and_then(|parser| {
            Self::read(Parser {
                searches: true,
                ..parser
            })
        });
        match read {
            Err(_) if search::is_plain(text) && text.chars().count() <= MAX_CHARS => {
                Ok(Self::mentioning(text.split_whitespace().map(str::to_owned)))
            }
            read => read,
        }
    }

    fn mentioning(words: impl IntoIterator<Item = String>) -> Self {
        let mentions = |word: String| Expression::Mentions(word.to_lowercase());
        let each: Vec<Expression> = words.into_iter().map(mentions).take(MAX_TERMS).collect();
        Self {
            terms: each.len(),
            expression: Some(one_or(each, Expression::All)),
        }
    }

    fn read(mut parser: Parser<'_>) -> Result<Self, FilterError> {
        if *parser.peek() == Kind::End {
            return Ok(Self::everything());
        }
        let expression = parser.any()?;
        match parser.peek() {
            Kind::End => Ok(Self {
                expression: Some(expression),
                terms: parser.terms,
            }),
            _ => Err(parser.expected("AND, OR or the end")),
        }
    }
}

/// The selector of an entity alone: `id(name: "…", type: "…")` and nothing else.
pub(super) fn lone_selector(text: &str) -> Result<Option<Selector>, FilterError> {
    let mut parser = Parser::new(text, None)?;
    if !parser.is_word("id") {
        return Ok(None);
    }
    let selector = parser.selector()?;
    match parser.peek() {
        Kind::End => Ok(Some(selector)),
        _ => Err(parser.expected("the end")),
    }
}

const SIGNS: [&str; 15] = [
    ">=", "<=", "!=", "=", "<", ">", "(", ")", "{", "}", "[", "]", ",", ":", "!",
];

fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > MAX_CHARS {
        return Err(FilterError {
            message: format!("{} characters are more than {MAX_CHARS}", chars.len()),
            position: MAX_CHARS,
        });
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let position = at;
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        match token(&chars, &mut at, &tokens) {
            Ok(kind) => tokens.push(Token { kind, position }),
            Err(error) => {
                let position = error.position;
                tokens.push(Token {
                    kind: Kind::Broken(error),
                    position,
                });
                return Ok(tokens);
            }
        }
    }
    tokens.push(Token {
        kind: Kind::End,
        position: chars.len(),
    });
    Ok(tokens)
}

/// The token that begins at `at`, after those before it.
fn token(chars: &[char], at: &mut usize, before: &[Token]) -> Result<Kind, FilterError> {
    let position = *at;
    let c = chars[position];
    if c == '"' || c == '\'' {
        *at += 1;
        Ok(Kind::Text(string(chars, at, position)?))
    } else if starts_number(chars, position) {
        number(chars, at, position)
    } else if c.is_alphabetic() || c == '_' {
        *at += if opens_key(before) {
            key_length(&chars[position..])
        } else {
            word_length(&chars[position..])
        };
        Ok(Kind::Word(chars[position..*at].iter().collect()))
    } else {
        let starts = |sign: &&&str| {
            sign.chars()
                .enumerate()
                .all(|(n, c)| chars.get(position + n) == Some(&c))
        };
        let sign = SIGNS.iter().find(starts).ok_or_else(|| FilterError {
            message: format!("unexpected character {c:?}"),
            position,
        })?;
        *at += sign.len();
        Ok(Kind::Sign(sign))
    }
}

/// Whether the next token is the key in `annotation[`.
fn opens_key(before: &[Token]) -> bool {
    let [.., word, bracket] = before else { return false };
    bracket.kind == Kind::Sign("[")
        && matches!(&word.kind, Kind::Word(word) if word.eq_ignore_ascii_case("annotation"))
}

/// A key in brackets goes on until they close, whatever is in it.
fn key_length(chars: &[char]) -> usize {
    let ends = |c: &char| *c == ']' || c.is_whitespace();
    chars.iter().position(ends).unwrap_or(chars.len())
}

/// A word goes on while it has letters, numbers, `_`, `.` and `-`; the key of an annotation also over a colon that
/// more of it follows, as in `annotation.aws:api_stage`.
fn word_length(chars: &[char]) -> usize {
    const ANNOTATION: &str = "annotation.";
    let is_annotation = chars.len() > ANNOTATION.len()
        && ANNOTATION
            .chars()
            .zip(chars)
            .all(|(wanted, own)| own.eq_ignore_ascii_case(&wanted));
    let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut length = 0;
    loop {
        let goes_on = chars.get(length).is_some_and(is_part)
            || (is_annotation
                && chars.get(length) == Some(&':')
                && chars.get(length + 1).is_some_and(is_part));
        if !goes_on {
            return length;
        }
        length += 1;
    }
}

fn string(chars: &[char], at: &mut usize, position: usize) -> Result<String, FilterError> {
    let quote = chars[position];
    let mut text = String::new();
    loop {
        let c = chars.get(*at).copied();
        *at += 1;
        match c {
            Some(c) if c == quote => return Ok(text),
            Some('\\') => {
                text.extend(chars.get(*at));
                *at += 1;
            }
            Some(c) => text.push(c),
            None => {
                return Err(FilterError {
                    message: format!("the string has no closing {quote}"),
                    position,
                });
            }
        }
    }
}

fn starts_number(chars: &[char], at: usize) -> bool {
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    match chars[at] {
        '-' => digit(at + 1) || (chars.get(at + 1) == Some(&'.') && digit(at + 2)),
        '.' => digit(at + 1),
        c => c.is_ascii_digit(),
    }
}

fn number(chars: &[char], at: &mut usize, position: usize) -> Result<Kind, FilterError> {
    *at += 1;
    while chars
        .get(*at)
        .is_some_and(|c| c.is_alphanumeric() || *c == '.' || *c == '_')
    {
        *at += 1;
    }
    let text: String = chars[position..*at].iter().collect();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Kind::Number(number)),
        _ => Err(FilterError {
            message: format!("{text} is no number"),
            position,
        }),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    terms: usize,
    groups: Option<&'a GroupFilters<'a>>,
    /// In those of `service()` or `edge()`.
    in_braces: bool,
    /// What is no keyword is looked for in the trace.
    searches: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &str, groups: Option<&'a GroupFilters<'a>>) -> Result<Self, FilterError> {
        Ok(Self {
            tokens: tokens(text)?,
            next: 0,
            depth: 0,
            terms: 0,
            groups,
            in_braces: false,
            searches: false,
        })
    }

    fn token(&self) -> &Token {
        // The last one is the end, and nobody steps over it.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn expected(&self, what: &str) -> FilterError {
        let found = match self.peek() {
            Kind::Broken(error) => return error.clone(),
            Kind::End => "the end".to_owned(),
            Kind::Word(word) => word.clone(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Number(number) => number.to_string(),
            Kind::Sign(sign) => (*sign).to_owned(),
        };
        self.error(&format!("{what} expected, found {found}"))
    }

    fn error(&self, message: &str) -> FilterError {
        FilterError {
            message: message.to_owned(),
            position: self.token().position,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Kind::Sign(found) if *found == sign)
    }

    fn take_sign(&mut self, sign: &str) -> Result<(), FilterError> {
        if !self.is_sign(sign) {
            return Err(self.expected(sign));
        }
        self.next += 1;
        Ok(())
    }

    fn take_text(&mut self) -> Result<String, FilterError> {
        let Kind::Text(text) = self.peek() else {
            return Err(self.expected("a string in quotes"));
        };
        let text = text.clone();
        self.next += 1;
        Ok(text)
    }

    fn any(&mut self) -> Result<Expression, FilterError> {
        let mut either = vec![self.all()?];
        while self.is_word("or") {
            self.next += 1;
            either.push(self.all()?);
        }
        Ok(one_or(either, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut each = vec![self.not()?];
        // The guide also writes expressions next to each other: `ok !partial duration <3`.
        while self.is_word("and") || self.starts_expression() {
            if self.is_word("and") {
                self.next += 1;
            }
            each.push(self.not()?);
        }
        Ok(one_or(each, Expression::All))
    }

    fn starts_expression(&self) -> bool {
        self.is_sign("!")
            || self.is_sign("(")
            || (matches!(self.peek(), Kind::Word(_)) && !self.is_word("or"))
            || (self.searches && matches!(self.peek(), Kind::Text(_)))
    }

    /// Counts what the judge has to look at.
    fn add_terms(&mut self, terms: usize) -> Result<(), FilterError> {
        self.terms += terms;
        if self.terms > MAX_TERMS {
            return Err(self.error(&format!(
                "more than {MAX_TERMS} conditions, those of groups included"
            )));
        }
        Ok(())
    }

    fn not(&mut self) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(&format!("more than {MAX_DEPTH} levels inside each other")));
        }
        let expression = if self.is_sign("!") || self.is_word("not") {
            self.next += 1;
            Expression::Not(Box::new(self.not()?))
        } else if self.is_sign("(") {
            self.next += 1;
            let inner = self.any()?;
            self.take_sign(")")?;
            inner
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    /// What is looked for in the trace: a text in quotes, or a word that is no keyword and is not compared with anything.
    fn mention(&mut self) -> Option<Expression> {
        let text = match self.peek() {
            Kind::Text(text) => text,
            Kind::Word(word) => {
                let next = self.tokens.get(self.next + 1).map(|token| &token.kind);
                let is_compared = match next {
                    Some(Kind::Sign(sign)) => !matches!(*sign, ")" | "}" | "!" | "("),
                    Some(Kind::Word(word)) => {
                        ["contains", "beginswith", "endswith"].contains(&word.to_ascii_lowercase().as_str())
                    }
                    _ => false,
                };
                let lower = word.to_ascii_lowercase();
                let head = lower.split('.').next().unwrap_or_default();
                let is_keyword = flag(&lower).is_some()
                    || field(&lower).is_some()
                    || ["service", "edge", "annotation", "and", "or", "not"].contains(&head)
                    || UNSUPPORTED.contains(&head);
                if is_compared || is_keyword {
                    return None;
                }
                word
            }
            _ => return None,
        };
        let mention = Expression::Mentions(text.to_lowercase());
        self.next += 1;
        Some(mention)
    }

    fn term(&mut self) -> Result<Expression, FilterError> {
        if self.searches
            && let Some(mention) = self.mention()
        {
            self.add_terms(1)?;
            return Ok(mention);
        }
        let Kind::Word(word) = self.peek().clone() else {
            return Err(self.expected("a keyword"));
        };
        self.add_terms(1)?;
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            // It would mean any service of the trace again, not one of the service that is meant: nobody wants that, and
            // it would be judged once for each, at each level.
            "service" | "edge" if self.in_braces => {
                return Err(self.error(&format!(
                    "{lower}() cannot stand in the braces of service() or edge()"
                )));
            }
            "group.name" | "groupname" | "group.arn" | "grouparn" => {
                let Some(groups) = self.groups else {
                    return Err(self.unknown(&word));
                };
                self.next += 1;
                return self.group(groups, lower.ends_with("name"));
            }
            "service" => {
                self.next += 1;
                self.take_sign("(")?;
                // `service()` is any service.
                let selector = if self.is_sign(")") {
                    Selector::default()
                } else {
                    self.selector()?
                };
                self.take_sign(")")?;
                return Ok(Expression::Service(selector, self.block()?));
            }
            "edge" => {
                self.next += 1;
                self.take_sign("(")?;
                let from = self.selector()?;
                self.take_sign(",")?;
                let to = self.selector()?;
                self.take_sign(")")?;
                return Ok(Expression::Edge(from, to, self.block()?));
            }
            "annotation" => return self.annotation_in_brackets(),
            _ => {}
        }
        if let Some(flag) = flag(&lower) {
            self.next += 1;
            return self.flag(flag);
        }
        let field = match lower.strip_prefix("annotation.") {
            // The key keeps its case.
            Some(key) if !key.is_empty() => Field::Annotation(word["annotation.".len()..].to_owned()),
            _ => field(&lower).ok_or_else(|| self.unknown(&word))?,
        };
        self.next += 1;
        self.comparison(field)
    }

    /// `= "NAME"` or `!= "NAME"` after a word for a group: the filter of the group itself.
    fn group(&mut self, groups: &GroupFilters<'_>, by_name: bool) -> Result<Expression, FilterError> {
        let is_negated = self.is_sign("!=");
        if !is_negated && !self.is_sign("=") {
            return Err(self.expected("= or !="));
        }
        self.next += 1;
        let Kind::Text(named) = self.peek() else {
            return Err(self.expected("a string in quotes"));
        };
        let reference = if by_name {
            GroupRef::Name(named)
        } else {
            GroupRef::Arn(named)
        };
        let Some(filter) = groups(reference) else {
            return Err(self.error(&format!("there is no group {named:?}")));
        };
        if self.in_braces && filter.asks_for_entities() {
            return Err(self.error(
                "this group's filter has service() or edge(), which cannot stand in the braces of either",
            ));
        }
        self.add_terms(filter.terms)?;
        self.next += 1;
        // All of nothing is true.
        let expression = filter.expression.unwrap_or(Expression::All(Vec::new()));
        Ok(if is_negated {
            Expression::Not(Box::new(expression))
        } else {
            expression
        })
    }

    fn unknown(&self, word: &str) -> FilterError {
        let lower = word.to_ascii_lowercase();
        let first = lower.split('.').next().unwrap_or_default();
        let is_cause = lower.contains("rootcause");
        if is_cause || UNSUPPORTED.contains(&first) {
            self.error(&format!("{word} is not supported here"))
        } else {
            self.error(&format!("unknown keyword {word}"))
        }
    }

    fn annotation_in_brackets(&mut self) -> Result<Expression, FilterError> {
        self.next += 1;
        self.take_sign("[")?;
        let key = match self.peek() {
            Kind::Word(key) | Kind::Text(key) => key.clone(),
            _ => return Err(self.expected("the annotation's key")),
        };
        self.next += 1;
        self.take_sign("]")?;
        self.comparison(Field::Annotation(key))
    }

    fn flag(&mut self, flag: Flag) -> Result<Expression, FilterError> {
        let is_negated = self.is_sign("!=");
        if !is_negated && !self.is_sign("=") {
            return Ok(Expression::Flag(flag));
        }
        self.next += 1;
        let wanted = if self.is_word("true") {
            true
        } else if self.is_word("false") {
            false
        } else {
            return Err(self.expected("true or false"));
        };
        self.next += 1;
        Ok(Expression::FlagIs(flag, wanted != is_negated))
    }

    fn comparison(&mut self, field: Field) -> Result<Expression, FilterError> {
        let sign = match self.peek() {
            Kind::Sign("=") => Some(Sign::Equal),
            Kind::Sign("!=") => Some(Sign::Unequal),
            Kind::Sign("<") => Some(Sign::Less),
            Kind::Sign("<=") => Some(Sign::LessOrEqual),
            Kind::Sign(">") => Some(Sign::Greater),
            Kind::Sign(">=") => Some(Sign::GreaterOrEqual),
            Kind::Word(word) if word.eq_ignore_ascii_case("contains") => Some(Sign::Contains),
            Kind::Word(word) if word.eq_ignore_ascii_case("beginswith") => Some(Sign::BeginsWith),
            Kind::Word(word) if word.eq_ignore_ascii_case("endswith") => Some(Sign::EndsWith),
            _ => None,
        };
        let Some(sign) = sign else {
            // Alone a keyword asks whether it is set, and every text that is there contains the empty one.
            return match field {
                Field::Annotation(key) => Ok(Expression::HasAnnotation(key)),
                Field::ResponseTime | Field::Duration => Err(self.expected("an operator")),
                Field::HttpStatus => Ok(Expression::Compare(
                    field,
                    Sign::Greater,
                    Literal::Number(f64::NEG_INFINITY),
                )),
                _ => Ok(Expression::Compare(
                    field,
                    Sign::Contains,
                    Literal::Text(String::new()),
                )),
            };
        };
        self.next += 1;
        let literal = match self.peek() {
            Kind::Text(text) => Literal::Text(text.clone()),
            Kind::Number(number) => Literal::Number(*number),
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            _ => return Err(self.expected("a string in quotes, a number, true or false")),
        };
        let is_number_field = matches!(field, Field::ResponseTime | Field::Duration | Field::HttpStatus);
        let is_text_sign = matches!(sign, Sign::Contains | Sign::BeginsWith | Sign::EndsWith);
        let is_order = matches!(
            sign,
            Sign::Less | Sign::LessOrEqual | Sign::Greater | Sign::GreaterOrEqual
        );
        let is_annotation = matches!(field, Field::Annotation(_));
        match &literal {
            Literal::Text(_) if is_number_field => return Err(self.expected("a number")),
            Literal::Number(_) | Literal::Bool(_) if is_text_sign => {
                return Err(self.expected("a string in quotes"));
            }
            Literal::Bool(_) if is_order => return Err(self.expected("a number or a string in quotes")),
            Literal::Bool(_) | Literal::Number(_) if !is_number_field && !is_annotation => {
                return Err(self.expected("a string in quotes"));
            }
            Literal::Bool(_) if is_number_field => return Err(self.expected("a number")),
            _ => {}
        }
        self.next += 1;
        Ok(Expression::Compare(field, sign, literal))
    }

    /// `"name"` or `id(name: "…", type: "…")`.
    fn selector(&mut self) -> Result<Selector, FilterError> {
        if !self.is_word("id") {
            return Ok(Selector {
                name: Some(self.take_text()?),
                kind: None,
            });
        }
        self.next += 1;
        self.take_sign("(")?;
        let mut selector = Selector::default();
        loop {
            let slot = if self.is_word("name") {
                &mut selector.name
            } else if self.is_word("type") {
                &mut selector.kind
            } else if self.is_word("account.id") {
                return Err(self.error("account.id is not supported here"));
            } else {
                return Err(self.expected("name or type"));
            };
            self.next += 1;
            self.take_sign(":")?;
            *slot = Some(self.take_text()?);
            if !self.is_sign(",") {
                break;
            }
            self.next += 1;
        }
        self.take_sign(")")?;
        Ok(selector)
    }

    fn block(&mut self) -> Result<Option<Box<Expression>>, FilterError> {
        if !self.is_sign("{") {
            return Ok(None);
        }
        self.next += 1;
        self.in_braces = true;
        let inner = self.any()?;
        self.in_braces = false;
        self.take_sign("}")?;
        Ok(Some(Box::new(inner)))
    }
}

fn one_or(mut expressions: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    if expressions.len() == 1 {
        expressions.remove(0)
    } else {
        many(expressions)
    }
}

fn flag(word: &str) -> Option<Flag> {
    Some(match word {
        "fault" => Flag::Fault,
        "error" => Flag::Error,
        "throttle" => Flag::Throttle,
        "ok" => Flag::Ok,
        "partial" => Flag::Partial,
        "inferred" => Flag::Inferred,
        "root" => Flag::Root,
        _ => return None,
    })
}

fn field(word: &str) -> Option<Field> {
    Some(match word {
        "responsetime" => Field::ResponseTime,
        "duration" => Field::Duration,
        "http.url" => Field::HttpUrl,
        "http.method" => Field::HttpMethod,
        "http.status" => Field::HttpStatus,
        "http.useragent" => Field::HttpUserAgent,
        "http.clientip" => Field::HttpClientIp,
        "name" => Field::Name,
        "type" => Field::Type,
        "user" => Field::User,
        "instance.id" | "instanceid" => Field::InstanceId,
        "availabilityzone" => Field::AvailabilityZone,
        "resource.arn" | "resourcearn" => Field::ResourceArn,
        _ => return None,
    })
}
