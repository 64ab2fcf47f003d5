/* SPDX-License-Identifier: MIT */
/* JSON (RFC 8259) as it is written: the writer knows where commas belong. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool follows; /* a value stands before the next one at this depth */
};

/* `key` is NULL for an element of an array, and for the document itself. */

/* `bracket` is '{' or '['; json_close() gets its counterpart. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);

/* Of a string each byte that is not printable ASCII becomes \u00XX. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, long long value);
void json_bool(struct json *json, const char *key, bool value);

/* With up to `digits` significant digits; NAN is null. */
void json_real(struct json *json, const char *key, double value, int digits);
