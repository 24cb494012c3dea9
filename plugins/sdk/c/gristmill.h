/*
 * What a mapper is written with in C: the contract `gristmill:mapper@0.1.0` in terms of rows.
 *
 * A mapper is four functions, of which `check` and `finish` may be missing:
 *
 *     static const gristmill_mapper plans = {.open = open_plans, .map = map_plan};
 *     GRISTMILL_FIELD_MAPPING(plans)
 *
 * Texts are not terminated by zero, unless they are `const char *`, which the SDK copies. Rows and texts of cells live
 * until `map` returns; what is to be held back for `finish` must be copied.
 */
#ifndef GRISTMILL_H
#define GRISTMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8. */
typedef struct {
    const char *bytes;
    size_t length;
} gristmill_text;

/* A text of a string that ends with zero. */
gristmill_text gristmill_text_of(const char *string);
/* Part of a text: nothing where it ends before. */
gristmill_text gristmill_part(gristmill_text text, size_t from, size_t length);
/* A text without the white space round it. */
gristmill_text gristmill_trim(gristmill_text text);
bool gristmill_equal(gristmill_text text, const char *string);

/* An open table. */
typedef struct gristmill_table gristmill_table;
/* A row of the open table. In `finish` there is none: `gristmill_earlier` gives one for records that were held back. */
typedef struct {
    gristmill_table *table;
    /* Table-wide, from 0, the header not counted. */
    uint32_t number;
    /* Its place in the batch. */
    uint32_t place;
} gristmill_row;
/* What is wrong with settings. */
typedef struct gristmill_problems gristmill_problems;

typedef struct {
    /* Names what is wrong with the settings, in JSON. */
    void (*check)(gristmill_text settings, gristmill_problems *problems);
    /* Begins a table: asks for columns, says how accounts are identified, and names fields. */
    void (*open)(gristmill_table *table);
    /* Maps a row. */
    void (*map)(const gristmill_row *row);
    /* Ends the table. */
    void (*finish)(gristmill_table *table);
} gristmill_mapper;

/* ---- Settings: readers of one JSON value, which stay within it whatever it holds ---- */

/* The value of an object's member; an empty text where there is none. */
gristmill_text gristmill_json_member(gristmill_text json, const char *name);
/* Writes a string's text, with a zero behind it; false if it is no string or does not fit. */
bool gristmill_json_string(gristmill_text json, char *buffer, size_t capacity);
bool gristmill_json_integer(gristmill_text json, int64_t *value);
bool gristmill_json_boolean(gristmill_text json, bool *value);
/* The name of an object's member by its place, with a zero behind it; false where there is none or it does not fit. */
bool gristmill_json_name(gristmill_text json, size_t place, char *buffer, size_t capacity);

void gristmill_problem(gristmill_problems *problems, const char *code, const char *message);

/* ---- In `open` ---- */

/* How values are typed. A decimal has `scale` digits after the point, 0 to 18. */
typedef enum {
    GRISTMILL_TEXT,
    GRISTMILL_INTEGER,
    GRISTMILL_FLOAT,
    GRISTMILL_DECIMAL,
    GRISTMILL_BOOLEAN,
    GRISTMILL_DATE,
    GRISTMILL_TIMESTAMP,
    GRISTMILL_TEXT_LIST,
} gristmill_type;

/* What an account is known by; `GRISTMILL_FIELD` is a custom account field, whose key is given. */
typedef enum { GRISTMILL_CRM_ID, GRISTMILL_DOMAIN, GRISTMILL_NAME, GRISTMILL_ID, GRISTMILL_FIELD } gristmill_key;

typedef enum {
    GRISTMILL_PLAIN,
    GRISTMILL_LONG_TEXT,
    GRISTMILL_PERCENT,
    GRISTMILL_CURRENCY,
    GRISTMILL_PICKLIST,
    GRISTMILL_URL,
    GRISTMILL_EMAIL,
    GRISTMILL_USER,
} gristmill_semantic;

/* How a value meets the one that is stored; lists alone can be appended to. */
typedef enum { GRISTMILL_OVERWRITE, GRISTMILL_IF_EMPTY, GRISTMILL_APPEND } gristmill_write;

