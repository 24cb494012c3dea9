/*
 * An export of a mainframe: one column, `RECORD`, of codes at fixed places.
 *
 *     0014K00001DE202410150000125{07
 *     account   |country|since   |revenue|plan
 *
 * | from | length | what |
 * |---|---|---|
 * | 0 | 10 | account |
 * | 10 | 2 | country |
 * | 12 | 8 | since, `%Y%m%d`; zeros where it is not known |
 * | 20 | 8 | revenue in cents, with the sign punched over the last digit |
 * | 28 | 2 | plan's code, which the settings name: `{ "plans": { "07": "pro" } }` |
 */

#include "sdk/gristmill.h"

#include <string.h>

enum { RECORD };
enum { COUNTRY, SINCE, REVENUE, PLAN };
enum { LENGTH = 30 };

static void check_settings(gristmill_text settings, gristmill_problems *problems)
{
    char name[64], plan[64];
    for (size_t place = 0; gristmill_json_name(settings, place, name, sizeof name); place++) {
        if (strcmp(name, "plans") != 0) gristmill_problem(problems, "settings", "`plans` is the only setting");
    }
    const gristmill_text plans = gristmill_json_member(settings, "plans");
    for (size_t place = 0; gristmill_json_name(plans, place, name, sizeof name); place++) {
        const bool is_text = gristmill_json_string(gristmill_json_member(plans, name), plan, sizeof plan);
        if (strlen(name) == 2 && is_text) continue;
        gristmill_problem(problems, "settings", "`plans` names a text for each code of two characters");
    }
}

static void open_records(gristmill_table *table)
{
    const gristmill_field_type fields[] = {
        [COUNTRY] = {.name = "country", .type = GRISTMILL_TEXT, .semantic = GRISTMILL_PICKLIST},
        [SINCE] = {.name = "customer_since", .type = GRISTMILL_DATE},
        [REVENUE] = {"revenue", GRISTMILL_DECIMAL, 2, GRISTMILL_CURRENCY, GRISTMILL_OVERWRITE, "EUR"},
        [PLAN] = {.name = "plan", .type = GRISTMILL_TEXT, .semantic = GRISTMILL_PICKLIST},
    };
    gristmill_column(table, "RECORD");
    gristmill_identify(table, GRISTMILL_CRM_ID, NULL);
    for (size_t field = 0; field < sizeof fields / sizeof *fields; field++) gristmill_field(table, fields[field]);
}

/* `{` and A to I are the digits 0 to 9 of a number above zero, `}` and J to R those of one below. */
static bool read_overpunched(gristmill_text text, int64_t *value)
{
    static const char last[] = "{ABCDEFGHI}JKLMNOPQR";
    const char *punched = strchr(last, text.bytes[text.length - 1]);
    if (!punched || !*punched) return false;
    if (!gristmill_parse_decimal(gristmill_part(text, 0, text.length - 1), NULL, 0, value)) return false;
    const int64_t digit = punched - last;
    *value = digit < 10 ? *value * 10 + digit : -(*value * 10 + digit - 10);
    return true;
}

static void map_record(const gristmill_row *row)
{
    const gristmill_text record = gristmill_cell(row, RECORD);
    if (record.length != LENGTH) {
        gristmill_reject_cell(row, RECORD, "bad_length", "is not a record of 30 characters");
        return;
    }
    const gristmill_text since = gristmill_part(record, 12, 8), code = gristmill_part(record, 28, 2);
    int64_t revenue;
    int32_t day;
    if (!read_overpunched(gristmill_part(record, 20, 8), &revenue)) {
        gristmill_reject_cell(row, RECORD, "bad_revenue", "has no revenue from its 21st character on");
        return;
    }
    const bool has_day = !gristmill_equal(since, "00000000");
    if (has_day && !gristmill_parse_date(since, "%Y%m%d", &day)) {
        gristmill_reject_cell(row, RECORD, "bad_date", "has no date from its 13th character on");
        return;
    }
    gristmill_account(row, (gristmill_text[1]){gristmill_trim(gristmill_part(record, 0, 10))});
    gristmill_set_text(row, COUNTRY, gristmill_part(record, 10, 2));
    gristmill_set_integer(row, REVENUE, revenue);
    if (has_day) gristmill_set_date(row, SINCE, day);

    char key[3] = {code.bytes[0], code.bytes[1], 0}, plan[64];
    const gristmill_text plans = gristmill_json_member(gristmill_settings(row->table), "plans");
    if (gristmill_json_string(gristmill_json_member(plans, key), plan, sizeof plan)) {
        gristmill_set_text(row, PLAN, gristmill_text_of(plan));
    } else {
        gristmill_warn(row, RECORD, "unknown_plan",
                       "the code of the plan is not among the settings; the plan stays as it is");
    }
}

static const gristmill_mapper records = {.check = check_settings, .open = open_records, .map = map_record};
GRISTMILL_FIELD_MAPPING(records)
