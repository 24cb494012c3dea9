/*
 * Tables and records: what a mapper says in rows becomes the contract's columns.
 *
 * Three lifetimes: what the host hands over and what is handed back live until the host has read the result; a table's
 * header, fields and series live until the table ends; the columns of records keep their memory from batch to batch.
 */

#include "gristmill.h"

#include <stdlib.h>
#include <string.h>

#ifdef __wasm__
_Static_assert(sizeof(gristmill_wire_opening) == 96, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_cells) == 28, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_field_column) == 52, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_output_field) == 28, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_match_key) == 12, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_series) == 48, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_value_block) == 56, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_fault) == 32, "as the component model has it");
_Static_assert(offsetof(gristmill_wire_usage_batch, dates) == 48, "as the component model has it");
_Static_assert(sizeof(gristmill_wire_usage_batch) == 136, "as the component model has it");
_Static_assert(offsetof(gristmill_wire_result, usage) == 4, "as the component model has it");
#endif

/* ---- Memory ---- */

/* Pieces that are given back together. */
typedef struct piece {
    struct piece *next;
    max_align_t memory[];
} piece;

static piece *of_call;

static void *checked(void *memory)
{
    /* The host's limit on memory says the rest. */
    if (!memory) __builtin_trap();
    return memory;
}

static void *take(piece **pieces, size_t size)
{
    piece *taken = checked(malloc(sizeof(piece) + size));
    taken->next = *pieces;
    *pieces = taken;
    return taken->memory;
}

static void give_back(piece **pieces)
{
    while (*pieces) {
        piece *given = *pieces;
        *pieces = given->next;
        free(given);
    }
}

static gristmill_text copied(piece **pieces, gristmill_text text)
{
    char *bytes = take(pieces, text.length);
    if (text.length > 0) memcpy(bytes, text.bytes, text.length);
    return (gristmill_text){bytes, text.length};
}

#ifdef __wasm__
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    (void)align;
    void *memory = take(&of_call, size);
    if (old_size > 0) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}
#endif

void gristmill_returned(void *result)
{
    (void)result;
    give_back(&of_call);
}

/* ---- Columns on their way out ---- */

/* Items of one type, which keep their memory when they are emptied. */
typedef struct {
    char *items;
    size_t length, capacity;
} vector;

/* Room for more items, which the caller fills. */
static void *grow(vector *into, size_t size, size_t items)
{
    if (into->length + items > into->capacity) {
        into->capacity = 2 * into->capacity + items + 16;
        into->items = checked(realloc(into->items, into->capacity * size));
    }
    void *first = into->items + into->length * size;
    into->length += items;
    return first;
}

#define PUSH(into, type, item) (*(type *)grow(into, sizeof(type), 1) = (item))

typedef struct {
    vector bytes;
    size_t length;
} bitmap;

static void push_bit(bitmap *bits, bool is_set)
{
    if (bits->length % 8 == 0) PUSH(&bits->bytes, uint8_t, 0);
    if (is_set) bits->bytes.items[bits->length / 8] |= (char)(1 << bits->length % 8);
    bits->length++;
}

typedef struct {
    /* Where each text ends. */
    vector offsets;
    vector bytes;
} strings;

static void push_text(strings *texts, gristmill_text text)
{
    if (texts->offsets.length == 0) PUSH(&texts->offsets, int32_t, 0);
    if (text.length > 0) memcpy(grow(&texts->bytes, 1, text.length), text.bytes, text.length);
    PUSH(&texts->offsets, int32_t, (int32_t)texts->bytes.length);
}

/* Values of one type. Each type uses one of the three ways to hold them. */
typedef struct {
    gristmill_type type;
    uint8_t scale;
    strings texts;
    bitmap bits;
    vector values;
    bitmap validity;
    bool is_missing;
    bitmap clear;
    bool is_clearing;
} outgoing;

/* A value on its way into a column. */
typedef struct {
    gristmill_text text;
    /* Of a list, which has as many as `integer` says. */
    const gristmill_text *items;
    int64_t integer;
    double number;
    bool is_missing;
    bool is_clear;
} datum;

