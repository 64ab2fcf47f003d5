/* SPDX-License-Identifier: MIT */
/* A comma precedes each value but the first one at its depth. */
#include "cli/json.h"

#include <math.h>

static void put_string(FILE *out, const char *string)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < ' ' || *c >= 0x7f)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void begin_value(struct json *json, const char *key)
{
    fputs(json->follows ? "," : "", json->out);
    if (key) {
        put_string(json->out, key);
        fputc(':', json->out);
    }
    json->follows = true;
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->out);
    json->follows = false;
}

void json_close(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->follows = true;
}

void json_string(struct json *json, const char *key, const char *value)
{
    begin_value(json, key);
    put_string(json->out, value);
}

void json_number(struct json *json, const char *key, long long value)
{
    begin_value(json, key);
    fprintf(json->out, "%lld", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_real(struct json *json, const char *key, double value, int digits)
{
    begin_value(json, key);
    if (isnan(value))
        fputs("null", json->out);
    else
        fprintf(json->out, "%.*g", digits, value);
}
