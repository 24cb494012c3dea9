/*
 * The contract's types as the component model lays them out in memory, and the functions that it calls. A mapper's own
 * code has no need of what is in here but the two macros at the end.
 */
#ifndef GRISTMILL_WIRE_H
#define GRISTMILL_WIRE_H

/* `list<T>` and `string`. */
typedef struct {
    void *items;
    size_t length;
} gristmill_list;

typedef struct {
    uint8_t is_some;
    gristmill_list value;
} gristmill_optional_list;

typedef struct {
    uint8_t is_some;
    uint32_t value;
} gristmill_optional_u32;

typedef struct {
    gristmill_list offsets;
    gristmill_list bytes;
} gristmill_wire_text;

typedef struct {
    gristmill_wire_text text;
    gristmill_optional_list typed;
} gristmill_wire_cells;

typedef struct {
    gristmill_wire_text text;
    gristmill_optional_list validity;
} gristmill_wire_text_column;

typedef struct {
    uint8_t tag;
    union {
        gristmill_wire_text text;
        gristmill_list list;
        /* The largest case, `text-list`. */
        gristmill_list lists[3];
    };
} gristmill_wire_values;

typedef struct {
    gristmill_wire_values values;
    gristmill_optional_list validity;
} gristmill_wire_column;

typedef struct {
    gristmill_wire_column column;
    gristmill_optional_list clear;
} gristmill_wire_field_column;

typedef struct {
    uint8_t tag;
    uint8_t scale;
} gristmill_wire_value_type;

typedef struct {
    uint8_t tag;
    gristmill_list field;
} gristmill_wire_match_key;

typedef struct {
    gristmill_list name;
    gristmill_wire_value_type type;
    uint8_t semantic;
    gristmill_optional_list unit;
    uint8_t write;
} gristmill_wire_output_field;

typedef struct {
    gristmill_list product;
    gristmill_list metric;
    gristmill_optional_list unit;
    gristmill_wire_value_type type;
    uint8_t aggregate;
    struct {
        uint8_t tag;
        gristmill_list calendar;
    } period;
    uint8_t repeat;
} gristmill_wire_series;

typedef struct {
    gristmill_list entry_of;
    gristmill_list series_of;
    gristmill_wire_column values;
} gristmill_wire_value_block;

typedef struct {
    gristmill_list rows;
    gristmill_list columns;
    gristmill_list rejects;
    gristmill_wire_text codes;
    gristmill_wire_text messages;
} gristmill_wire_issues;

typedef struct {
    gristmill_list code;
    gristmill_list message;
    gristmill_optional_u32 row;
    gristmill_optional_u32 column;
} gristmill_wire_fault;

typedef struct {
    gristmill_list wanted;
    gristmill_list identifiers;
    union {
        gristmill_list fields;
        struct {
            uint8_t is_some;
            uint8_t value;
        } user;
    };
} gristmill_wire_layout;

typedef struct {
    gristmill_list rows;
    gristmill_list identifiers;
    gristmill_list fields;
    gristmill_wire_issues issues;
} gristmill_wire_account_batch;

typedef struct {
    gristmill_list rows;
    gristmill_list identifiers;
    struct {
        uint8_t is_some;
        gristmill_wire_text_column value;
    } user;
    gristmill_list dates;
    gristmill_list period_starts;
    gristmill_list announced;
    gristmill_list blocks;
    gristmill_wire_issues issues;
} gristmill_wire_usage_batch;

/* `result<T, fault>` of the functions of both transforms. */
typedef struct {
    uint8_t is_fault;
    union {
        gristmill_wire_layout layout;
        gristmill_wire_account_batch accounts;
        gristmill_wire_usage_batch usage;
        gristmill_wire_fault fault;
    };
} gristmill_wire_result;

/* The parameters of `open`, which are too many for registers. */
typedef struct {
    gristmill_list integration;
    gristmill_list connection;
    gristmill_list bucket;
    gristmill_list key;
    gristmill_list etag;
    uint64_t size;
    int64_t last_modified;
    gristmill_optional_list sheet;
    gristmill_list timezone;
    int32_t today;
    gristmill_list header;
    gristmill_list settings;
} gristmill_wire_opening;

