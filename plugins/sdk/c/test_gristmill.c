/*
 * cc -std=c11 -Wall -Wextra -fsanitize=address,undefined -o /tmp/test_gristmill test_gristmill.c gristmill.c
 * gristmill_read.c /tmp/test_gristmill
 */

#include "gristmill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                                               \
    if (!(condition)) failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)

static void check_decimal(const char *text, const gristmill_locale *locale, uint8_t scale, bool is_read,
                          int64_t expected)
{
    int64_t value = expected;
    const bool found = gristmill_parse_decimal(gristmill_text_of(text), locale, scale, &value);
    if (found != is_read || value != expected)
        failures++, fprintf(stderr, "decimal `%s`: %d %lld\n", text, found, (long long)value);
}

static void numbers(void)
{
    const gristmill_locale german = {',', '.'};
    check_decimal(" 12.5 ", NULL, 2, true, 1250);
    check_decimal("-.5", NULL, 2, true, -50);
    check_decimal("12.500", NULL, 2, true, 1250);
    check_decimal("12.345", NULL, 2, false, 0);
    check_decimal("-1.234,50", &german, 2, true, -123450);
    check_decimal("1.234.567", &german, 0, true, 1234567);
    check_decimal("1.23,4", &german, 2, false, 0);
    check_decimal("12.34", &german, 2, false, 0);
    check_decimal("1234.567", &german, 0, false, 0);
    check_decimal("9223372036854775807", NULL, 0, true, INT64_MAX);
    check_decimal("-9223372036854775808", NULL, 0, true, INT64_MIN);
    check_decimal("9223372036854775808", NULL, 0, false, 0);
    check_decimal("", NULL, 0, false, 0);
    check_decimal("-", NULL, 0, false, 0);
    check_decimal("1e3", NULL, 0, false, 0);
    double number = 0;
    CHECK(gristmill_parse_float(gristmill_text_of("-1.5e3"), NULL, &number) && number == -1500);
    CHECK(gristmill_parse_float(gristmill_text_of("1.234,5"), &german, &number) && number == 1234.5);
    CHECK(!gristmill_parse_float(gristmill_text_of("0x10"), NULL, &number));
    CHECK(!gristmill_parse_float(gristmill_text_of("inf"), NULL, &number));
    CHECK(!gristmill_parse_float(gristmill_text_of("1e99999"), NULL, &number));
    CHECK(!gristmill_parse_float(gristmill_text_of("1e"), NULL, &number));
}

static void days(void)
{
    int32_t day = 0, year, month, of_month;
    CHECK(gristmill_parse_date(gristmill_text_of("2024-10-15"), NULL, &day) && day == 20011);
    CHECK(gristmill_parse_date(gristmill_text_of("15.10.2024"), "%d.%m.%Y", &day) && day == 20011);
    CHECK(gristmill_parse_date(gristmill_text_of("20241015"), "%Y%m%d", &day) && day == 20011);
    CHECK(!gristmill_parse_date(gristmill_text_of("31.02.2024"), "%d.%m.%Y", &day));
    CHECK(!gristmill_parse_date(gristmill_text_of("2024-10-15T00"), NULL, &day));
    CHECK(!gristmill_parse_date(gristmill_text_of("24-10-15"), NULL, &day));
    CHECK(gristmill_day(1, 1, 1, &day) && day == -719162);
    CHECK(gristmill_day(9999, 12, 31, &day) && day == 2932896);
    for (int32_t each = -719162; each <= 2932896; each += 37) {
        gristmill_date(each, &year, &month, &of_month);
        CHECK(gristmill_day(year, month, of_month, &day) && day == each);
    }
    CHECK(gristmill_period_start(GRISTMILL_WEEKLY, 20011) == 20010);
    CHECK(gristmill_period_start(GRISTMILL_WEEKLY, 0) == -3);
    CHECK(gristmill_period_start(GRISTMILL_MONTHLY, 20011) == 19997);
    CHECK(gristmill_period_start(GRISTMILL_QUARTERLY, 20011) == 19997);
    CHECK(gristmill_period_start(GRISTMILL_YEARLY, 20011) == 19723);
}

