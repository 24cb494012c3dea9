/* Reading: texts, numbers, dates and the JSON of settings. Knows nothing of tables. */

#include "gristmill.h"

#include <stdlib.h>
#include <string.h>

gristmill_text gristmill_text_of(const char *string)
{
    return (gristmill_text){string, string ? strlen(string) : 0};
}

gristmill_text gristmill_part(gristmill_text text, size_t from, size_t length)
{
    if (from > text.length) from = text.length;
    if (length > text.length - from) length = text.length - from;
    return (gristmill_text){text.bytes + from, length};
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

gristmill_text gristmill_trim(gristmill_text text)
{
    while (text.length > 0 && is_space(text.bytes[0])) text = gristmill_part(text, 1, SIZE_MAX);
    while (text.length > 0 && is_space(text.bytes[text.length - 1])) text.length--;
    return text;
}

bool gristmill_equal(gristmill_text text, const char *string)
{
    return text.length == strlen(string) && memcmp(text.bytes, string, text.length) == 0;
}

/* ---- Numbers ---- */

/* A number of sign, digits and point alone. */
typedef struct {
    bool is_negative;
    char digits[64];
    size_t length;
    /* Digits before the point. */
    size_t whole;
} plain_number;

/* Takes sign, groups and point apart; an exponent does not read. */
static bool plain(gristmill_text text, const gristmill_locale *locale, plain_number *number)
{
    const char point = locale && locale->point ? locale->point : '.';
    const char group = locale ? locale->group : 0;
    text = gristmill_trim(text);
    *number = (plain_number){0};
    size_t at = 0;
    if (text.length > 0 && (text.bytes[0] == '-' || text.bytes[0] == '+'))
        number->is_negative = text.bytes[at++] == '-';
    bool has_point = false, has_groups = false;
    size_t since_group = 0;
    for (; at < text.length; at++) {
        const char byte = text.bytes[at];
        if (is_digit(byte)) {
            if (number->length == sizeof number->digits) return false;
            number->digits[number->length++] = byte;
            since_group++;
        } else if (byte == point && !has_point && (!has_groups || since_group == 3)) {
            has_point = true;
            number->whole = number->length;
        } else if (group && byte == group && !has_point && since_group <= 3 &&
                   (has_groups ? since_group == 3 : since_group > 0)) {
            has_groups = true;
            since_group = 0;
        } else {
            return false;
        }
    }
    if (!has_point) number->whole = number->length;
    return number->length > 0 && (has_point || !has_groups || since_group == 3);
}

bool gristmill_parse_decimal(gristmill_text text, const gristmill_locale *locale, uint8_t scale, int64_t *value)
{
    plain_number number;
    if (!plain(text, locale, &number)) return false;
    int64_t units = 0;
    for (size_t place = 0; place < number.whole + scale || place < number.length; place++) {
        const int64_t digit = place < number.length ? number.digits[place] - '0' : 0;
        if (place >= number.whole + scale) {
            if (digit != 0) return false;
            continue;
        }
        /* Downwards, for the smallest number has no positive twin. */
        if (__builtin_mul_overflow(units, 10, &units) || __builtin_sub_overflow(units, digit, &units)) return false;
    }
    if (!number.is_negative && __builtin_sub_overflow(0, units, &units)) return false;
    *value = units;
    return true;
}

bool gristmill_parse_float(gristmill_text text, const gristmill_locale *locale, double *value)
{
    text = gristmill_trim(text);
    size_t mantissa = 0;
    while (mantissa < text.length && text.bytes[mantissa] != 'e' && text.bytes[mantissa] != 'E') mantissa++;
    plain_number number;
    if (!plain(gristmill_part(text, 0, mantissa), locale, &number)) return false;
    char buffer[96];
    size_t length = 0;
    if (number.is_negative) buffer[length++] = '-';
    for (size_t place = 0; place < number.length; place++) {
        if (place == number.whole) buffer[length++] = '.';
        buffer[length++] = number.digits[place];
    }
    if (mantissa < text.length) {
        const gristmill_text exponent = gristmill_part(text, mantissa + 1, SIZE_MAX);
        const size_t sign = exponent.length > 0 && (exponent.bytes[0] == '-' || exponent.bytes[0] == '+');
        if (exponent.length == sign || exponent.length > 8) return false;
        buffer[length++] = 'e';
        for (size_t at = 0; at < exponent.length; at++) {
            if (at >= sign && !is_digit(exponent.bytes[at])) return false;
            buffer[length++] = exponent.bytes[at];
        }
    }
    buffer[length] = 0;
    *value = strtod(buffer, NULL);
    return *value - *value == 0;
}

/* ---- Days ---- */

/* Days from 0000-03-01 of the calendar in which every year ends with February. */
static int32_t days_before(int32_t year, int32_t month, int32_t day)
{
    const int32_t y = month > 2 ? year : year - 1;
    const int32_t since_march = month > 2 ? month - 3 : month + 9;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * since_march + 2) / 5 + day - 1;
}