typedef struct {
    const gristmill_wire_cells *columns;
    size_t count;
    uint32_t first_row;
    uint32_t rows;
} gristmill_wire_batch;

typedef enum { GRISTMILL_FIELD_MAPPER, GRISTMILL_USAGE_MAPPER } gristmill_transform;

gristmill_list *gristmill_do_check(const gristmill_mapper *mapper, gristmill_text settings);
gristmill_wire_result *gristmill_do_open(gristmill_transform transform, const gristmill_mapper *mapper,
                                         const gristmill_wire_opening *opening);
gristmill_wire_result *gristmill_do_map(gristmill_transform transform, const gristmill_mapper *mapper,
                                        gristmill_wire_batch batch);
gristmill_wire_result *gristmill_do_finish(gristmill_transform transform, const gristmill_mapper *mapper);
/* Called when the host has read what was returned. */
void gristmill_returned(void *result);

#ifdef __wasm__

#define GRISTMILL_EXPORT(interface, function)                                                                          \
    __attribute__((export_name("gristmill:mapper/" interface "@0.1.0#" function)))
#define GRISTMILL_RETURNED(interface, function)                                                                        \
    __attribute__((export_name("cabi_post_gristmill:mapper/" interface "@0.1.0#" function)))

#define GRISTMILL_TRANSFORM(interface, name, transform, mapper)                                                        \
    GRISTMILL_EXPORT(interface, "check") void *name##_check(const char *bytes, size_t length)                          \
    {                                                                                                                  \
        return gristmill_do_check(&(mapper), (gristmill_text){bytes, length});                                         \
    }                                                                                                                  \
    GRISTMILL_EXPORT(interface, "open") void *name##_open(const gristmill_wire_opening *opening)                       \
    {                                                                                                                  \
        return gristmill_do_open(transform, &(mapper), opening);                                                       \
    }                                                                                                                  \
    GRISTMILL_EXPORT(interface, "map-batch")                                                                           \
    void *name##_map(uint32_t first_row, uint32_t rows, const gristmill_wire_cells *columns, size_t count)             \
    {                                                                                                                  \
        return gristmill_do_map(transform, &(mapper), (gristmill_wire_batch){columns, count, first_row, rows});        \
    }                                                                                                                  \
    GRISTMILL_EXPORT(interface, "finish") void *name##_finish(void)                                                    \
    {                                                                                                                  \
        return gristmill_do_finish(transform, &(mapper));                                                              \
    }                                                                                                                  \
    GRISTMILL_RETURNED(interface, "check") void name##_checked(void *result)                                           \
    {                                                                                                                  \
        gristmill_returned(result);                                                                                    \
    }                                                                                                                  \
    GRISTMILL_RETURNED(interface, "open") void name##_opened(void *result)                                             \
    {                                                                                                                  \
        gristmill_returned(result);                                                                                    \
    }                                                                                                                  \
    GRISTMILL_RETURNED(interface, "map-batch") void name##_mapped(void *result)                                        \
    {                                                                                                                  \
        gristmill_returned(result);                                                                                    \
    }                                                                                                                  \
    GRISTMILL_RETURNED(interface, "finish") void name##_finished(void *result)                                         \
    {                                                                                                                  \
        gristmill_returned(result);                                                                                    \
    }

#else

/* Without a host, tests call `gristmill_do_open` and its like. */
#define GRISTMILL_TRANSFORM(interface, name, transform, mapper) const gristmill_mapper *const name##_mapper = &(mapper);

#endif

/* Makes `mapper` the component's `field-mapping`. */
#define GRISTMILL_FIELD_MAPPING(mapper)                                                                                \
    GRISTMILL_TRANSFORM("field-mapping", gristmill_field_mapping, GRISTMILL_FIELD_MAPPER, mapper)
/* Makes `mapper` the component's `product-usage`. */
#define GRISTMILL_PRODUCT_USAGE(mapper)                                                                                \
    GRISTMILL_TRANSFORM("product-usage", gristmill_product_usage, GRISTMILL_USAGE_MAPPER, mapper)

#endif
