/* SPDX-License-Identifier: MIT */
/* A line of the log: key=value pairs. Pure: asks no clock, writes nowhere. */
#include "report/line.h"

#include <stdbool.h>
#include <string.h>

#include "policy/address.h"

#define TAIL_ROOM 16 /* for the end of a cut quoted value, and what follows it */

/* `mark` precedes the number, which is filled up with zeros. */
static void put_padded(struct text *out, const char *mark, uint64_t number, unsigned width)
{
    uint64_t unit = 1;

    text_put(out, mark);
    while (--width > 0)
        unit *= 10;
    for (; unit > 1 && number < unit; unit /= 10)
        text_put_char(out, '0');
    text_put_number(out, number);
}

/* Days since 1970-01-01 as year, month and day (the proleptic Gregorian calendar, in UTC). */
static void put_date(struct text *out, uint64_t days)
{
    uint64_t shifted = days + 719468; /* since 0000-03-01 */
    uint64_t era = shifted / 146097;
    uint64_t day_of_era = shifted % 146097;
    uint64_t year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day = day_of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day + 2) / 153; /* 0 is March */

    put_padded(out, "time=", year + era * 400 + (month >= 10), 4);
    put_padded(out, "-", month < 10 ? month + 3 : month - 9, 2);
    put_padded(out, "-", day - (153 * month + 2) / 5 + 1, 2);
}

void line_begin(struct line *line, const struct timespec *wall, const struct timespec *steady)
{
    struct text *out = &line->text;
    uint64_t seconds = (uint64_t)wall->tv_sec;

    text_begin(out, line->data, LINE_LENGTH_MAX); /* one byte is the newline's */
    put_date(out, seconds / 86400);
    put_padded(out, "T", seconds / 3600 % 24, 2);
    put_padded(out, ":", seconds / 60 % 60, 2);
    put_padded(out, ":", seconds % 60, 2);
    put_padded(out, ".", (uint64_t)wall->tv_nsec / 1000, 6);
    put_padded(out, "Z mono=", (uint64_t)steady->tv_sec, 1);
    put_padded(out, ".", (uint64_t)steady->tv_nsec / 1000, 6);
}

size_t line_end(struct line *line)
{
    line->data[line->text.length++] = '\n';
    return line->text.length;
}

void line_word(struct line *line, const char *key, const char *value)
{
    text_put_char(&line->text, ' ');
    text_put(&line->text, key);
    text_put_char(&line->text, '=');
    text_put(&line->text, value);
}

void line_number(struct line *line, const char *key, uint64_t number)
{
    line_word(line, key, "");
    text_put_number(&line->text, number);
}

static bool is_plain(const char *value)
{
    for (const char *c = value; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
            return false;
    }
    return value[0] != '\0';
}

void line_value(struct line *line, const char *key, const char *value)
{
    static const char digits[] = "0123456789abcdef";
    struct text *out = &line->text;

    if (is_plain(value) && out->length + strlen(key) + strlen(value) + TAIL_ROOM < out->size) {
        line_word(line, key, value);
        return;
    }
    line_word(line, key, "\"");
    for (const char *c = value; *c; c++) {
        if (out->length + TAIL_ROOM >= out->size) {
            text_put(out, "...");
            break;
        }
        if (*c == '"' || *c == '\\') {
            text_put_char(out, '\\');
            text_put_char(out, *c);
        } else if (*c >= ' ' && *c <= '~') {
            text_put_char(out, *c);
        } else {
            text_put(out, "\\x");
            text_put_char(out, digits[(unsigned char)*c >> 4]);
            text_put_char(out, digits[(unsigned char)*c & 0xf]);
        }
    }
    text_put_char(out, '"');
}

void line_endpoint(struct line *line, const char *key, struct policy_ip ip, uint16_t port)
{
    line_word(line, key, "");
    address_print_endpoint(&line->text, ip, port);
}
