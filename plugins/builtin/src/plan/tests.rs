use super::*;
use crate::cell::{Excess, NumberFormat, Precision, Reader};
use crate::settings::{Aggregate, Match, Weekday};

/// Settings and what `check` says of them, one line a fault.
fn check_settings(settings: &str, expected: &[&str]) {
    let found: Vec<String> =
        check(settings).into_iter().map(|fault| format!("{} {}", fault.code, fault.message)).collect();
    assert_eq!(found, expected, "{settings}");
}

/// Settings with one good identifier.
fn with_identifier(rest: &str) -> String {
    format!(r#"{{"identifiers":[{{"column":"Account ID","match":"crm_id"}}],{rest}}}"#)
}

/// Settings with one good identifier and one field.
fn with_field(field: &str) -> String {
    with_identifier(&format!(r#""fields":[{field}]"#))
}

#[test]
fn the_shortest_settings_are_good() {
    check_settings(&with_field(r#"{"column":"ARR","field":"arr","type":"currency"}"#), &[]);
    let usage = r#""usage":[{"product":"Core","period":"monthly","date":{"column":"Month","formats":["%m/%Y"]},
        "metrics":[{"column":"MAU","metric":"mau"},{"column":"API calls","metric":"api_calls","aggregate":"sum"}]}]"#;
    check_settings(&with_identifier(usage), &[]);
}

#[test]
fn defaults_are_filled_in() {
    let plan = Plan::read(&with_identifier(
        r#""fields":[{"column":"a","field":"a","type":"currency"}],
           "usage":[{"product":"Core","period":"weekly","metrics":[{"column":"b","metric":"b"}]}]"#,
    ))
    .unwrap();
    let cents = Precision { scale: 2, excess: Excess::Reject };
    assert!(plan.fields[0].reading.shape.is_none(), "the shortest way is the fastest");
    assert_eq!(plan.fields[0].reading.reader, Reader::Decimal(cents, NumberFormat::CANONICAL));
    assert_eq!(plan.usage[0].week_start, Weekday::Monday);
    let ValuesPlan::Wide(metrics) = &plan.usage[0].values else { panic!("{:?}", plan.usage[0].values) };
    assert_eq!(metrics[0].aggregate, Aggregate::Last);
    assert_eq!(metrics[0].reading.reader, Reader::Float(NumberFormat::CANONICAL));
}

#[test]
fn an_identifier_matches_a_key_of_the_account_or_a_field_of_its_own() {
    let key = |text: &str| Match::try_from(text.to_owned());
    assert_eq!(key("crm_id"), Ok(Match::CrmId));
    assert_eq!(key("domain"), Ok(Match::Domain));
    assert_eq!(key("name"), Ok(Match::Name));
    assert_eq!(key("id"), Ok(Match::Id));
    assert_eq!(key("field:legacy_id"), Ok(Match::Field("legacy_id".into())));
    assert!(key("field:").is_err() && key("field: x").is_err() && key("CRM_ID").is_err());
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_path_and_an_example() {
    check_settings(
        r#"{"identifiers":[{"column":5,"match":"salesforce"}],
            "fields":[{"column":"ARR","field":"arr","type":"curency"},
                      {"colunm":"a","field":"b","type":"text","number":{"decimel":","}},
                      "nonsense"],
            "usage":[{"product":"Core","period":"hourly","date":{"column":"d","formats":["%m/%d",7]},
                      "metrics":[{"column":"MAU","metric":"mau","aggregate":"median"},{"metric":" x"}]}],
            "extra":true}"#,
        &[
            "bad_setting `extra`: unknown field `extra`, expected one of `identifiers`, `matching`, `fields`, \
             `usage`, `zone`",
            "bad_setting `fields[0].type`: unknown variant `curency`, expected one of `text`, `long_text`, `integer`, \
             `float`, `percent`, `percent_ratio`, `currency`, `boolean`, `date`, `datetime`, `picklist`, \
             `multi_picklist`, `text_list`, `url`, `email`, `lookup_user`, for example `type = \"text\"`",
            "bad_setting `fields[1].colunm`: unknown field `colunm`, expected one of `column`, `aliases`, `index`, `constant`, \
             `template`, `coalesce`, `file`, `field`, `type`, `optional`, `unit`, `scale`, `round`, `number`, `boolean`, \
             `formats`, `separator`, `transforms`, `null_tokens`, `default`, `default_on`, `on_blank`, `clear_token`, \
             `write`, `required`, `on_invalid`, `min`, `max`, `min_length`, `max_length`, `regex`, `allowed`",
            "bad_setting `fields[1].number.decimel`: unknown field `decimel`, expected one of `decimal`, `group`, \
             `symbols`, `percent`, `parentheses`, `trailing_minus`",
            "bad_setting `fields[2]`: invalid type: string \"nonsense\", expected struct Field, for example \
             `fields = [{ column = \"ARR\", field = \"arr\", type = \"currency\" }]`",
            "bad_setting `identifiers[0].column`: invalid type: integer `5`, expected a string, for example \
             `column = \"Account ID\"`",
            "bad_setting `identifiers[0].match`: `salesforce` is not one of `crm_id`, `domain`, `name`, `id` and \
             `field:` with the key of an account field, for example \
             `identifiers = [{ column = \"Account ID\", match = \"crm_id\" }]`",
            "bad_setting `usage[0].date.formats[1]`: invalid type: integer `7`, expected a string, for example \
             `formats = [\"%d.%m.%Y\"]`",
            "bad_setting `usage[0].metrics[0].aggregate`: unknown variant `median`, expected one of `sum`, `last`, \
             `max`, `min`, `avg`, `count`, for example `aggregate = \"sum\"`",
            "bad_setting `usage[0].period`: unknown variant `hourly`, expected one of `single`, `daily`, `weekly`, \
             `monthly`, `quarterly`, `yearly`, for example `period = \"monthly\"`",
            "missing_setting `fields[1].column`: is missing, for example `column = \"Account ID\"`",
            "misplaced_setting `fields[1].number`: says nothing here, it is for numbers, for example \
             `number = { decimal = \",\", group = \".\" }`",
            "missing_setting `usage[0].metrics[1].column`: is missing, for example `column = \"Account ID\"`",
            "bad_setting `usage[0].metrics[1].metric`: ` x` is not a name: 1 to 255 bytes, no control characters, no \
             blanks at its ends, for example `usage = [{ product = \"Core\", period = \"monthly\", metrics = \
             [{ column = \"MAU\", metric = \"mau\" }] }]`",
        ],
    );
}

#[test]
fn every_format_that_is_none_is_reported() {
    let settings = with_field(r#"{"column":"a","field":"a","type":"date","formats":["%m/%d","%Y","%Q"]}"#);
    check_settings(
        &settings,
        &[
            "bad_setting `fields[0].formats[0]`: `%m/%d` is not a date format: it has no year (`%Y`), for example \
             `formats = [\"%d.%m.%Y\"]`",
            "bad_setting `fields[0].formats[2]`: `%Q` is not a date format: `%Q` is not a directive, for example \
             `formats = [\"%d.%m.%Y\"]`",
        ],
    );
}

#[test]
fn what_is_not_an_object_is_refused() {
    check_settings("[]", &["bad_setting the settings are not a JSON object"]);
    assert_eq!(check("{").len(), 1);
    assert_eq!(check(&"[".repeat(100_000)).len(), 1);
}

#[test]
fn what_must_be_there_is_asked_for() {
    check_settings(
        "{}",
        &[
            "missing_setting `identifiers`: is missing, for example \
         `identifiers = [{ column = \"Account ID\", match = \"crm_id\" }]`",
            "nothing_mapped `fields`: neither a field nor usage is mapped, for example \
         `fields = [{ column = \"ARR\", field = \"arr\", type = \"currency\" }]`",
        ],
    );
    let codes = |settings: &str| check(settings).iter().map(|fault| fault.code).collect::<Vec<_>>();
    let missing = "missing_setting";
    assert_eq!(codes(&with_field("{}")), [missing; 3]);
    assert_eq!(codes(&with_identifier(r#""usage":[{}]"#)), [missing; 3]);
    assert_eq!(
        codes(&with_identifier(r#""usage":[{"product":"a","period":"daily","date":{},"metrics":[{}]}]"#)),
        [missing; 3]
    );
    assert_eq!(
        codes(
            r#"{"identifiers":[{"column":"a","match":"id"},{"column":"b","match":"id"},{"column":"a","match":"id"}],
                  "fields":[{"column":"c","field":"c","type":"text"}]}"#
        ),
        ["duplicate_identifier"]
    );
    let nine = [r#"{"index":1,"match":"id"}"#; 9].join(",").replacen("1", "2", 1);
    let nine = format!(r#"{{"identifiers":[{nine}],"fields":[{{"column":"c","field":"c","type":"text"}}]}}"#);
    assert!(codes(&nine).contains(&"too_many_identifiers"));
}

/// Each case is one field with one thing wrong: the key at fault, and its code.
#[test]
fn a_key_out_of_place_or_out_of_range_is_refused() {
    for (field, key, code) in [
        (r#""type":"text","unit":"EUR""#, "unit", "misplaced_setting"),
        (r#""type":"float","scale":2"#, "scale", "misplaced_setting"),
        (r#""type":"integer","round":true"#, "round", "misplaced_setting"),
        (r#""type":"date","number":{"decimal":","}"#, "number", "misplaced_setting"),
        (r#""type":"text","boolean":{"true":["ja"]}"#, "boolean", "misplaced_setting"),
        (r#""type":"text","formats":["%Y"]"#, "formats", "misplaced_setting"),
        (r#""type":"text","separator":";""#, "separator", "misplaced_setting"),
        (r#""type":"currency","unit":"euro""#, "unit", "bad_setting"),
        (r#""type":"currency","scale":19"#, "scale", "bad_setting"),
        (r#""type":"currency","scale":-1"#, "scale", "bad_setting"),
        (r#""type":"text_list","separator":"""#, "separator", "bad_setting"),
        (r#""type":"date","formats":[]"#, "formats", "bad_setting"),
        (r#""type":"float","number":{"decimal":"."  ,"group":"."}"#, "number.group", "bad_setting"),
        (r#""type":"float","number":{"group":"."}"#, "number.group", "bad_setting"),
        (r#""type":"float","number":{"decimal":"٫"}"#, "number.decimal", "bad_setting"),
        (r#""type":"float","number":{"decimal":",,"}"#, "number.decimal", "bad_setting"),
        (r#""type":"float","number":{"decimal":"e"}"#, "number.decimal", "bad_setting"),
        (r#""type":"float","number":{"group":"-"}"#, "number.group", "bad_setting"),
        (r#""type":"float","number":{"group":"0"}"#, "number.group", "bad_setting"),
        (r#""type":"boolean","boolean":{"true":[]}"#, "boolean.true", "bad_setting"),
        (r#""type":"boolean","boolean":{"false":["YES"]}"#, "boolean.false", "bad_setting"),
        (r#""type":"boolean","boolean":{"false":[""]}"#, "boolean.false", "bad_setting"),
    ] {
        let faults = check(&with_field(&format!(r#"{{"column":"a","field":"a",{field}}}"#)));
        let [fault] = faults.as_slice() else { panic!("{field}: {faults:?}") };
        assert_eq!(fault.code, code, "{field}");
        assert!(fault.message.starts_with(&format!("`fields[0].{key}`: ")), "{field}: {fault}");
        assert!(fault.message.contains(", for example `"), "{field}: {fault}");
    }
    check_settings(
        &with_field(r#"{"column":"a","field":"a","type":"float","number":{"decimal":",","group":" "}}"#),
        &[],
    );
}

#[test]
fn texts_and_booleans_cannot_be_summed() {
    let usage = |metric: &str| {
        with_identifier(&format!(
            r#""usage":[{{"product":"a","period":"daily","metrics":[{{"column":"a","metric":"a",{metric}}}]}}]"#
        ))
    };
    check_settings(&usage(r#""type":"text","aggregate":"count""#), &[]);
    for (metric, key) in [
        (r#""type":"text","aggregate":"sum""#, "metrics[0].aggregate"),
        (r#""type":"boolean","aggregate":"avg""#, "metrics[0].aggregate"),
        (r#""type":"text","number":{}"#, "metrics[0].number"),
        (r#""boolean":{}"#, "metrics[0].boolean"),
    ] {
        let faults = check(&usage(metric));
        assert!(
            matches!(faults.as_slice(), [fault] if fault.message.starts_with(&format!("`usage[0].{key}`"))),
            "{faults:?}"
        );
    }
    let settings = usage(r#""unit":"GB""#).replace(r#""period":"daily""#, r#""period":"daily","week_start":"sunday""#);
    assert!(matches!(check(&settings).as_slice(), [fault] if fault.code == "misplaced_setting"));
}

#[test]
fn two_columns_never_write_one_field_or_metric() {
    let field = r#"{"column":"a","field":"a","type":"text"}"#;
    check_settings(
        &with_field(&format!("{field},{field}")),
        &["duplicate_field `fields[1].field`: `fields[0]` writes this field already, for example \
         `fields = [{ column = \"ARR\", field = \"arr\", type = \"currency\" }]`"],
    );
    let block =
        |period: &str| format!(r#"{{"product":"a","period":"{period}","metrics":[{{"column":"a","metric":"a"}}]}}"#);
    let codes = |blocks: &[String]| {
        let settings = with_identifier(&format!(r#""usage":[{}]"#, blocks.join(",")));
        check(&settings).iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&[block("daily"), block("daily")]), ["duplicate_metric"]);
    assert!(codes(&[block("daily"), block("weekly")]).is_empty());
}

#[test]
fn a_table_is_not_opened_with_faulty_settings() {
    let fault = first_fault(r#"{"fields":[{}]}"#).unwrap_err();
    assert_eq!(fault.code, "missing_setting");
    assert!(fault.message.ends_with("(and 3 more)"), "{fault}");
}

/// Each case is one identifier with one thing wrong: the key at fault, and what is said of it.
#[test]
fn identifiers_that_say_too_little_or_too_much_are_refused() {
    for (identifier, key, what) in [
        (r#""column":"a","index":1,"match":"id""#, "index", "cannot both say"),
        (r#""index":0,"match":"id""#, "index", "counts from 1"),
        (r#""column":"a","aliases":["b","a"],"match":"id""#, "aliases[1]", "`a` stands there twice"),
        (r#""column":"a","match":"id","normalize":["lower"]"#, "normalize[0]", "`lower` is not one of `trim`"),
        (r#""column":"a","match":"id","normalize":[{"regex":"a"}]"#, "normalize[0].replace", "is missing"),
        (
            r#""column":"a","match":"id","normalize":[{"regex":"(","replace":""}]"#,
            "normalize[0].regex",
            "is not a regular",
        ),
        (
            r#""column":"a","match":"id","normalize":[{"regex":"a","replace":"$1"}]"#,
            "normalize[0].replace",
            "the group `1`",
        ),
        (r#""columns":[]"#, "columns", "has 0 columns"),
        (r#""column":"a","columns":[{"column":"a","match":"id"}]"#, "column", "stands in each of `columns`"),
        (r#""columns":[{"column":"a"}]"#, "columns[0].match", "is missing"),
        (r#""columns":[{"column":"a","match":"id"},{"column":"b","match":"id"}]"#, "columns[1].match", "by an earlier"),
    ] {
        let settings =
            format!(r#"{{"identifiers":[{{{identifier}}}],"fields":[{{"column":"c","field":"c","type":"text"}}]}}"#);
        let faults = check(&settings);
        let [fault] = faults.as_slice() else { panic!("{identifier}: {faults:?}") };
        assert!(fault.message.starts_with(&format!("`identifiers[0].{key}`: ")), "{identifier}: {fault}");
        assert!(fault.message.contains(what), "{identifier}: {fault}");
        assert!(fault.message.contains(", for example `"), "{identifier}: {fault}");
    }
}

/// Each case is one field with one thing wrong: the key at fault, and what is said of it.
#[test]
fn fields_that_contradict_themselves_are_refused() {
    for (field, key, what) in [
        (r#""column":"a","constant":"b","type":"text""#, "constant", "`column` cannot both say"),
        (r#""constant":" ","type":"text""#, "constant", "is blank"),
        (r#""constant":"x","type":"integer""#, "constant", "`x` is not a whole number"),
        (r#""constant":"x","optional":true,"type":"text""#, "optional", "it is for columns"),
        (r#""template":"{x}","aliases":["y"],"type":"text""#, "aliases", "it is for `column`"),
        (r#""template":"x","type":"text""#, "template", "names no column"),
        (r#""template":"{a","type":"text""#, "template", "without `}`"),
        (r#""template":"a}","type":"text""#, "template", "without `{`"),
        (r#""coalesce":[],"type":"text""#, "coalesce", "is empty"),
        (r#""coalesce":["a","a"],"type":"text""#, "coalesce[1]", "twice"),
        (r#""file":{},"type":"text""#, "file.part", "is missing"),
        (r#""file":{"part":"row","regex":"a"},"type":"text""#, "file.regex", "says nothing here"),
        (r#""file":{"part":"key","regex":"(a)(b)"},"type":"text""#, "file.regex", "2 groups"),
        (r#""column":"a","type":"text","default_on":"missing""#, "default_on", "no `default`"),
        (r#""column":"a","type":"text","on_invalid":"default""#, "on_invalid", "no `default`"),
        (r#""column":"a","type":"integer","default":"x""#, "default", "`x` is not a whole number"),
        (r#""column":"a","type":"integer","default":"5","max":"4""#, "default", "more than `4`"),
        (
            r#""column":"a","type":"integer","default":"5","default_on":"invalid","on_invalid":"fail_file""#,
            "default_on",
            "something else",
        ),
        (r#""column":"a","type":"text","default":"x","on_blank":"clear""#, "on_blank", "fills the blank"),
        (r#""column":"a","type":"text","default":"x","required":true"#, "required", "fills the blank"),
        (r#""column":"a","type":"text","required":true,"on_blank":"clear""#, "required", "another use"),
        (r#""column":"a","type":"text","required":true,"on_invalid":"null_field""#, "required", "lets a refused"),
        (r#""column":"a","type":"text","clear_token":"-","null_tokens":["-"]"#, "clear_token", "`null_tokens`, too"),
        (r#""column":"a","type":"text","null_tokens":[" "]"#, "null_tokens", "blank already"),
        (r#""column":"a","type":"text","write":"append""#, "write", "lists only"),
        (r#""column":"a","type":"text","min":"5""#, "min", "numbers and dates"),
        (r#""column":"a","type":"integer","min":"x""#, "min", "not a whole number"),
        (r#""column":"a","type":"integer","min":"5","max":"4""#, "max", "less than `min`"),
        (r#""column":"a","type":"text","min_length":5,"max_length":4"#, "max_length", "less than `min_length`"),
        (r#""column":"a","type":"integer","regex":"a""#, "regex", "texts and lists"),
        (r#""column":"a","type":"text","regex":"(""#, "regex", "not a regular expression"),
        (r#""column":"a","type":"text","allowed":[]"#, "allowed", "is empty"),
        (
            r#""column":"a","type":"date","formats":["epoch_seconds","excel_1900"]"#,
            "formats[1]",
            "`epoch_seconds` already",
        ),
        (r#""column":"a","type":"percent","number":{"percent":"hundredth"}"#, "number.percent", "`12%` is 12"),
        (r#""column":"a","type":"percent_ratio","number":{"percent":"ignore"}"#, "number.percent", "`hundredth`"),
        (r#""column":"a","type":"float","number":{"symbols":["1$"]}"#, "number.symbols[0]", "can stand in a number"),
        (r#""column":"a","type":"text","transforms":["shout"]"#, "transforms[0]", "unknown variant `shout`"),
        (
            r#""column":"a","type":"text","transforms":[{"replace":{"text":"a"}}]"#,
            "transforms[0].replace.with",
            "is missing",
        ),
        (
            r#""column":"a","type":"text","transforms":[{"replace":{"text":"a","regex":"a","with":""}}]"#,
            "transforms[0].replace.regex",
            "cannot both",
        ),
        (
            r#""column":"a","type":"text","transforms":[{"split":{"on":"/","take":0}}]"#,
            "transforms[0].split.take",
            "counts from 1",
        ),
        (
            r#""column":"a","type":"text","transforms":[{"lookup":{"table":{}}}]"#,
            "transforms[0].lookup.table",
            "is empty",
        ),
        (r#""column":"a","type":"text","transforms":[{"scale":"x"}]"#, "transforms[0].scale", "`x` is not a number"),
        (r#""column":"a","type":"text","transforms":[{"round":19}]"#, "transforms[0].round", "between 0 and 18"),
    ] {
        let faults = check(&with_field(&format!(r#"{{"field":"f",{field}}}"#)));
        let [fault] = faults.as_slice() else { panic!("{field}: {faults:?}") };
        assert!(fault.message.starts_with(&format!("`fields[0].{key}`: ")), "{field}: {fault}");
        assert!(fault.message.contains(what), "{field}: {fault}");
    }
}

#[test]
fn offsets_of_no_time_zone_are_refused() {
    let settings = with_field(r#"{"column":"a","field":"a","type":"text"}],"zone":[[0,0],[0,1]"#);
    assert_eq!(check(&settings).len(), 1);
}
