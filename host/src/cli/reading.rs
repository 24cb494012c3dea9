//! How a file of this machine is read, where no integration says it.

use clap::Args;

use crate::decode::{Caps, CsvOptions, DecodeOptions, Encoding, Header, Sheets};

/// How a file is read, where it is not as most are.
#[derive(Debug, Clone, Args)]
pub struct Reading {
    /// What stands between cells; `\t` is a tab.
    #[arg(long, value_parser = parse_character, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// What stands around cells; `none` for nothing.
    #[arg(long, value_parser = parse_quote, value_name = "CHARACTER")]
    quote: Option<Quote>,
    /// What stands before a quote that is part of a cell.
    #[arg(long, value_parser = parse_character, value_name = "CHARACTER")]
    escape: Option<char>,
    /// The first row is a row like the others.
    #[arg(long)]
    no_header: bool,
    /// Lines (in a workbook: rows) before the header.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip_rows: u32,
    /// The text encoding, as the web names it: utf-8, windows-1252, shift_jis.
    #[arg(long)]
    encoding: Option<Encoding>,
    /// The worksheet, by name or by place from 1; `all` for all.
    #[arg(long)]
    sheet: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Quote(Option<char>);

fn parse_character(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) if character.is_ascii() => Ok(character),
        _ => Err("expected one ASCII character".to_owned()),
    }
}

fn parse_quote(text: &str) -> Result<Quote, String> {
    match text {
        "none" => Ok(Quote(None)),
        text => parse_character(text).map(|character| Quote(Some(character))),
    }
}

impl Reading {
    /// The decoder's options.
    pub fn options(&self) -> DecodeOptions {
        let mut options = DecodeOptions { caps: Caps::default(), ..DecodeOptions::default() };
        let header = if self.no_header { Header::None } else { Header::Row };
        let standard = CsvOptions::default();
        options.csv = CsvOptions {
            delimiter: self.delimiter.unwrap_or(standard.delimiter),
            quote: self.quote.map_or(standard.quote, |quote| quote.0),
            escape: self.escape,
            header,
            skip_rows: self.skip_rows,
            encoding: self.encoding.unwrap_or(standard.encoding),
            ..standard
        };
        options.workbook.header = header;
        if self.skip_rows > 0 {
            options.workbook.first_row = Some(self.skip_rows + 1);
        }
        options.workbook.sheets = match &self.sheet {
            None => Sheets::First,
            Some(name) if name == "all" => Sheets::All,
            Some(name) => name.parse().map_or_else(|_| Sheets::Name(name.clone()), Sheets::Index),
        };
        options
    }
}