static void push_value(outgoing *column, datum value)
{
    push_bit(&column->validity, !value.is_missing);
    push_bit(&column->clear, value.is_clear);
    column->is_missing |= value.is_missing;
    column->is_clearing |= value.is_clear;
    switch (column->type) {
    case GRISTMILL_TEXT:
        push_text(&column->texts, value.text);
        break;
    case GRISTMILL_TEXT_LIST:
        /* Where each list ends among the items. */
        if (column->values.length == 0) PUSH(&column->values, int32_t, 0);
        for (int64_t item = 0; item < value.integer; item++) push_text(&column->texts, value.items[item]);
        PUSH(&column->values, int32_t,
             (int32_t)(column->texts.offsets.length > 0 ? column->texts.offsets.length - 1 : 0));
        break;
    case GRISTMILL_FLOAT:
        PUSH(&column->values, double, value.number);
        break;
    case GRISTMILL_BOOLEAN:
        push_bit(&column->bits, value.integer != 0);
        break;
    case GRISTMILL_DATE:
        PUSH(&column->values, int32_t, (int32_t)value.integer);
        break;
    case GRISTMILL_INTEGER:
    case GRISTMILL_DECIMAL:
    case GRISTMILL_TIMESTAMP:
        PUSH(&column->values, int64_t, value.integer);
        break;
    }
}

static void empty_bits(bitmap *bits)
{
    bits->length = bits->bytes.length = 0;
}

static void empty_texts(strings *texts)
{
    texts->offsets.length = texts->bytes.length = 0;
}

static void empty_column(outgoing *column)
{
    empty_texts(&column->texts);
    empty_bits(&column->bits);
    empty_bits(&column->validity);
    empty_bits(&column->clear);
    column->values.length = 0;
    column->is_missing = column->is_clearing = false;
}

static void free_column(outgoing *column)
{
    vector *vectors[] = {
        &column->texts.offsets, &column->texts.bytes,    &column->bits.bytes,
        &column->values,        &column->validity.bytes, &column->clear.bytes,
    };
    for (size_t index = 0; index < sizeof vectors / sizeof *vectors; index++) free(vectors[index]->items);
}

/* ---- A table ---- */

typedef struct {
    gristmill_wire_series wire;
    gristmill_series_type type;
} announced;

/* Values of one type, each with its entry and its series. */
typedef struct {
    vector entry_of;
    vector series_of;
    outgoing values;
} value_block;

struct gristmill_table {
    gristmill_transform transform;
    bool is_open;
    void *state;

    /* What lives as long as the table. */
    piece *pieces;
    gristmill_text settings, key, sheet;
    int32_t today;
    vector header;
    vector wanted;
    /* Keys of all strategies, and of how many each is. */
    vector keys;
    vector strategies;
    vector fields;
    bool by_user;
    gristmill_user_key user_key;
    vector series;
    size_t announced;

    /* The batch at hand. */
    gristmill_wire_batch batch;
    /* The row at hand; none outside of `map`. */
    const gristmill_row *row;
    struct {
        gristmill_text code, message;
        bool is_set;
        gristmill_optional_u32 row;
    } fault;

    /* Records: accounts or entries. */
    vector rows;
    vector identifiers;
    vector columns;
    vector dates;
    vector period_starts;
    outgoing users;
    vector blocks;

    vector issue_rows, issue_columns;
    bitmap issue_rejects;
    strings issue_codes, issue_messages;
};

/* One of each transform: a component may have both. */
static gristmill_table tables[2] = {{.transform = GRISTMILL_FIELD_MAPPER}, {.transform = GRISTMILL_USAGE_MAPPER}};

#define ITEM(of, type, index) (((type *)(of).items)[index])

void gristmill_fail(gristmill_table *table, const char *code, const char *message)
{
    if (table->fault.is_set) return;
    table->fault.is_set = true;
    table->fault.code = copied(&of_call, gristmill_text_of(code));
    table->fault.message = copied(&of_call, gristmill_text_of(message));
    table->fault.row = (gristmill_optional_u32){table->row != NULL, table->row ? table->row->number : 0};
}

/* A mistake of the mapper's own. */
static void misuse(gristmill_table *table, const char *message)
{
    gristmill_fail(table, "mapper_error", message);
}

gristmill_text gristmill_settings(const gristmill_table *table)
{
    return table->settings;
}

gristmill_text gristmill_object_key(const gristmill_table *table)
{
    return table->key;
}

gristmill_text gristmill_sheet(const gristmill_table *table)
{
    return table->sheet;
}

int32_t gristmill_today(const gristmill_table *table)
{
    return table->today;
}

size_t gristmill_header_length(const gristmill_table *table)
{
    return table->header.length;
}

gristmill_text gristmill_header(const gristmill_table *table, size_t column)
{
    return column < table->header.length ? ITEM(table->header, gristmill_text, column) : (gristmill_text){0};
}

size_t gristmill_column(gristmill_table *table, const char *name)
{
    for (size_t column = 0; column < table->header.length; column++) {
        if (gristmill_equal(gristmill_header(table, column), name)) return gristmill_column_at(table, column);
    }
    char message[320] = "the table has no column `";
    strncat(message, name, 256);
    gristmill_fail(table, "missing_column", strcat(message, "`"));
    return 0;
}

