//! The checks of field mapping.

use super::{
    Checked, Scope, bad, bitmap, doubled, identifier_columns, identifiers, issues, name, rows, value_type, values,
    wanted,
};
use crate::batch::{AccountBatch, AccountLayout, FieldColumn, OutputField, Semantic, UserKey, ValueType, WriteMode};
use crate::mapper::bindings::field_mapping as raw;

/// Output fields of one layout.
const FIELDS: usize = 4096;

/// A layout for a header of `columns` names.
pub(in crate::mapper) fn layout(layout: raw::Layout, columns: usize) -> Checked<AccountLayout> {
    let checked = || {
        if layout.fields.len() > FIELDS {
            return bad(format!("{} fields: {FIELDS} is the most", layout.fields.len()));
        }
        let fields = layout.fields.into_iter().map(field).collect::<Checked<Vec<_>>>()?;
        if let Some(name) = doubled(fields.iter().map(|field| field.name.as_str())) {
            return bad(format!("field `{name}` stands there twice"));
        }
        let identifiers = identifiers(layout.identifiers)?;
        Ok(AccountLayout { wanted: wanted(layout.wanted, columns)?, identifiers, fields })
    };
    checked().map_err(|bad| bad.of("layout"))
}

fn field(field: raw::OutputField) -> Checked<OutputField> {
    let name_of_field = name(field.name, "field name")?;
    let named = |bad: crate::mapper::error::Bad| bad.of(format_args!("field `{name_of_field}`"));
    let value_type = value_type(field.value_type).map_err(named)?;
    let write_mode = match field.write_mode {
        raw::WriteMode::Overwrite => WriteMode::Overwrite,
        raw::WriteMode::IfEmpty => WriteMode::IfEmpty,
        raw::WriteMode::Append if value_type == ValueType::TextList => WriteMode::Append,
        raw::WriteMode::Append => return bad("only lists can be appended to").map_err(named),
    };
    let semantic = match field.semantic {
        raw::Semantic::Plain => Semantic::Plain,
        raw::Semantic::LongText => Semantic::LongText,
        raw::Semantic::Percent => Semantic::Percent,
        raw::Semantic::Currency => Semantic::Currency,
        raw::Semantic::Picklist => Semantic::Picklist,
        raw::Semantic::Url => Semantic::Url,
        raw::Semantic::Email => Semantic::Email,
        // The contract does not say how users are told; the integration does, where it is not by their address.
        raw::Semantic::User => Semantic::User(UserKey::Email),
    };
    let unit = field.unit.map(|unit| name(unit, "unit")).transpose().map_err(named)?;
    Ok(OutputField { name: name_of_field, value_type, semantic, unit, write_mode })
}

/// A batch of the table that `layout` is for.
pub(in crate::mapper) fn batch(
    batch: raw::AccountBatch,
    layout: &AccountLayout,
    scope: &Scope,
) -> Checked<AccountBatch> {
    rows(&batch.rows, scope)?;
    let records = batch.rows.len();
    let identifiers = identifier_columns(batch.identifiers, &layout.identifiers, records)?;
    if batch.fields.len() != layout.fields.len() {
        return bad(format!(
            "{} field columns where the layout has {} fields",
            batch.fields.len(),
            layout.fields.len()
        ));
    }
    let column = |(column, field): (raw::FieldColumn, &OutputField)| {
        let checked = || {
            let values = values(column.column, field.value_type, records)?;
            let clear = column.clear.map(|bits| bitmap(bits, records, "clear")).transpose()?;
            Ok(FieldColumn { values, clear })
        };
        checked().map_err(|bad: crate::mapper::error::Bad| bad.of(format_args!("field `{}`", field.name)))
    };
    let fields = batch.fields.into_iter().zip(&layout.fields).map(column).collect::<Checked<_>>()?;
    Ok(AccountBatch { rows: batch.rows, identifiers, fields, issues: issues(batch.issues, scope)? })
}