#define EPOCH 719468

bool gristmill_day(int32_t year, int32_t month, int32_t day, int32_t *days)
{
    static const int32_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) return false;
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (month == 2 && is_leap)) return false;
    *days = days_before(year, month, day) - EPOCH;
    return true;
}

void gristmill_date(int32_t days, int32_t *year, int32_t *month, int32_t *day)
{
    const int32_t since = days + EPOCH;
    const int32_t era = (since >= 0 ? since : since - 146096) / 146097;
    const int32_t of_era = since - era * 146097;
    const int32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int32_t since_march = (5 * of_year + 2) / 153;
    *day = of_year - (153 * since_march + 2) / 5 + 1;
    *month = since_march < 10 ? since_march + 3 : since_march - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

int32_t gristmill_period_start(gristmill_period period, int32_t day)
{
    int32_t year, month, of_month, start = day;
    gristmill_date(day, &year, &month, &of_month);
    switch (period) {
    case GRISTMILL_WEEKLY:
        /* 1970-01-01 was a Thursday. */
        return day - ((day + 3) % 7 + 7) % 7;
    case GRISTMILL_MONTHLY:
        return day - of_month + 1;
    case GRISTMILL_QUARTERLY:
        gristmill_day(year, month - (month - 1) % 3, 1, &start);
        return start;
    case GRISTMILL_YEARLY:
        gristmill_day(year, 1, 1, &start);
        return start;
    case GRISTMILL_SINGLE:
    case GRISTMILL_DAILY:
    case GRISTMILL_CUSTOM:
        break;
    }
    return day;
}

bool gristmill_parse_date(gristmill_text text, const char *form, int32_t *day)
{
    text = gristmill_trim(text);
    int32_t year = 1970, month = 1, of_month = 1;
    size_t at = 0;
    for (const char *wanted = form ? form : "%Y-%m-%d"; *wanted; wanted++) {
        int32_t *part = NULL;
        if (*wanted == '%') {
            part = wanted[1] == 'Y' ? &year : wanted[1] == 'm' ? &month : wanted[1] == 'd' ? &of_month : NULL;
        }
        if (!part) {
            if (at == text.length || text.bytes[at++] != *wanted) return false;
            continue;
        }
        wanted++;
        const size_t most = part == &year ? 4 : 2;
        size_t digits = 0;
        for (*part = 0; digits < most && at < text.length && is_digit(text.bytes[at]); digits++) {
            *part = *part * 10 + (text.bytes[at++] - '0');
        }
        if (digits == 0 || (part == &year && digits != 4)) return false;
    }
    return at == text.length && gristmill_day(year, month, of_month, day);
}

/* ---- JSON ---- */

static gristmill_text after(gristmill_text json, size_t bytes)
{
    return gristmill_trim(gristmill_part(json, bytes, SIZE_MAX));
}

/* How long the value is with which a text begins; 0 if it ends before. */
static size_t value_length(gristmill_text json)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t at = 0; at < json.length; at++) {
        const char byte = json.bytes[at];
        if (in_string) {
            if (byte == '\\') at++;
            in_string = byte != '"';
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '{' || byte == '[') {
            depth++;
            continue;
        } else if (byte == '}' || byte == ']' || byte == ',' || byte == ':' || is_space(byte)) {
            if (depth == 0) return at;
            depth -= byte == '}' || byte == ']';
        }
        if (depth == 0 && !in_string && (byte == '"' || byte == '}' || byte == ']')) return at + 1;
    }
    return depth == 0 && !in_string ? json.length : 0;
}