size_t gristmill_column_at(gristmill_table *table, size_t column)
{
    if (column >= table->header.length) {
        misuse(table, "a column beyond the header is asked for");
        return 0;
    }
    PUSH(&table->wanted, uint32_t, (uint32_t)column);
    return table->wanted.length - 1;
}

static gristmill_list list_of_text(gristmill_text text)
{
    return (gristmill_list){(void *)text.bytes, text.length};
}

static gristmill_list kept(gristmill_table *table, const char *string)
{
    return list_of_text(copied(&table->pieces, gristmill_text_of(string)));
}

static gristmill_optional_list kept_option(gristmill_table *table, const char *string)
{
    return (gristmill_optional_list){string != NULL, kept(table, string)};
}

/* Types are numbered as the contract has them. */
static gristmill_wire_value_type wire_type(gristmill_type type, uint8_t scale)
{
    return (gristmill_wire_value_type){(uint8_t)type, type == GRISTMILL_DECIMAL ? scale : 0};
}

void gristmill_identify(gristmill_table *table, gristmill_key key, const char *field)
{
    PUSH(&table->strategies, size_t, 0);
    gristmill_and(table, key, field);
}

void gristmill_and(gristmill_table *table, gristmill_key key, const char *field)
{
    if (table->strategies.length == 0 || (key == GRISTMILL_FIELD) != (field != NULL)) {
        misuse(table, "an identifier is a strategy's, and `field` is given for `GRISTMILL_FIELD` alone");
        return;
    }
    gristmill_wire_match_key wire = {.tag = (uint8_t)key, .field = kept(table, field)};
    PUSH(&table->keys, gristmill_wire_match_key, wire);
    ITEM(table->strategies, size_t, table->strategies.length - 1)++;
    PUSH(&table->identifiers, outgoing, ((outgoing){.type = GRISTMILL_TEXT}));
}

size_t gristmill_field(gristmill_table *table, gristmill_field_type field)
{
    if (table->transform != GRISTMILL_FIELD_MAPPER) {
        misuse(table, "a usage mapper has no fields");
        return 0;
    }
    gristmill_wire_output_field wire = {
        .name = kept(table, field.name),
        .type = wire_type(field.type, field.scale),
        .semantic = (uint8_t)field.semantic,
        .unit = kept_option(table, field.unit),
        .write = (uint8_t)field.write,
    };
    PUSH(&table->fields, gristmill_wire_output_field, wire);
    PUSH(&table->columns, outgoing, ((outgoing){.type = field.type, .scale = field.scale}));
    return table->fields.length - 1;
}

void gristmill_by_user(gristmill_table *table, gristmill_user_key key)
{
    if (table->transform != GRISTMILL_USAGE_MAPPER) {
        misuse(table, "only usage is kept by user");
        return;
    }
    table->by_user = true;
    table->user_key = key;
}

void gristmill_set_state(gristmill_table *table, void *state)
{
    table->state = state;
}

void *gristmill_state(const gristmill_table *table)
{
    return table->state;
}

/* ---- Cells ---- */

static bool has_bit(const gristmill_list *bits, size_t place)
{
    return place / 8 < bits->length && ((const uint8_t *)bits->items)[place / 8] >> place % 8 & 1;
}

static const gristmill_wire_cells *cells(const gristmill_row *row, size_t slot)
{
    const gristmill_wire_batch *batch = &row->table->batch;
    if (slot < batch->count && row->place < batch->rows) return &batch->columns[slot];
    misuse(row->table, "a cell is read that is not there");
    return NULL;
}

gristmill_text gristmill_cell(const gristmill_row *row, size_t slot)
{
    const gristmill_wire_cells *column = cells(row, slot);
    if (!column) return (gristmill_text){0};
    const int32_t *offsets = column->text.offsets.items;
    const int32_t start = offsets[row->place], end = offsets[row->place + 1];
    return (gristmill_text){(const char *)column->text.bytes.items + start, (size_t)(end - start)};
}

bool gristmill_is_typed(const gristmill_row *row, size_t slot)
{
    const gristmill_wire_cells *column = cells(row, slot);
    return column && column->typed.is_some && has_bit(&column->typed.value, row->place);
}

/* A cell's text, and whether there is any. */
static bool is_filled(const gristmill_row *row, size_t slot, gristmill_text *text, const gristmill_locale **locale)
{
    *text = gristmill_trim(gristmill_cell(row, slot));
    if (locale && gristmill_is_typed(row, slot)) *locale = NULL;
    return text->length > 0;
}

static gristmill_reading read_or_reject(const gristmill_row *row, size_t slot, bool is_read, const char *code,
                                        const char *what)
{
    if (!is_read) gristmill_reject_cell(row, slot, code, what);
    return is_read ? GRISTMILL_READ : GRISTMILL_UNREADABLE;
}