/* An account field. */
typedef struct {
    const char *name;
    gristmill_type type;
    uint8_t scale;
    gristmill_semantic semantic;
    gristmill_write write;
    /* A currency's code, or NULL. */
    const char *unit;
} gristmill_field_type;

typedef enum { GRISTMILL_BY_ID, GRISTMILL_BY_EMAIL, GRISTMILL_BY_NAME } gristmill_user_key;

gristmill_text gristmill_settings(const gristmill_table *table);
/* The object's key and its sheet; the sheet is empty where the object is no workbook. */
gristmill_text gristmill_object_key(const gristmill_table *table);
gristmill_text gristmill_sheet(const gristmill_table *table);
/* The day that the object was last modified: a mapper has no clock. */
int32_t gristmill_today(const gristmill_table *table);
size_t gristmill_header_length(const gristmill_table *table);
gristmill_text gristmill_header(const gristmill_table *table, size_t column);

/* Asks for a column and gives its slot, counted from 0. The file fails where the table has no such column. */
size_t gristmill_column(gristmill_table *table, const char *name);
/* Asks for a column by its place in the header. */
size_t gristmill_column_at(gristmill_table *table, size_t column);
/* Adds a strategy of one key. `field` is NULL unless the key is `GRISTMILL_FIELD`. */
void gristmill_identify(gristmill_table *table, gristmill_key key, const char *field);
/* Adds another key to the last strategy. */
void gristmill_and(gristmill_table *table, gristmill_key key, const char *field);
/* Names a field and gives its place, counted from 0. In a field mapper. */
size_t gristmill_field(gristmill_table *table, gristmill_field_type field);
/* Says that usage is kept by user. In a usage mapper. */
void gristmill_by_user(gristmill_table *table, gristmill_user_key key);

/* The mapper's own state of the table, which its `finish` frees. */
void gristmill_set_state(gristmill_table *table, void *state);
void *gristmill_state(const gristmill_table *table);

/* Fails the whole file. What is called after it has no effect. */
void gristmill_fail(gristmill_table *table, const char *code, const char *message);

/* ---- Cells ---- */

typedef enum {
    /* There was something, but not what was asked for. The row is rejected, with the column's name. */
    GRISTMILL_UNREADABLE = -1,
    GRISTMILL_BLANK = 0,
    GRISTMILL_READ = 1,
} gristmill_reading;

/* How numbers are written; a group of 0 means that there are none. */
typedef struct {
    char point;
    char group;
} gristmill_locale;

/* The text of a cell, as it is. */
gristmill_text gristmill_cell(const gristmill_row *row, size_t slot);
/* Whether a workbook typed the cell itself: its text is canonical, and locale and date form do not apply to it. */
bool gristmill_is_typed(const gristmill_row *row, size_t slot);
/* `locale` may be NULL: `.` and no groups. */
gristmill_reading gristmill_read_integer(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                         int64_t *value);
/* An exact number in units of its last place: with a scale of 2, `12.5` is 1250. Further digits do not read. */
gristmill_reading gristmill_read_decimal(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                         uint8_t scale, int64_t *value);
gristmill_reading gristmill_read_float(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                       double *value);
/* Days since 1970-01-01. `form` has `%Y`, `%m` and `%d` between the characters that stand there; NULL is `%Y-%m-%d`. */
gristmill_reading gristmill_read_date(const gristmill_row *row, size_t slot, const char *form, int32_t *day);

/* The same for any text, such as a part of a cell; false where it does not read or is blank. */
bool gristmill_parse_decimal(gristmill_text text, const gristmill_locale *locale, uint8_t scale, int64_t *value);
bool gristmill_parse_float(gristmill_text text, const gristmill_locale *locale, double *value);
bool gristmill_parse_date(gristmill_text text, const char *form, int32_t *day);

/* ---- Days ---- */

typedef enum {
    GRISTMILL_SINGLE,
    GRISTMILL_DAILY,
    GRISTMILL_WEEKLY,
    GRISTMILL_MONTHLY,
    GRISTMILL_QUARTERLY,
    GRISTMILL_YEARLY,
    /* A calendar of the mapper's own, which has a name. */
    GRISTMILL_CUSTOM,
} gristmill_period;

