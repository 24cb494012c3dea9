//! Which account fields there may be, and of what type: those that the configuration declares for a tenant, and whether
//! others are made on first use.
//!
//! Settings of the built-in mapper are held against it as the configuration is checked; what a custom mapper brings is
//! known only when it opens a table. What is stored keeps its type whatever stands here: destinations see to that. This
//! module knows no TOML, no mapper and no destination.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::batch::{AccountLayout, MatchKey, OutputField, Semantic, UserKey, ValueType};

/// The type of an account field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it, and the manual of the configuration says more")]
pub enum AccountFieldType {
    Text,
    LongText,
    Integer,
    Float,
    Percent,
    Currency,
    Boolean,
    Date,
    Datetime,
    Picklist,
    MultiPicklist,
    TextList,
    Url,
    Email,
    LookupUser,
}

impl AccountFieldType {
    const ALL: [Self; 15] = [
        Self::Text,
        Self::LongText,
        Self::Integer,
        Self::Float,
        Self::Percent,
        Self::Currency,
        Self::Boolean,
        Self::Date,
        Self::Datetime,
        Self::Picklist,
        Self::MultiPicklist,
        Self::TextList,
        Self::Url,
        Self::Email,
        Self::LookupUser,
    ];

    /// The type of the field that a mapping of this type fills; none where there is no such type.
    pub fn of_mapping(mapped: &str) -> Option<Self> {
        match mapped {
            // Another way to write a percentage, not another thing to store.
            "percent_ratio" => Some(Self::Percent),
            _ => Self::ALL.into_iter().find(|known| known.as_str() == mapped),
        }
    }

    /// As the configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::LongText => "long_text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Percent => "percent",
            Self::Currency => "currency",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Picklist => "picklist",
            Self::MultiPicklist => "multi_picklist",
            Self::TextList => "text_list",
            Self::Url => "url",
            Self::Email => "email",
            Self::LookupUser => "lookup_user",
        }
    }

    /// Whether it counts or measures something.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Percent | Self::Currency)
    }

    /// What its values mean beyond their type.
    fn semantic(self) -> Semantic {
        match self {
            Self::LongText => Semantic::LongText,
            Self::Percent => Semantic::Percent,
            Self::Currency => Semantic::Currency,
            Self::Picklist | Self::MultiPicklist => Semantic::Picklist,
            Self::Url => Semantic::Url,
            Self::Email => Semantic::Email,
            Self::LookupUser => Semantic::User(UserKey::Email),
            Self::Text | Self::Integer | Self::Float | Self::Boolean | Self::Date | Self::Datetime | Self::TextList => {
                Semantic::Plain
            }
        }
    }

    /// Whether its values are of that type.
    fn holds(self, value_type: ValueType) -> bool {
        match self {
            Self::Text | Self::LongText | Self::Picklist | Self::Url | Self::Email | Self::LookupUser => {
                value_type == ValueType::Text
            }
            Self::Integer => value_type == ValueType::Integer,
            Self::Float | Self::Percent => value_type == ValueType::Float,
            Self::Currency => matches!(value_type, ValueType::Decimal(_)),
            Self::Boolean => value_type == ValueType::Boolean,
            Self::Date => value_type == ValueType::Date,
            Self::Datetime => value_type == ValueType::Timestamp,
            Self::MultiPicklist | Self::TextList => value_type == ValueType::TextList,
        }
    }
}

impl fmt::Display for AccountFieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a field that was not declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndeclaredFields {
    /// The first file that brings it makes it.
    #[default]
    Create,
    /// It may not be brought.
    Refuse,
}

/// The account fields that an integration may bring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccountFields {
    /// Those that are declared for its tenant, by their keys.
    pub declared: BTreeMap<String, DeclaredField>,
    /// What becomes of others.
    pub undeclared: UndeclaredFields,
    /// What tells the users that fields mean, by the fields' keys, where it is not their address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users_by: BTreeMap<String, UserKey>,
}