/* Takes the next member off what is left of an object. */
static bool next_member(gristmill_text *rest, gristmill_text *name, gristmill_text *value)
{
    const size_t name_length = value_length(*rest);
    *name = gristmill_part(*rest, 0, name_length);
    *rest = after(*rest, name_length);
    if (name_length < 2 || rest->length == 0 || rest->bytes[0] != ':') return false;
    *rest = after(*rest, 1);
    const size_t length = value_length(*rest);
    *value = gristmill_part(*rest, 0, length);
    *rest = after(*rest, length);
    if (rest->length > 0 && rest->bytes[0] == ',') *rest = after(*rest, 1);
    return length > 0;
}

static gristmill_text members(gristmill_text json)
{
    json = gristmill_trim(json);
    return json.length > 0 && json.bytes[0] == '{' ? after(json, 1) : (gristmill_text){0};
}

gristmill_text gristmill_json_member(gristmill_text json, const char *name)
{
    gristmill_text rest = members(json), found, value;
    char buffer[256];
    while (next_member(&rest, &found, &value)) {
        if (gristmill_json_string(found, buffer, sizeof buffer) && strcmp(buffer, name) == 0) return value;
    }
    return (gristmill_text){0};
}

bool gristmill_json_name(gristmill_text json, size_t place, char *buffer, size_t capacity)
{
    gristmill_text rest = members(json), name, value;
    while (next_member(&rest, &name, &value)) {
        if (place-- == 0) return gristmill_json_string(name, buffer, capacity);
    }
    return false;
}

/* The four hexadecimal digits of an escape; 0 if there are none. */
static uint32_t unit_at(gristmill_text json, size_t at)
{
    uint32_t unit = 0;
    for (size_t digit = 0; digit < 4; digit++) {
        const char byte = at + digit < json.length ? json.bytes[at + digit] : 0;
        const char lower = byte | 0x20;
        if (!is_digit(byte) && (lower < 'a' || lower > 'f')) return 0;
        unit = unit << 4 | (uint32_t)(is_digit(byte) ? byte - '0' : lower - 'a' + 10);
    }
    return unit;
}

static size_t write_utf8(uint32_t code, char *bytes)
{
    if (code < 0x80) return bytes[0] = (char)code, 1;
    const size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    for (size_t place = more; place > 0; place--, code >>= 6) bytes[place] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(0xff00 >> (more + 1) | code);
    return more + 1;
}

bool gristmill_json_string(gristmill_text json, char *buffer, size_t capacity)
{
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    json = gristmill_trim(json);
    if (json.length < 2 || json.bytes[0] != '"' || value_length(json) != json.length) return false;
    size_t length = 0;
    for (size_t at = 1; at + 1 < json.length; at++) {
        /* A character and the zero behind it. */
        if (length + 5 > capacity) return false;
        if (json.bytes[at] != '\\') {
            buffer[length++] = json.bytes[at];
            continue;
        }
        const char escape = json.bytes[++at];
        if (escape != 'u') {
            const char *meant = escape ? strchr(escapes, escape) : NULL;
            buffer[length++] = meant ? meant[1] : escape;
            continue;
        }
        uint32_t code = unit_at(json, at + 1);
        at += 4;
        if (code >= 0xd800 && code < 0xdc00) {
            const uint32_t low = unit_at(json, at + 3);
            if (low < 0xdc00 || low >= 0xe000) return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
        }
        /* A text ends at a zero; half of a pair is no character. */
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
        length += write_utf8(code, buffer + length);
    }
    buffer[length] = 0;
    return true;
}

bool gristmill_json_integer(gristmill_text json, int64_t *value)
{
    return gristmill_parse_decimal(json, NULL, 0, value);
}

bool gristmill_json_boolean(gristmill_text json, bool *value)
{
    json = gristmill_trim(json);
    *value = gristmill_equal(json, "true");
    return *value || gristmill_equal(json, "false");
}
