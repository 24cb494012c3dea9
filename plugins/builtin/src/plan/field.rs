//! Account fields, checked.

use super::value::{Reading, Written};
use super::{Check, ColumnPlan, Presence, Which, each, join};
use crate::cell::quoted;
use crate::pattern::Pattern;
use crate::settings::{Field, FieldType, FilePart, FileSource, OnInvalid, WriteMode};

#[derive(Debug, Clone)]
pub(crate) struct FieldPlan {
    pub(crate) source: SourcePlan,
    pub(crate) name: String,
    pub(crate) semantic: Semantic,
    pub(crate) unit: Option<String>,
    pub(crate) write: WriteMode,
    pub(crate) reading: Reading<ColumnPlan>,
}

/// What a field's values mean beyond their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Semantic {
    Plain,
    LongText,
    Percent,
    Currency,
    Picklist,
    Url,
    Email,
    User,
}

/// Where a field's text comes from.
#[derive(Debug, Clone)]
pub(crate) enum SourcePlan {
    Column(ColumnPlan),
    Constant(String),
    Template(Vec<Piece<ColumnPlan>>),
    Coalesce(Vec<ColumnPlan>),
    File { part: FilePart, taken: Option<Pattern>, path: String },
}

/// A piece of a template. Columns are told by `C`: a plan of a column first, then a header index.
#[derive(Debug, Clone)]
pub(crate) enum Piece<C> {
    Literal(String),
    Column(C),
}