/// What is declared of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeclaredField {
    /// What it holds.
    pub r#type: AccountFieldType,
    /// The currency, where it is an amount of money in a certain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl AccountFields {
    /// Whether everything may be brought, and stays as it is brought.
    pub fn are_open(&self) -> bool {
        self.declared.is_empty() && self.undeclared == UndeclaredFields::Create && self.users_by.is_empty()
    }

    /// Refuses what a mapper would bring of a table, if it may not. What the mapper leaves open of a declared field, its
    /// currency say, is as declared.
    pub fn apply(&self, layout: &mut AccountLayout) -> Result<(), AccountFieldError> {
        // An account that is created has the fields that it is known by.
        let matched = layout.identifiers.iter().flatten().filter_map(|key| match key {
            MatchKey::Field(field) => Some(field),
            MatchKey::CrmId | MatchKey::Domain | MatchKey::Name | MatchKey::Id => None,
        });
        let mut brought = layout.fields.iter().map(|field| &field.name).chain(matched);
        if self.undeclared == UndeclaredFields::Refuse
            && let Some(field) = brought.find(|field| !self.declared.contains_key(*field))
        {
            return Err(AccountFieldError::Undeclared { field: field.clone() });
        }
        for field in &mut layout.fields {
            if let Some(declared) = self.declared.get(&field.name) {
                declared.apply(field)?;
            }
            if let (Semantic::User(key), Some(by)) = (&mut field.semantic, self.users_by.get(&field.name)) {
                *key = *by;
            }
        }
        Ok(())
    }
}

impl DeclaredField {
    fn apply(&self, field: &mut OutputField) -> Result<(), AccountFieldError> {
        let semantic = self.r#type.semantic();
        if !self.r#type.holds(field.value_type) || ![Semantic::Plain, semantic].contains(&field.semantic) {
            return Err(AccountFieldError::OtherType { field: field.name.clone(), declared: self.r#type });
        }
        field.semantic = semantic;
        match (&field.unit, &self.unit) {
            (Some(unit), Some(declared)) if unit != declared => {
                let (unit, declared) = (unit.clone(), declared.clone());
                return Err(AccountFieldError::OtherUnit { field: field.name.clone(), unit, declared });
            }
            (Some(_), _) => {}
            (None, declared) => field.unit.clone_from(declared),
        }
        Ok(())
    }
}

/// Why a mapper's account fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountFieldError {
    /// It is not declared, and others are refused.
    #[error("the mapper brings the account field `{field}`, which is not declared")]
    Undeclared {
        /// Its key.
        field: String,
    },
    /// It is declared as something else.
    #[error(
        "the mapper brings the account field `{field}` as something else than `{declared}`, as which it is declared"
    )]
    OtherType {
        /// Its key.
        field: String,
        /// The type that is declared.
        declared: AccountFieldType,
    },
    /// It is declared in another currency.
    #[error("the mapper brings the account field `{field}` in `{unit}`, and it is declared in `{declared}`")]
    OtherUnit {
        /// Its key.
        field: String,
        /// The currency that came.
        unit: String,
        /// The currency that is declared.
        declared: String,
    },
}