static void settings(void)
{
    const gristmill_text json = gristmill_text_of(
        "{\"a\": {\"b\": [1, \"}\"]}, \"caf\\u00e9\" :\"x\\n\\\"\\ud83e\\udd80\", \"n\":-7 , \"t\":true}");
    char buffer[32];
    int64_t number;
    bool truth;
    CHECK(gristmill_equal(gristmill_json_member(json, "a"), "{\"b\": [1, \"}\"]}"));
    CHECK(gristmill_equal(gristmill_json_member(gristmill_json_member(json, "a"), "b"), "[1, \"}\"]"));
    CHECK(gristmill_json_string(gristmill_json_member(json, "café"), buffer, sizeof buffer) &&
          strcmp(buffer, "x\n\"🦀") == 0);
    CHECK(gristmill_json_integer(gristmill_json_member(json, "n"), &number) && number == -7);
    CHECK(gristmill_json_boolean(gristmill_json_member(json, "t"), &truth) && truth);
    CHECK(gristmill_json_member(json, "none").length == 0);
    CHECK(gristmill_json_name(json, 2, buffer, sizeof buffer) && strcmp(buffer, "n") == 0);
    CHECK(!gristmill_json_name(json, 4, buffer, sizeof buffer));
    CHECK(!gristmill_json_string(gristmill_json_member(json, "n"), buffer, sizeof buffer));
    CHECK(!gristmill_json_string(gristmill_text_of("\"too long\""), buffer, 8));
    /* Whatever it holds, it is not read beyond its end. */
    for (size_t length = 0; length < json.length; length++) {
        char *cut = malloc(length);
        if (length > 0) memcpy(cut, json.bytes, length);
        const gristmill_text part = {cut, length};
        gristmill_json_string(gristmill_json_member(part, "café"), buffer, sizeof buffer);
        gristmill_json_name(part, 9, buffer, sizeof buffer);
        free(cut);
    }
}

/* ---- A batch as the host hands it over ---- */

#define ROWS 4

static gristmill_wire_batch batch(uint32_t first_row, const char *const (*rows)[2], uint32_t count)
{
    static gristmill_wire_cells columns[2];
    static int32_t offsets[2][ROWS + 1];
    static char bytes[2][256];
    for (size_t column = 0; column < 2; column++) {
        for (uint32_t row = 0; row < count; row++) {
            const size_t length = strlen(rows[row][column]);
            memcpy(bytes[column] + offsets[column][row], rows[row][column], length);
            offsets[column][row + 1] = offsets[column][row] + (int32_t)length;
        }
        columns[column].text =
            (gristmill_wire_text){{offsets[column], count + 1}, {bytes[column], (size_t)offsets[column][count]}};
    }
    return (gristmill_wire_batch){columns, 2, first_row, count};
}

static gristmill_wire_opening opening(const char *first, const char *second)
{
    static gristmill_list names[3];
    names[0] = (gristmill_list){(void *)first, strlen(first)};
    names[1] = (gristmill_list){"Else", 4};
    names[2] = (gristmill_list){(void *)second, strlen(second)};
    return (gristmill_wire_opening){.header = {names, 3}, .settings = {"{}", 2}, .today = 20011};
}

static bool is_text(const gristmill_wire_text *text, size_t row, const char *expected)
{
    const int32_t *offsets = text->offsets.items;
    if (row + 1 >= text->offsets.length) return false;
    return gristmill_equal(
        (gristmill_text){(char *)text->bytes.items + offsets[row], (size_t)(offsets[row + 1] - offsets[row])},
        expected);
}

#define AT(list, type, index) (((const type *)(list).items)[index])

/* ---- Accounts ---- */

static void open_accounts(gristmill_table *table)
{
    gristmill_column(table, "Id");
    gristmill_column(table, "ARR");
    gristmill_identify(table, GRISTMILL_CRM_ID, NULL);
    gristmill_identify(table, GRISTMILL_NAME, NULL);
    gristmill_and(table, GRISTMILL_FIELD, "region");
    gristmill_field(
        table, (gristmill_field_type){"arr", GRISTMILL_DECIMAL, 2, GRISTMILL_CURRENCY, GRISTMILL_OVERWRITE, "EUR"});
    gristmill_field(table, (gristmill_field_type){.name = "tier", .type = GRISTMILL_TEXT});
    gristmill_field(table,
                    (gristmill_field_type){.name = "tags", .type = GRISTMILL_TEXT_LIST, .write = GRISTMILL_APPEND});
}

static void map_account(const gristmill_row *row)
{
    int64_t arr;
    if (gristmill_read_decimal(row, 1, NULL, 2, &arr) != GRISTMILL_READ) return;
    if (arr < 0) gristmill_warn(row, 1, "negative", "ARR is below zero");
    gristmill_account(row, (gristmill_text[3]){gristmill_cell(row, 0)});
    if (arr == 0) {
        gristmill_clear(row, 1);
        return;
    }
    gristmill_set_text(row, 1, gristmill_text_of("basic"));
    gristmill_set_integer(row, 0, arr);
    gristmill_set_list(row, 2, (gristmill_text[]){gristmill_text_of("a"), gristmill_text_of("b")}, 2);
}

static const gristmill_mapper accounts_mapper = {.open = open_accounts, .map = map_account};