impl Check {
    pub(super) fn field(&mut self, path: &str, field: &Field) -> Option<FieldPlan> {
        let source = self.source(path, field);
        let name = self.key(path, "field", &field.field);
        let r#type = self.required(path, "type", &field.r#type);
        if let Some(unit) = &field.unit
            && !(unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            self.report(&join(path, "unit"), "bad_setting", "is not three capital letters");
        }
        let written = Written {
            number: field.number.as_ref(),
            boolean: field.boolean.as_ref(),
            formats: field.formats.as_deref(),
            separator: field.separator.as_deref(),
            scale: field.scale,
            round: field.round == Some(true),
        };
        // Each part is looked at, whatever is wrong with the others.
        let parts = self.parts(path, &written);
        let r#type = r#type?;
        self.misplaced(path, field, r#type);
        let reading = self.reading(path, field, r#type, parts);
        let semantic = match r#type {
            FieldType::LongText => Semantic::LongText,
            FieldType::Percent | FieldType::PercentRatio => Semantic::Percent,
            FieldType::Currency => Semantic::Currency,
            FieldType::Picklist | FieldType::MultiPicklist => Semantic::Picklist,
            FieldType::Url => Semantic::Url,
            FieldType::Email => Semantic::Email,
            FieldType::LookupUser => Semantic::User,
            FieldType::Text
            | FieldType::Integer
            | FieldType::Float
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::Datetime
            | FieldType::TextList => Semantic::Plain,
        };
        let write = field.write.unwrap_or_default();
        Some(FieldPlan { source: source?, name: name?, semantic, unit: field.unit.clone(), write, reading: reading? })
    }

    /// Where the text comes from: exactly one of several keys says it.
    fn source(&mut self, path: &str, field: &Field) -> Option<SourcePlan> {
        let said = [
            ("column", field.column.is_some()),
            ("index", field.index.is_some()),
            ("constant", field.constant.is_some()),
            ("template", field.template.is_some()),
            ("coalesce", field.coalesce.is_some()),
            ("file", field.file.is_some()),
        ];
        let mut said = said.iter().filter(|(_, is_set)| *is_set).map(|(key, _)| *key);
        let first = said.next();
        let others: Vec<&str> = said.collect();
        for other in &others {
            let what = format!("and `{}` cannot both say where the value comes from", first.unwrap_or_default());
            self.report(&join(path, other), "misplaced_setting", &what);
        }
        let of_columns = matches!(first, None | Some("column" | "index"));
        self.belongs(path, "aliases", field.aliases.is_some(), of_columns);
        let may_lack = of_columns || matches!(first, Some("template" | "coalesce"));
        self.belongs(path, "optional", field.optional.is_some(), may_lack);
        if !others.is_empty() {
            return None;
        }
        let presence = if field.optional == Some(true) { Presence::Optional } else { Presence::Required };
        let named =
            |path: String, name: &str| ColumnPlan { which: Which::Named(vec![name.to_owned()]), path, presence };
        if let Some(constant) = &field.constant {
            if constant.trim().is_empty() {
                self.report(&join(path, "constant"), "bad_setting", "is blank");
                return None;
            }
            return Some(SourcePlan::Constant(constant.clone()));
        }
        if let Some(template) = &field.template {
            let path = join(path, "template");
            let found = pieces(template).and_then(|pieces| {
                match pieces.iter().any(|piece| matches!(piece, Piece::Column(_))) {
                    true => Ok(pieces),
                    false => Err("names no column in braces".to_owned()),
                }
            });
            let found: Vec<Piece<String>> = found.map_err(|what| self.report(&path, "bad_setting", &what)).ok()?;
            let piece = |piece: Piece<String>| match piece {
                Piece::Literal(literal) => Piece::Literal(literal),
                Piece::Column(name) => Piece::Column(named(path.clone(), &name)),
            };
            return Some(SourcePlan::Template(found.into_iter().map(piece).collect()));
        }
        if let Some(columns) = &field.coalesce {
            let path = join(path, "coalesce");
            return self.names(&path, columns).map(|()| {
                let column = |(place, name): (usize, &String)| named(format!("{path}[{place}]"), name);
                SourcePlan::Coalesce(columns.iter().enumerate().map(column).collect())
            });
        }
        if let Some(file) = &field.file {
            return self.file(&join(path, "file"), file);
        }
        self.column_reference(path, &field.column, field.aliases.as_deref(), field.index, presence)
            .map(SourcePlan::Column)
    }

    /// Names of columns, at least one, each once.
    pub(super) fn names(&mut self, path: &str, names: &[String]) -> Option<()> {
        if names.is_empty() {
            self.report(path, "bad_setting", "is empty");
            return None;
        }
        each(names, |place, name| {
            let what = match (name.is_empty(), names[..place].contains(name)) {
                (true, _) => "names no column".to_owned(),
                (_, true) => format!("{} stands there twice", quoted(name)),
                _ => return Some(()),
            };
            self.report(&format!("{path}[{place}]"), "bad_setting", &what);
            None
        })
        .map(|_| ())
    }

    pub(super) fn file(&mut self, path: &str, file: &FileSource) -> Option<SourcePlan> {
        let part = self.required(path, "part", &file.part)?;
        let taken = match &file.regex {
            None => None,
            Some(_) if part == FilePart::Row => {
                self.report(
                    &join(path, "regex"),
                    "misplaced_setting",
                    "says nothing here, it is for the key and the sheet",
                );
                return None;
            }
            Some(regex) => Some(self.pattern(&join(path, "regex"), regex, Pattern::parse_taking)?),
        };
        Some(SourcePlan::File { part, taken, path: path.to_owned() })
    }

    /// A key that says nothing for its type is a mistake that would else go unnoticed.
    fn misplaced(&mut self, path: &str, field: &Field, r#type: FieldType) {
        use FieldType::*;
        let is = |types: &[FieldType]| types.contains(&r#type);
        let numbers = is(&[Integer, Float, Percent, PercentRatio, Currency]);
        let texts = is(&[Text, LongText, Picklist, Url, Email, LookupUser]);
        let lists = is(&[TextList, MultiPicklist]);
        let dates = is(&[Date, Datetime]);
        for (key, is_set, belongs) in [
            ("unit", field.unit.is_some(), is(&[Currency])),
            ("scale", field.scale.is_some(), is(&[Currency])),
            ("round", field.round.is_some(), is(&[Currency])),
            ("number", field.number.is_some(), numbers),
            ("boolean", field.boolean.is_some(), is(&[Boolean])),
            ("formats", field.formats.is_some(), dates),
            ("separator", field.separator.is_some(), lists),
            ("min", field.min.is_some(), numbers || dates),
            ("max", field.max.is_some(), numbers || dates),
            ("min_length", field.min_length.is_some(), texts),
            ("max_length", field.max_length.is_some(), texts),
            ("regex", field.regex.is_some(), texts || lists),
            ("allowed", field.allowed.is_some(), texts || lists),
        ] {
            self.belongs(path, key, is_set, belongs);
        }
        if field.write == Some(WriteMode::Append) && !lists {
            self.report(&join(path, "write"), "misplaced_setting", "can `append` to lists only");
        }
        use crate::settings::PercentSign;
        let percent = field.number.as_ref().and_then(|number| number.percent);
        let contradiction = match (r#type, percent) {
            (Percent, Some(PercentSign::Hundredth)) => "`12%` is 12 in a percentage",
            (PercentRatio, Some(PercentSign::Ignore)) => "in a ratio `12%` can only be a `hundredth`",
            _ => return,
        };
        self.report(&join(path, "number.percent"), "bad_setting", contradiction);
    }

    /// What a blank cell and one that does not read come to must not contradict each other.
    pub(super) fn outcomes(&mut self, path: &str, field: &Field) {
        use crate::settings::{DefaultOn, OnBlank};
        let fills_blanks = field.default.is_some() && field.default_on != Some(DefaultOn::Invalid);
        let clears = field.on_blank == Some(OnBlank::Clear);
        let required = field.required == Some(true);
        let contradictions = [
            ("default_on", field.default_on.is_some() && field.default.is_none(), "there is no `default`"),
            (
                "on_invalid",
                field.on_invalid == Some(OnInvalid::Default) && field.default.is_none(),
                "there is no `default`",
            ),
            (
                "default_on",
                field.default_on == Some(DefaultOn::Invalid)
                    && field.on_invalid.is_some_and(|on_invalid| on_invalid != OnInvalid::Default),
                "`on_invalid` says something else of the same cells",
            ),
            ("on_blank", clears && fills_blanks, "`default` fills the blank cells, so that none is left to clear"),
            ("required", required && fills_blanks, "`default` fills the blank cells, so that none is left to refuse"),
            ("required", required && clears, "`on_blank = \"clear\"` has another use for blank cells"),
            (
                "required",
                required && field.clear_token.is_some(),
                "`clear_token` stands for no value, which is refused",
            ),
            (
                "required",
                required && field.on_invalid == Some(OnInvalid::NullField),
                "`on_invalid = \"null_field\"` lets a refused cell pass",
            ),
        ];
        for (key, is_contradiction, what) in contradictions {
            if is_contradiction {
                self.report(&join(path, key), "contradiction", what);
            }
        }
    }
}

/// Takes a template apart; columns stand in braces, and two braces are one.
fn pieces(template: &str) -> Result<Vec<Piece<String>>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        literal.push_str(before);
        rest = &brace[1..];
        if rest.starts_with(&brace[..1]) {
            literal.push_str(&brace[..1]);
            rest = &rest[1..];
            continue;
        }
        if brace.starts_with('}') {
            return Err("has a `}` without `{`; `}}` is a brace".to_owned());
        }
        let (name, after) = rest.split_once('}').ok_or("has a `{` without `}`; `{{` is a brace")?;
        if name.is_empty() || name.contains('{') {
            return Err("has braces that name no column".to_owned());
        }
        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        pieces.push(Piece::Column(name.to_owned()));
        rest = after;
    }
    literal.push_str(rest);
    pieces.push(Piece::Literal(literal));
    pieces.retain(|piece| !matches!(piece, Piece::Literal(literal) if literal.is_empty()));
    Ok(pieces)
}