impl AccountFieldError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Undeclared { field } => format!(
                "declare `{field}` in `account_fields`, or take `undeclared_fields = \"refuse\"` out of the integration"
            ),
            Self::OtherType { .. } => "mend the mapper, or the `type` in `account_fields`".to_owned(),
            Self::OtherUnit { .. } => "mend the mapper, or the `unit` in `account_fields`".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::WriteMode;

    fn layout(value_type: ValueType, unit: Option<&str>, matched: MatchKey) -> AccountLayout {
        let (name, unit) = ("arr".to_owned(), unit.map(str::to_owned));
        let field = OutputField { name, value_type, semantic: Semantic::Plain, unit, write_mode: WriteMode::Overwrite };
        AccountLayout { wanted: Vec::new(), identifiers: vec![vec![matched]], fields: vec![field] }
    }

    fn fields(declared: &[(&str, AccountFieldType, Option<&str>)], undeclared: UndeclaredFields) -> AccountFields {
        let declared = declared.iter().map(|(field, r#type, unit)| {
            ((*field).to_owned(), DeclaredField { r#type: *r#type, unit: unit.map(str::to_owned) })
        });
        AccountFields { declared: declared.collect(), undeclared, users_by: BTreeMap::new() }
    }

    #[test]
    fn what_was_not_declared_is_refused_only_where_that_is_asked_for() {
        let brought = || layout(ValueType::Integer, None, MatchKey::CrmId);
        assert_eq!(fields(&[], UndeclaredFields::Create).apply(&mut brought()), Ok(()));
        let refused = fields(&[], UndeclaredFields::Refuse).apply(&mut brought());
        assert_eq!(refused, Err(AccountFieldError::Undeclared { field: "arr".to_owned() }));
        let declared = fields(&[("arr", AccountFieldType::Integer, None)], UndeclaredFields::Refuse);
        assert_eq!(declared.apply(&mut brought()), Ok(()));
        let refused = declared.apply(&mut layout(ValueType::Integer, None, MatchKey::Field("seat".to_owned())));
        assert_eq!(refused, Err(AccountFieldError::Undeclared { field: "seat".to_owned() }));
    }

    #[test]
    fn a_declared_field_has_its_type_and_its_currency_from_every_mapper() {
        let declared = fields(&[("arr", AccountFieldType::Currency, Some("EUR"))], UndeclaredFields::Create);
        let mut open = layout(ValueType::Decimal(4), None, MatchKey::CrmId);
        assert_eq!(declared.apply(&mut open), Ok(()));
        assert_eq!((open.fields[0].semantic, open.fields[0].unit.as_deref()), (Semantic::Currency, Some("EUR")));
        let refused = |value_type, unit, semantic| {
            let mut layout = layout(value_type, unit, MatchKey::CrmId);
            layout.fields[0].semantic = semantic;
            declared.apply(&mut layout)
        };
        let (field, declared) = ("arr".to_owned(), AccountFieldType::Currency);
        let other_type = Err(AccountFieldError::OtherType { field: field.clone(), declared });
        assert_eq!(refused(ValueType::Float, None, Semantic::Currency), other_type);
        assert_eq!(refused(ValueType::Decimal(2), None, Semantic::Percent), other_type);
        let (unit, declared) = ("USD".to_owned(), "EUR".to_owned());
        let other_unit = Err(AccountFieldError::OtherUnit { field, unit, declared });
        assert_eq!(refused(ValueType::Decimal(2), Some("USD"), Semantic::Currency), other_unit);
    }

    #[test]
    fn users_are_told_by_their_address_unless_the_configuration_says_otherwise() {
        let mut declared = fields(&[("arr", AccountFieldType::LookupUser, None)], UndeclaredFields::Create);
        let mut by = |users_by: &[(&str, UserKey)]| {
            declared.users_by = users_by.iter().map(|(field, key)| ((*field).to_owned(), *key)).collect();
            let mut layout = layout(ValueType::Text, None, MatchKey::CrmId);
            declared.apply(&mut layout).unwrap();
            layout.fields[0].semantic
        };
        assert_eq!(by(&[]), Semantic::User(UserKey::Email));
        assert_eq!(by(&[("arr", UserKey::Id)]), Semantic::User(UserKey::Id));
        assert_eq!(by(&[("other", UserKey::Id)]), Semantic::User(UserKey::Email));
    }

    #[test]
    fn every_type_is_known_by_its_name() {
        for known in AccountFieldType::ALL {
            assert_eq!(AccountFieldType::of_mapping(known.as_str()), Some(known));
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
        }
        assert_eq!(AccountFieldType::of_mapping("percent_ratio"), Some(AccountFieldType::Percent));
        assert_eq!(AccountFieldType::of_mapping("number"), None);
    }
}