gristmill_reading gristmill_read_integer(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                         int64_t *value)
{
    gristmill_text text;
    if (!is_filled(row, slot, &text, &locale)) return GRISTMILL_BLANK;
    return read_or_reject(row, slot, gristmill_parse_decimal(text, locale, 0, value), "not_an_integer",
                          "is not a whole number");
}

gristmill_reading gristmill_read_decimal(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                         uint8_t scale, int64_t *value)
{
    gristmill_text text;
    double number;
    if (!is_filled(row, slot, &text, &locale)) return GRISTMILL_BLANK;
    if (gristmill_parse_decimal(text, locale, scale, value)) return GRISTMILL_READ;
    const bool is_number = gristmill_parse_float(text, locale, &number);
    char what[64] = "is not a number";
    if (is_number) {
        const char digits[] = {(char)('0' + scale / 10), (char)('0' + scale % 10), 0};
        strcat(strcat(strcat(what, " with at most "), digits + (scale < 10)), " digits after the point");
    }
    return read_or_reject(row, slot, false, is_number ? "too_many_decimals" : "not_a_number", what);
}

gristmill_reading gristmill_read_float(const gristmill_row *row, size_t slot, const gristmill_locale *locale,
                                       double *value)
{
    gristmill_text text;
    if (!is_filled(row, slot, &text, &locale)) return GRISTMILL_BLANK;
    return read_or_reject(row, slot, gristmill_parse_float(text, locale, value), "not_a_number", "is not a number");
}

gristmill_reading gristmill_read_date(const gristmill_row *row, size_t slot, const char *form, int32_t *day)
{
    gristmill_text text;
    if (!is_filled(row, slot, &text, NULL)) return GRISTMILL_BLANK;
    if (gristmill_is_typed(row, slot)) {
        /* A workbook's date may carry a time, which belongs to the same day. */
        text = gristmill_part(text, 0, 10);
        form = NULL;
    }
    char what[128] = "is not a date of the form ";
    strncat(what, form ? form : "%Y-%m-%d", 64);
    return read_or_reject(row, slot, gristmill_parse_date(text, form, day), "bad_date", what);
}

/* ---- Issues ---- */

static void push_issue(const gristmill_row *row, size_t slot, bool is_reject, gristmill_text code,
                       gristmill_text message)
{
    gristmill_table *table = row->table;
    const bool has_column = slot < table->wanted.length;
    PUSH(&table->issue_rows, uint32_t, row->number);
    PUSH(&table->issue_columns, int32_t, has_column ? (int32_t)ITEM(table->wanted, uint32_t, slot) : -1);
    push_bit(&table->issue_rejects, is_reject);
    push_text(&table->issue_codes, code);
    push_text(&table->issue_messages, message);
}

void gristmill_reject(const gristmill_row *row, size_t slot, const char *code, const char *message)
{
    push_issue(row, slot, true, gristmill_text_of(code), gristmill_text_of(message));
}

void gristmill_warn(const gristmill_row *row, size_t slot, const char *code, const char *message)
{
    push_issue(row, slot, false, gristmill_text_of(code), gristmill_text_of(message));
}

void gristmill_reject_cell(const gristmill_row *row, size_t slot, const char *code, const char *what)
{
    enum { SHOWN = 40 };
    gristmill_text text = gristmill_cell(row, slot);
    const bool is_cut = text.length > SHOWN;
    if (is_cut) {
        text.length = SHOWN;
        /* Not within a character. */
        while (text.length > 0 && ((uint8_t)text.bytes[text.length] & 0xc0) == 0x80) text.length--;
    }
    char message[256] = "`";
    if (text.length > 0) memcpy(message + 1, text.bytes, text.length);
    message[text.length + 1] = 0;
    strcat(message, is_cut ? "…` " : "` ");
    strncat(message, what, sizeof message - strlen(message) - 1);
    gristmill_reject(row, slot, code, message);
}

/* ---- Records ---- */

gristmill_row gristmill_earlier(gristmill_table *table, uint32_t number)
{
    return (gristmill_row){table, number, UINT32_MAX};
}

static datum datum_of_text(gristmill_text text)
{
    return (datum){.text = text};
}

static const datum NOTHING = {.is_missing = true};

static void push_identifiers(gristmill_table *table, const gristmill_text *identifiers)
{
    for (size_t key = 0; key < table->identifiers.length; key++) {
        const gristmill_text text = identifiers[key];
        push_value(&ITEM(table->identifiers, outgoing, key), text.length > 0 ? datum_of_text(text) : NOTHING);
    }
}

