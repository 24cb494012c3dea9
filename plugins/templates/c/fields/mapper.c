/* Account records: the plan and the yearly revenue of an account. */

#include "sdk/gristmill.h"

enum { ACCOUNT, PLAN, ARR };
enum { PLAN_FIELD, ARR_FIELD };

static void open_accounts(gristmill_table *table)
{
    const gristmill_field_type plan = {.name = "plan", .type = GRISTMILL_TEXT, .semantic = GRISTMILL_PICKLIST};
    const gristmill_field_type arr = {
        .name = "arr",
        .type = GRISTMILL_DECIMAL,
        .scale = 2,
        .semantic = GRISTMILL_CURRENCY,
        .unit = "EUR",
    };
    gristmill_column(table, "Account ID");
    gristmill_column(table, "Plan");
    gristmill_column(table, "ARR");
    gristmill_identify(table, GRISTMILL_CRM_ID, NULL);
    gristmill_field(table, plan);
    gristmill_field(table, arr);
}

static void map_account(const gristmill_row *row)
{
    static const gristmill_locale locale = {'.', ','};
    const gristmill_text plan = gristmill_trim(gristmill_cell(row, PLAN));
    int64_t arr;
    const gristmill_reading reading = gristmill_read_decimal(row, ARR, &locale, 2, &arr);
    if (reading == GRISTMILL_UNREADABLE) return;
    gristmill_account(row, (gristmill_text[1]){gristmill_trim(gristmill_cell(row, ACCOUNT))});
    if (plan.length > 0) gristmill_set_text(row, PLAN_FIELD, plan);
    if (reading == GRISTMILL_READ) gristmill_set_integer(row, ARR_FIELD, arr);
}

static const gristmill_mapper accounts = {.open = open_accounts, .map = map_account};
GRISTMILL_FIELD_MAPPING(accounts)