static void accounts(void)
{
    gristmill_wire_opening without = opening("Id", "Since");
    gristmill_wire_result *result = gristmill_do_open(GRISTMILL_FIELD_MAPPER, &accounts_mapper, &without);
    CHECK(result->is_fault &&
          gristmill_equal((gristmill_text){result->fault.message.items, result->fault.message.length},
                          "the table has no column `ARR`"));
    gristmill_returned(result);

    gristmill_wire_opening with = opening("ARR", "Id");
    result = gristmill_do_open(GRISTMILL_FIELD_MAPPER, &accounts_mapper, &with);
    CHECK(!result->is_fault && AT(result->layout.wanted, uint32_t, 0) == 2 &&
          AT(result->layout.wanted, uint32_t, 1) == 0);
    CHECK(result->layout.identifiers.length == 2 && AT(result->layout.identifiers, gristmill_list, 1).length == 2);
    CHECK(result->layout.fields.length == 3 &&
          AT(result->layout.fields, gristmill_wire_output_field, 0).type.scale == 2);
    gristmill_returned(result);

    static const char *const rows[ROWS][2] = {{"1", "12.5"}, {"2", "x"}, {"3", "0"}, {"", "-1"}};
    static const char *const exact[1][2] = {{"5", "1.005"}};
    /* Twice, for columns keep their memory. */
    for (uint32_t round = 0; round < 2; round++) {
        result = gristmill_do_map(GRISTMILL_FIELD_MAPPER, &accounts_mapper, batch(7 + round * ROWS, rows, ROWS));
        CHECK(!result->is_fault && result->accounts.rows.length == 3 &&
              AT(result->accounts.rows, uint32_t, 1) == 9 + round * ROWS);
        const gristmill_wire_text_column *ids = result->accounts.identifiers.items;
        CHECK(result->accounts.identifiers.length == 3 && is_text(&ids[0].text, 1, "3"));
        CHECK(ids[0].validity.is_some && AT(ids[0].validity.value, uint8_t, 0) == 3);
        const gristmill_wire_field_column *fields = result->accounts.fields.items;
        const gristmill_wire_values *arr = &fields[0].column.values;
        CHECK(arr->list.length == 3 && AT(arr->list, int64_t, 0) == 1250 && AT(arr->list, int64_t, 2) == -100);
        CHECK(fields[0].column.validity.is_some && AT(fields[0].column.validity.value, uint8_t, 0) == 5 &&
              !fields[0].clear.is_some);
        CHECK(is_text(&fields[1].column.values.text, 2, "basic"));
        CHECK(fields[1].clear.is_some && AT(fields[1].clear.value, uint8_t, 0) == 2);
        const gristmill_list *tags = fields[2].column.values.lists;
        CHECK(tags[0].length == 4 && AT(tags[0], int32_t, 1) == 2 && AT(tags[0], int32_t, 2) == 2 &&
              AT(tags[0], int32_t, 3) == 4 && tags[1].length == 5);
        const gristmill_wire_issues *issues = &result->accounts.issues;
        CHECK(issues->rows.length == 2 && AT(issues->rows, uint32_t, 0) == 8 + round * ROWS &&
              AT(issues->columns, int32_t, 0) == 0);
        CHECK(AT(issues->rejects, uint8_t, 0) == 1 && is_text(&issues->codes, 1, "negative"));
        CHECK(is_text(&issues->messages, 0, "`x` is not a number"));
        gristmill_returned(result);
    }
    result = gristmill_do_map(GRISTMILL_FIELD_MAPPER, &accounts_mapper, batch(20, exact, 1));
    CHECK(
        is_text(&result->accounts.issues.messages, 0, "`1.005` is not a number with at most 2 digits after the point"));
    gristmill_returned(result);
    result = gristmill_do_finish(GRISTMILL_FIELD_MAPPER, &accounts_mapper);
    CHECK(!result->is_fault && result->accounts.rows.length == 0 && result->accounts.identifiers.length == 3);
    gristmill_returned(result);
    result = gristmill_do_finish(GRISTMILL_FIELD_MAPPER, &accounts_mapper);
    CHECK(result->is_fault);
    gristmill_returned(result);
}

static void map_wrongly(const gristmill_row *row)
{
    gristmill_account(row, (gristmill_text[3]){gristmill_cell(row, 0)});
    gristmill_set_integer(row, 1, 1);
}

static void mistakes(void)
{
    static const gristmill_mapper wrong = {.open = open_accounts, .map = map_wrongly};
    static const char *const rows[1][2] = {{"1", "1"}};
    gristmill_wire_opening with = opening("ARR", "Id");
    gristmill_returned(gristmill_do_open(GRISTMILL_FIELD_MAPPER, &wrong, &with));
    gristmill_wire_result *result = gristmill_do_map(GRISTMILL_FIELD_MAPPER, &wrong, batch(5, rows, 1));
    CHECK(result->is_fault && result->fault.row.is_some && result->fault.row.value == 5);
    CHECK(gristmill_equal((gristmill_text){result->fault.message.items, result->fault.message.length},
                          "a value is set of another type than its field's"));
    gristmill_returned(result);
}