/* Gives the records before the last the values that were not set. */
static void fill(outgoing *column, size_t records)
{
    while (column->validity.length < records) push_value(column, NOTHING);
}

void gristmill_account(const gristmill_row *row, const gristmill_text *identifiers)
{
    gristmill_table *table = row->table;
    if (table->transform != GRISTMILL_FIELD_MAPPER) {
        misuse(table, "a usage mapper makes no account records");
        return;
    }
    for (size_t field = 0; field < table->columns.length; field++)
        fill(&ITEM(table->columns, outgoing, field), table->rows.length);
    PUSH(&table->rows, uint32_t, row->number);
    push_identifiers(table, identifiers);
}

static bool is_of(gristmill_type type, gristmill_type wanted)
{
    return type == wanted || (type == GRISTMILL_DECIMAL && wanted == GRISTMILL_INTEGER);
}

static void set(const gristmill_row *row, size_t field, gristmill_type type, datum value)
{
    gristmill_table *table = row->table;
    if (table->transform != GRISTMILL_FIELD_MAPPER || field >= table->columns.length || table->rows.length == 0) {
        misuse(table, "a value is set of a field or an account that is not there");
        return;
    }
    outgoing *column = &ITEM(table->columns, outgoing, field);
    fill(column, table->rows.length - 1);
    if (!is_of(column->type, type)) {
        misuse(table, "a value is set of another type than its field's");
    } else if (column->validity.length == table->rows.length) {
        misuse(table, "a field of an account is set twice");
    } else {
        push_value(column, value);
    }
}

void gristmill_set_text(const gristmill_row *row, size_t field, gristmill_text value)
{
    set(row, field, GRISTMILL_TEXT, datum_of_text(value));
}

void gristmill_set_integer(const gristmill_row *row, size_t field, int64_t value)
{
    set(row, field, GRISTMILL_INTEGER, (datum){.integer = value});
}

void gristmill_set_float(const gristmill_row *row, size_t field, double value)
{
    set(row, field, GRISTMILL_FLOAT, (datum){.number = value});
}

void gristmill_set_boolean(const gristmill_row *row, size_t field, bool value)
{
    set(row, field, GRISTMILL_BOOLEAN, (datum){.integer = value});
}

void gristmill_set_date(const gristmill_row *row, size_t field, int32_t value)
{
    set(row, field, GRISTMILL_DATE, (datum){.integer = value});
}

void gristmill_set_timestamp(const gristmill_row *row, size_t field, int64_t value)
{
    set(row, field, GRISTMILL_TIMESTAMP, (datum){.integer = value});
}

void gristmill_set_list(const gristmill_row *row, size_t field, const gristmill_text *items, size_t count)
{
    set(row, field, GRISTMILL_TEXT_LIST, (datum){.items = items, .integer = (int64_t)count});
}

void gristmill_clear(const gristmill_row *row, size_t field)
{
    const gristmill_table *table = row->table;
    const bool is_there = table->transform == GRISTMILL_FIELD_MAPPER && field < table->columns.length;
    const gristmill_type type = is_there ? ITEM(table->columns, outgoing, field).type : GRISTMILL_TEXT;
    set(row, field, type, (datum){.is_missing = true, .is_clear = true});
}

