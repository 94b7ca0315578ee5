//! Groups: filter expressions with a name. CreateGroup, GetGroup, GetGroups, UpdateGroup, DeleteGroup.
//!
//! Fields and limits are the model's. That there is a group `Default` for everything, which has no filter and stays, is
//! what clients see at X-Ray. The texts of refusals and the most groups are **believed**. Unlike X-Ray's, a group here
//! also holds what came before it was made.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::filter::{Filter, FilterError, GroupRef};
use crate::request::{ARN, bounded, first_page_of, read, required};

/// The group of everything.
const DEFAULT: &str = "Default";

/// The most groups, by the service's quotas.
const MAX_GROUPS: usize = 25;

/// All groups, in the order they were made.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// How many were ever made: what tells the ARNs of two of one name apart.
    made: u64,
}

#[derive(Debug, Clone)]
struct Group {
    name: String,
    arn: String,
    expression: Option<String>,
    filter: Filter,
    insights: Insights,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Insights {
    #[serde(default)]
    insights_enabled: bool,
    #[serde(default)]
    notifications_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    group_name: Option<String>,
    #[serde(rename = "GroupARN")]
    group_arn: Option<String>,
    filter_expression: Option<String>,
    insights_configuration: Option<Insights>,
}

impl Insights {
    fn checked(self) -> Result<Self, Answer> {
        if self.notifications_enabled && !self.insights_enabled {
            return Err(Answer::invalid(
                "NotificationsEnabled needs InsightsEnabled to be true",
            ));
        }
        Ok(self)
    }
}

impl Group {
    fn answer(&self) -> Value {
        let mut answer = json!({
            "GroupName": self.name,
            "GroupARN": self.arn,
            "InsightsConfiguration": {
                "InsightsEnabled": self.insights.insights_enabled,
                "NotificationsEnabled": self.insights.notifications_enabled,
            },
        });
        if let Some(expression) = &self.expression {
            answer["FilterExpression"] = json!(expression);
        }
        answer
    }

    fn set_expression(&mut self, expression: String) -> Result<(), Answer> {
        // A group cannot name another one, so that none depends on itself.
        self.filter = Filter::parse(&expression).map_err(|error| Answer::invalid(&error.to_string()))?;
        self.expression = Some(expression);
        Ok(())
    }
}

impl Groups {
    /// With `Default` alone.
    pub(crate) fn new() -> Self {
        let everything = Group {
            name: DEFAULT.to_owned(),
            arn: format!("{ARN}:group/{DEFAULT}"),
            expression: None,
            filter: Filter::everything(),
            insights: Insights::default(),
        };
        Self {
            groups: vec![everything],
            made: 0,
        }
    }

    /// Reads an expression in which groups may be named.
    ///
    /// # Errors
    /// As [`Filter::parse_with`].
    pub(crate) fn filter(&self, text: &str) -> Result<Filter, FilterError> {
        Filter::parse_with(text, &|group| self.find(group).map(|group| group.filter.clone()))
    }

    /// Reads what a person asks for, in which groups may be named.
    ///
    /// # Errors
    /// As [`Filter::parse_question`].
    pub(crate) fn question(&self, text: &str) -> Result<Filter, FilterError> {
        Filter::parse_question(text, &|group| self.find(group).map(|group| group.filter.clone()))
    }

    /// The filter that a request means by `GroupName` or `GroupARN`; without both, everything.
    ///
    /// # Errors
    /// The answer when there is no such group.
    pub(crate) fn named(&self, name: Option<&str>, arn: Option<&str>) -> Result<&Filter, Answer> {
        let at = match (name, arn) {
            (None, None) => 0,
            _ => self.place(name, arn)?,
        };
        Ok(&self.groups[at].filter)
    }

    /// Whether there is a group with this ARN.
    pub(crate) fn has_arn(&self, arn: &str) -> bool {
        self.find(GroupRef::Arn(arn)).is_some()
    }

    /// `CreateGroup`; with the ARN of the new group.
    pub(crate) fn create(&mut self, body: &[u8]) -> Result<(Value, String), Answer> {
        let request: Request = read(body)?;
        let name = required(request.group_name, "GroupName")?;
        bounded(&name, "GroupName", 1, 32)?;
        if self.find(GroupRef::Name(&name)).is_some() {
            return Err(Answer::invalid(&format!("A group named {name} exists")));
        }
        if self.groups.len() > MAX_GROUPS {
            return Err(Answer::invalid(&format!(
                "There are {MAX_GROUPS} groups, and no more are allowed"
            )));
        }
        let mut group = Group {
            arn: format!("{ARN}:group/{name}/{:032X}", self.made + 1),
            name,
            expression: None,
            filter: Filter::everything(),
            insights: request.insights_configuration.unwrap_or_default().checked()?,
        };
        if let Some(expression) = request.filter_expression {
            group.set_expression(expression)?;
        }
        self.made += 1;
        let (answer, arn) = (group.answer(), group.arn.clone());
        self.groups.push(group);
        Ok((json!({ "Group": answer }), arn))
    }

    /// `UpdateGroup`.
    pub(crate) fn update(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let request: Request = read(body)?;
        let at = self.place(request.group_name.as_deref(), request.group_arn.as_deref())?;
        let group = &mut self.groups[at];
        if let Some(insights) = request.insights_configuration {
            group.insights = insights.checked()?;
        }
        if let Some(expression) = request.filter_expression {
            if group.name == DEFAULT {
                return Err(Answer::invalid("The default group has no filter expression"));
            }
            group.set_expression(expression)?;
        }
        Ok(json!({ "Group": group.answer() }))
    }

    /// `DeleteGroup`; with the ARN of the group that is gone.
    pub(crate) fn delete(&mut self, body: &[u8]) -> Result<(Value, String), Answer> {
        let request: Request = read(body)?;
        let at = self.place(request.group_name.as_deref(), request.group_arn.as_deref())?;
        if self.groups[at].name == DEFAULT {
            return Err(Answer::invalid("The default group can't be deleted"));
        }
        Ok((json!({}), self.groups.remove(at).arn))
    }

    /// `GetGroup`.
    pub(crate) fn get(&self, body: &[u8]) -> Result<Value, Answer> {
        let request: Request = read(body)?;
        let at = self.place(request.group_name.as_deref(), request.group_arn.as_deref())?;
        Ok(json!({ "Group": self.groups[at].answer() }))
    }

    /// `GetGroups`, on one page.
    pub(crate) fn all(&self, body: &[u8]) -> Result<Value, Answer> {
        first_page_of(body)?;
        let groups: Vec<Value> = self.groups.iter().map(Group::answer).collect();
        Ok(json!({ "Groups": groups }))
    }

    fn find(&self, group: GroupRef<'_>) -> Option<&Group> {
        self.groups.iter().find(|own| match group {
            GroupRef::Name(name) => own.name == name,
            GroupRef::Arn(arn) => own.arn == arn,
        })
    }

    /// The guide names one group by both.
    fn place(&self, name: Option<&str>, arn: Option<&str>) -> Result<usize, Answer> {
        if name.is_none() && arn.is_none() {
            return Err(Answer::invalid("GroupName or GroupARN is required"));
        }
        let is_meant = |group: &Group| {
            name.is_none_or(|name| name == group.name) && arn.is_none_or(|arn| arn == group.arn)
        };
        self.groups.iter().position(is_meant).ok_or_else(|| {
            let shown = name.or(arn).unwrap_or_default();
            Answer::invalid(&format!("There is no group {shown:?}"))
        })
    }
}