/* Days since 1970-01-01; false where the calendar has no such date. Months count from 1. */
bool gristmill_day(int32_t year, int32_t month, int32_t day, int32_t *days);
void gristmill_date(int32_t days, int32_t *year, int32_t *month, int32_t *day);
/* The first day of the period that a day is in; weeks begin on Monday. The day itself for a custom one. */
int32_t gristmill_period_start(gristmill_period period, int32_t day);

/* ---- Issues ---- */

/* For a row as a whole, the slot of an issue. */
#define GRISTMILL_WHOLE_ROW SIZE_MAX

/* Refuses the row: it makes no record of either transform, and the reject file says why. */
void gristmill_reject(const gristmill_row *row, size_t slot, const char *code, const char *message);
/* Refuses the row for what a cell holds: `what` follows the cell's text in the message. */
void gristmill_reject_cell(const gristmill_row *row, size_t slot, const char *code, const char *what);
/* Says that something of the row was left out or mended. */
void gristmill_warn(const gristmill_row *row, size_t slot, const char *code, const char *message);

/* ---- Records ---- */

/* A row that came before, in `finish`. It has no cells. */
gristmill_row gristmill_earlier(gristmill_table *table, uint32_t number);

/* Begins an account record: a text for each key of each strategy, in their order; blank ones are none. In a field
 * mapper. What is set after it belongs to it; a field that is not set keeps what is stored. */
void gristmill_account(const gristmill_row *row, const gristmill_text *identifiers);
void gristmill_set_text(const gristmill_row *row, size_t field, gristmill_text value);
/* Integers, and decimals in units of their last place. */
void gristmill_set_integer(const gristmill_row *row, size_t field, int64_t value);
void gristmill_set_float(const gristmill_row *row, size_t field, double value);
void gristmill_set_boolean(const gristmill_row *row, size_t field, bool value);
/* Days since 1970-01-01. */
void gristmill_set_date(const gristmill_row *row, size_t field, int32_t value);
/* Microseconds since 1970-01-01T00:00:00Z. */
void gristmill_set_timestamp(const gristmill_row *row, size_t field, int64_t value);
void gristmill_set_list(const gristmill_row *row, size_t field, const gristmill_text *items, size_t count);
/* Erases what is stored. */
void gristmill_clear(const gristmill_row *row, size_t field);

typedef enum {
    GRISTMILL_SUM,
    GRISTMILL_LAST,
    GRISTMILL_MAX,
    GRISTMILL_MIN,
    GRISTMILL_AVG,
    GRISTMILL_COUNT,
} gristmill_aggregate;

typedef enum { GRISTMILL_REPLACE, GRISTMILL_ADD } gristmill_repeat;

/* A product's metric. */
typedef struct {
    const char *product;
    const char *metric;
    gristmill_type type;
    uint8_t scale;
    gristmill_aggregate aggregate;
    gristmill_period period;
    /* The name of a custom period, else NULL. */
    const char *calendar;
    gristmill_repeat repeat;
    /* NULL where there is none. */
    const char *unit;
} gristmill_series_type;

/* Announces a series and gives its place; one that was announced before keeps its place. In a usage mapper. */
size_t gristmill_series(gristmill_table *table, gristmill_series_type series);
/* Begins an entry: who and when. The date is the row's own. Values that are added after it belong to it. */
void gristmill_entry(const gristmill_row *row, const gristmill_text *identifiers, int32_t date, int32_t period_start);
/* The entry's user, where usage is kept by user. */
void gristmill_entry_user(const gristmill_row *row, gristmill_text user);
void gristmill_add_text(const gristmill_row *row, size_t series, gristmill_text value);
/* Integers, and decimals in units of their last place. */
void gristmill_add_integer(const gristmill_row *row, size_t series, int64_t value);
void gristmill_add_float(const gristmill_row *row, size_t series, double value);
void gristmill_add_boolean(const gristmill_row *row, size_t series, bool value);

/* ---- The daemon's log; without a host, standard error ---- */

typedef enum { GRISTMILL_DEBUG, GRISTMILL_INFO, GRISTMILL_WARN, GRISTMILL_ERROR } gristmill_level;

void gristmill_log(gristmill_level level, const char *message);

#include "gristmill_wire.h"

#endif
