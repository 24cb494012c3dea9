/* Usage records: the logins of an account, summed up by month. */

#include "sdk/gristmill.h"

enum { ACCOUNT, DAY, LOGINS };

static void open_usage(gristmill_table *table)
{
    gristmill_column(table, "Account ID");
    gristmill_column(table, "Day");
    gristmill_column(table, "Logins");
    gristmill_identify(table, GRISTMILL_CRM_ID, NULL);
}

static void map_usage(const gristmill_row *row)
{
    const gristmill_series_type logins = {
        .product = "Core",
        .metric = "logins",
        .type = GRISTMILL_INTEGER,
        .period = GRISTMILL_MONTHLY,
    };
    int32_t day;
    int64_t count;
    if (gristmill_read_date(row, DAY, NULL, &day) != GRISTMILL_READ) return;
    if (gristmill_read_integer(row, LOGINS, NULL, &count) != GRISTMILL_READ) return;
    const gristmill_text account = gristmill_trim(gristmill_cell(row, ACCOUNT));
    gristmill_entry(row, &account, day, gristmill_period_start(GRISTMILL_MONTHLY, day));
    gristmill_add_integer(row, gristmill_series(row->table, logins), count);
}

static const gristmill_mapper usage = {.open = open_usage, .map = map_usage};
GRISTMILL_PRODUCT_USAGE(usage)