/* ---- Usage ---- */

static uint32_t last_row;

static gristmill_series_type logins(void)
{
    return (gristmill_series_type){
        .product = "Core", .metric = "logins", .type = GRISTMILL_INTEGER, .period = GRISTMILL_MONTHLY};
}

static void open_usage(gristmill_table *table)
{
    gristmill_column(table, "Id");
    gristmill_column(table, "Logins");
    gristmill_identify(table, GRISTMILL_CRM_ID, NULL);
    gristmill_by_user(table, GRISTMILL_BY_EMAIL);
    gristmill_series(table, logins());
}

static void map_usage(const gristmill_row *row)
{
    const int32_t today = gristmill_today(row->table);
    int64_t count;
    last_row = row->number;
    if (gristmill_read_integer(row, 1, NULL, &count) != GRISTMILL_READ) return;
    gristmill_entry(row, (gristmill_text[1]){gristmill_cell(row, 0)}, today,
                    gristmill_period_start(GRISTMILL_MONTHLY, today));
    if (count > 3) gristmill_entry_user(row, gristmill_text_of("ada@acme.example"));
    gristmill_add_integer(row, gristmill_series(row->table, logins()), count);
    gristmill_series_type note = logins();
    note.metric = "note", note.type = GRISTMILL_TEXT;
    gristmill_add_text(row, gristmill_series(row->table, note), gristmill_text_of("x"));
}

static void finish_usage(gristmill_table *table)
{
    const gristmill_row row = gristmill_earlier(table, last_row);
    gristmill_entry(&row, (gristmill_text[1]){gristmill_text_of("9")}, 0, 0);
    gristmill_add_integer(&row, 0, 1);
}

static const gristmill_mapper usage_mapper = {.open = open_usage, .map = map_usage, .finish = finish_usage};

static void usage(void)
{
    static const char *const rows[ROWS][2] = {{"1", "3"}, {"2", ""}, {"3", "4"}, {"4", "2.5"}};
    gristmill_wire_opening with = opening("Id", "Logins");
    gristmill_wire_result *result = gristmill_do_open(GRISTMILL_USAGE_MAPPER, &usage_mapper, &with);
    CHECK(!result->is_fault && result->layout.user.is_some && result->layout.user.value == GRISTMILL_BY_EMAIL);
    gristmill_returned(result);
    for (uint32_t round = 0; round < 2; round++) {
        result = gristmill_do_map(GRISTMILL_USAGE_MAPPER, &usage_mapper, batch(round * ROWS, rows, ROWS));
        CHECK(!result->is_fault && result->usage.rows.length == 2 &&
              AT(result->usage.rows, uint32_t, 1) == 2 + round * ROWS);
        CHECK(result->usage.announced.length == (round == 0 ? 2 : 0) && result->usage.blocks.length == 2);
        const gristmill_wire_value_block *blocks = result->usage.blocks.items;
        CHECK(AT(blocks[0].entry_of, uint32_t, 1) == 1 && AT(blocks[1].series_of, uint32_t, 1) == 1);
        CHECK(AT(blocks[0].values.values.list, int64_t, 1) == 4 && is_text(&blocks[1].values.values.text, 1, "x"));
        CHECK(result->usage.user.is_some && is_text(&result->usage.user.value.text, 1, "ada@acme.example"));
        CHECK(AT(result->usage.user.value.validity.value, uint8_t, 0) == 2);
        CHECK(AT(result->usage.period_starts, int32_t, 0) == 19997 && result->usage.issues.rows.length == 1);
        gristmill_returned(result);
    }
    result = gristmill_do_finish(GRISTMILL_USAGE_MAPPER, &usage_mapper);
    CHECK(!result->is_fault && result->usage.rows.length == 1 && AT(result->usage.rows, uint32_t, 0) == 7);
    gristmill_returned(result);
}

static void check_settings(gristmill_text settings, gristmill_problems *problems)
{
    char name[16];
    for (size_t place = 0; gristmill_json_name(settings, place, name, sizeof name); place++)
        gristmill_problem(problems, "settings", name);
}

int main(void)
{
    numbers();
    days();
    settings();
    accounts();
    mistakes();
    usage();
    static const gristmill_mapper checked = {.check = check_settings, .open = open_usage, .map = map_usage};
    const gristmill_list *problems = gristmill_do_check(&checked, gristmill_text_of("{\"a\":1,\"b\":2}"));
    CHECK(problems->length == 2 && AT(AT(*problems, gristmill_wire_fault, 1).message, char, 0) == 'b');
    gristmill_returned(NULL);
    printf("%s\n", failures ? "failed" : "ok");
    return failures != 0;
}