static bool is_same(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

size_t gristmill_series(gristmill_table *table, gristmill_series_type type)
{
    if (table->transform != GRISTMILL_USAGE_MAPPER) {
        misuse(table, "a field mapper makes no usage records");
        return 0;
    }
    for (size_t place = 0; place < table->series.length; place++) {
        const gristmill_series_type *known = &ITEM(table->series, announced, place).type;
        if (is_same(known->product, type.product) && is_same(known->metric, type.metric) &&
            is_same(known->unit, type.unit) && is_same(known->calendar, type.calendar) && known->type == type.type &&
            known->scale == type.scale && known->aggregate == type.aggregate && known->period == type.period &&
            known->repeat == type.repeat) {
            return place;
        }
    }
    const char **names[] = {&type.product, &type.metric, &type.unit, &type.calendar};
    for (size_t name = 0; name < sizeof names / sizeof *names; name++) {
        if (!*names[name]) continue;
        char *copy = take(&table->pieces, strlen(*names[name]) + 1);
        *names[name] = strcpy(copy, *names[name]);
    }
    announced series = {
        .type = type,
        .wire =
            {
                .product = list_of_text(gristmill_text_of(type.product)),
                .metric = list_of_text(gristmill_text_of(type.metric)),
                .unit = {type.unit != NULL, list_of_text(gristmill_text_of(type.unit))},
                .type = wire_type(type.type, type.scale),
                .aggregate = (uint8_t)type.aggregate,
                .period = {(uint8_t)type.period, list_of_text(gristmill_text_of(type.calendar))},
                .repeat = (uint8_t)type.repeat,
            },
    };
    PUSH(&table->series, announced, series);
    return table->series.length - 1;
}

void gristmill_entry(const gristmill_row *row, const gristmill_text *identifiers, int32_t date, int32_t period_start)
{
    gristmill_table *table = row->table;
    if (table->transform != GRISTMILL_USAGE_MAPPER) {
        misuse(table, "a field mapper makes no usage records");
        return;
    }
    fill(&table->users, table->rows.length);
    PUSH(&table->rows, uint32_t, row->number);
    PUSH(&table->dates, int32_t, date);
    PUSH(&table->period_starts, int32_t, period_start);
    push_identifiers(table, identifiers);
}

void gristmill_entry_user(const gristmill_row *row, gristmill_text user)
{
    gristmill_table *table = row->table;
    if (!table->by_user || table->rows.length == 0 || table->users.validity.length == table->rows.length) {
        misuse(table, "an entry's user is given once, where usage is kept by user");
        return;
    }
    push_value(&table->users, user.length > 0 ? datum_of_text(user) : NOTHING);
}

static void add(const gristmill_row *row, size_t place, gristmill_type type, datum value)
{
    gristmill_table *table = row->table;
    if (place >= table->series.length || table->rows.length == 0) {
        misuse(table, "a value is added to a series or an entry that is not there");
        return;
    }
    const gristmill_series_type *series = &ITEM(table->series, announced, place).type;
    if (!is_of(series->type, type)) {
        misuse(table, "a value is added of another type than its series'");
        return;
    }
    value_block *block = NULL;
    for (size_t index = 0; index < table->blocks.length && !block; index++) {
        value_block *candidate = &ITEM(table->blocks, value_block, index);
        if (candidate->values.type == series->type && candidate->values.scale == series->scale) block = candidate;
    }
    if (!block) {
        PUSH(&table->blocks, value_block, ((value_block){.values = {.type = series->type, .scale = series->scale}}));
        block = &ITEM(table->blocks, value_block, table->blocks.length - 1);
    }
    PUSH(&block->entry_of, uint32_t, (uint32_t)(table->rows.length - 1));
    PUSH(&block->series_of, uint32_t, (uint32_t)place);
    push_value(&block->values, value);
}

void gristmill_add_text(const gristmill_row *row, size_t series, gristmill_text value)
{
    add(row, series, GRISTMILL_TEXT, datum_of_text(value));
}

void gristmill_add_integer(const gristmill_row *row, size_t series, int64_t value)
{
    add(row, series, GRISTMILL_INTEGER, (datum){.integer = value});
}

void gristmill_add_float(const gristmill_row *row, size_t series, double value)
{
    add(row, series, GRISTMILL_FLOAT, (datum){.number = value});
}

void gristmill_add_boolean(const gristmill_row *row, size_t series, bool value)
{
    add(row, series, GRISTMILL_BOOLEAN, (datum){.integer = value});
}

/* ---- What the host calls ---- */

static gristmill_list list_of(const vector *items)
{
    return (gristmill_list){items->items, items->length};
}

static gristmill_wire_text wire_text(strings *texts)
{
    if (texts->offsets.length == 0) PUSH(&texts->offsets, int32_t, 0);
    return (gristmill_wire_text){list_of(&texts->offsets), list_of(&texts->bytes)};
}

static gristmill_optional_list wire_bits(bool is_some, const bitmap *bits)
{
    return (gristmill_optional_list){is_some, list_of(&bits->bytes)};
}

static gristmill_wire_text_column wire_text_column(outgoing *column)
{
    return (gristmill_wire_text_column){wire_text(&column->texts), wire_bits(column->is_missing, &column->validity)};
}

static gristmill_wire_column wire_column(outgoing *column)
{
    gristmill_wire_column wire = {.values.tag = (uint8_t)column->type};
    wire.validity = wire_bits(column->is_missing, &column->validity);
    if (column->type == GRISTMILL_TEXT) {
        wire.values.text = wire_text(&column->texts);
    } else if (column->type == GRISTMILL_TEXT_LIST) {
        const gristmill_wire_text items = wire_text(&column->texts);
        if (column->values.length == 0) PUSH(&column->values, int32_t, 0);
        wire.values.lists[0] = list_of(&column->values);
        wire.values.lists[1] = items.offsets;
        wire.values.lists[2] = items.bytes;
    } else {
        wire.values.list = list_of(column->type == GRISTMILL_BOOLEAN ? &column->bits.bytes : &column->values);
    }
    return wire;
}

static gristmill_list wire_identifiers(gristmill_table *table)
{
    const size_t keys = table->identifiers.length;
    gristmill_wire_text_column *columns = take(&of_call, keys * sizeof *columns);
    for (size_t key = 0; key < keys; key++) columns[key] = wire_text_column(&ITEM(table->identifiers, outgoing, key));
    return (gristmill_list){columns, keys};
}

static gristmill_wire_issues wire_issues(gristmill_table *table)
{
    return (gristmill_wire_issues){
        list_of(&table->issue_rows),    list_of(&table->issue_columns),    list_of(&table->issue_rejects.bytes),
        wire_text(&table->issue_codes), wire_text(&table->issue_messages),
    };
}

static gristmill_wire_account_batch wire_accounts(gristmill_table *table)
{
    const size_t count = table->columns.length;
    gristmill_wire_field_column *fields = take(&of_call, count * sizeof *fields);
    for (size_t field = 0; field < count; field++) {
        outgoing *column = &ITEM(table->columns, outgoing, field);
        fill(column, table->rows.length);
        fields[field] =
            (gristmill_wire_field_column){wire_column(column), wire_bits(column->is_clearing, &column->clear)};
    }
    return (gristmill_wire_account_batch){
        list_of(&table->rows),
        wire_identifiers(table),
        {fields, count},
        wire_issues(table),
    };
}

static gristmill_wire_usage_batch wire_usage(gristmill_table *table)
{
    gristmill_wire_value_block *blocks = take(&of_call, table->blocks.length * sizeof *blocks);
    for (size_t index = 0; index < table->blocks.length; index++) {
        value_block *block = &ITEM(table->blocks, value_block, index);
        blocks[index] = (gristmill_wire_value_block){list_of(&block->entry_of), list_of(&block->series_of),
                                                     wire_column(&block->values)};
    }
    const size_t count = table->series.length - table->announced;
    gristmill_wire_series *series = take(&of_call, count * sizeof *series);
    for (size_t index = 0; index < count; index++)
        series[index] = ITEM(table->series, announced, table->announced + index).wire;
    table->announced = table->series.length;
    fill(&table->users, table->rows.length);
    return (gristmill_wire_usage_batch){
        .rows = list_of(&table->rows),
        .identifiers = wire_identifiers(table),
        .user = {table->by_user, wire_text_column(&table->users)},
        .dates = list_of(&table->dates),
        .period_starts = list_of(&table->period_starts),
        .announced = {series, count},
        .blocks = {blocks, table->blocks.length},
        .issues = wire_issues(table),
    };
}

/* Begins a batch of records. */
static void empty(gristmill_table *table)
{
    table->rows.length = table->dates.length = table->period_starts.length = 0;
    for (size_t key = 0; key < table->identifiers.length; key++) empty_column(&ITEM(table->identifiers, outgoing, key));
    for (size_t field = 0; field < table->columns.length; field++) empty_column(&ITEM(table->columns, outgoing, field));
    empty_column(&table->users);
    for (size_t index = 0; index < table->blocks.length; index++) {
        value_block *block = &ITEM(table->blocks, value_block, index);
        block->entry_of.length = block->series_of.length = 0;
        empty_column(&block->values);
    }
    table->issue_rows.length = table->issue_columns.length = 0;
    empty_bits(&table->issue_rejects);
    empty_texts(&table->issue_codes);
    empty_texts(&table->issue_messages);
}

static void free_columns(vector *columns)
{
    for (size_t index = 0; index < columns->length; index++) free_column(&ITEM(*columns, outgoing, index));
    free(columns->items);
}

/* Forgets a table that has ended, or that was left when its file failed. */
static void forget(gristmill_table *table)
{
    give_back(&table->pieces);
    free_columns(&table->identifiers);
    free_columns(&table->columns);
    free_column(&table->users);
    for (size_t index = 0; index < table->blocks.length; index++) {
        value_block *block = &ITEM(table->blocks, value_block, index);
        free(block->entry_of.items);
        free(block->series_of.items);
        free_column(&block->values);
    }
    vector *vectors[] = {
        &table->header,
        &table->wanted,
        &table->keys,
        &table->strategies,
        &table->fields,
        &table->series,
        &table->rows,
        &table->dates,
        &table->period_starts,
        &table->blocks,
        &table->issue_rows,
        &table->issue_columns,
        &table->issue_rejects.bytes,
        &table->issue_codes.offsets,
        &table->issue_codes.bytes,
        &table->issue_messages.offsets,
        &table->issue_messages.bytes,
    };
    for (size_t index = 0; index < sizeof vectors / sizeof *vectors; index++) free(vectors[index]->items);
    *table = (gristmill_table){.transform = table->transform, .users = {.type = GRISTMILL_TEXT}};
}

static gristmill_wire_result result;

static gristmill_wire_result *fault_of(const gristmill_table *table)
{
    result = (gristmill_wire_result){
        .is_fault = 1,
        .fault = {list_of_text(table->fault.code), list_of_text(table->fault.message), table->fault.row, {0}}};
    return &result;
}

/* The records since the last batch. */
static gristmill_wire_result *records(gristmill_table *table)
{
    if (table->fault.is_set) return fault_of(table);
    result = (gristmill_wire_result){0};
    if (table->transform == GRISTMILL_FIELD_MAPPER) {
        result.accounts = wire_accounts(table);
    } else {
        result.usage = wire_usage(table);
    }
    return &result;
}

static gristmill_text text_of_list(gristmill_list list)
{
    return (gristmill_text){list.items, list.length};
}

gristmill_wire_result *gristmill_do_open(gristmill_transform transform, const gristmill_mapper *mapper,
                                         const gristmill_wire_opening *opening)
{
    gristmill_table *table = &tables[transform];
    forget(table);
    table->is_open = true;
    table->settings = copied(&table->pieces, text_of_list(opening->settings));
    table->key = copied(&table->pieces, text_of_list(opening->key));
    if (opening->sheet.is_some) table->sheet = copied(&table->pieces, text_of_list(opening->sheet.value));
    table->today = opening->today;
    for (size_t column = 0; column < opening->header.length; column++) {
        const gristmill_text name = text_of_list(((const gristmill_list *)opening->header.items)[column]);
        PUSH(&table->header, gristmill_text, copied(&table->pieces, name));
    }
    mapper->open(table);
    if (table->fault.is_set) return fault_of(table);

    gristmill_list *strategies = take(&of_call, table->strategies.length * sizeof *strategies);
    gristmill_wire_match_key *keys = (gristmill_wire_match_key *)table->keys.items;
    for (size_t index = 0; index < table->strategies.length; index++) {
        strategies[index] = (gristmill_list){keys, ITEM(table->strategies, size_t, index)};
        keys += strategies[index].length;
    }
    result = (gristmill_wire_result){
        .layout = {.wanted = list_of(&table->wanted), .identifiers = {strategies, table->strategies.length}}};
    if (transform == GRISTMILL_FIELD_MAPPER) {
        result.layout.fields = list_of(&table->fields);
    } else {
        result.layout.user.is_some = table->by_user;
        result.layout.user.value = (uint8_t)table->user_key;
    }
    return &result;
}

gristmill_wire_result *gristmill_do_map(gristmill_transform transform, const gristmill_mapper *mapper,
                                        gristmill_wire_batch batch)
{
    gristmill_table *table = &tables[transform];
    if (!table->is_open) misuse(table, "no table is open");
    empty(table);
    table->batch = batch;
    for (uint32_t place = 0; place < batch.rows && !table->fault.is_set; place++) {
        const gristmill_row row = {table, batch.first_row + place, place};
        table->row = &row;
        mapper->map(&row);
    }
    table->row = NULL;
    table->batch = (gristmill_wire_batch){0};
    return records(table);
}

gristmill_wire_result *gristmill_do_finish(gristmill_transform transform, const gristmill_mapper *mapper)
{
    gristmill_table *table = &tables[transform];
    if (!table->is_open) misuse(table, "no table is open");
    empty(table);
    if (mapper->finish && !table->fault.is_set) mapper->finish(table);
    table->is_open = false;
    return records(table);
}

struct gristmill_problems {
    vector faults;
};

void gristmill_problem(gristmill_problems *problems, const char *code, const char *message)
{
    gristmill_wire_fault fault = {
        .code = list_of_text(copied(&of_call, gristmill_text_of(code))),
        .message = list_of_text(copied(&of_call, gristmill_text_of(message))),
    };
    PUSH(&problems->faults, gristmill_wire_fault, fault);
}

gristmill_list *gristmill_do_check(const gristmill_mapper *mapper, gristmill_text settings)
{
    static gristmill_problems problems;
    static gristmill_list list;
    problems.faults.length = 0;
    if (mapper->check) mapper->check(settings, &problems);
    list = list_of(&problems.faults);
    return &list;
}

/* ---- The log ---- */

#ifdef __wasm__
__attribute__((import_module("gristmill:mapper/log@0.1.0"),
               import_name("write"))) void gristmill_host_log(int32_t level, const char *message, size_t length);

void gristmill_log(gristmill_level level, const char *message)
{
    gristmill_host_log((int32_t)level, message, strlen(message));
}
#else
#include <stdio.h>

void gristmill_log(gristmill_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    fprintf(stderr, "%s: %s\n", names[level], message);
}
#endif
