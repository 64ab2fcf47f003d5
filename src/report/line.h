/* SPDX-License-Identifier: MIT */
/* A line of the log: "time=... mono=... key=value ...", described in liblinger(7), The log. */
#pragma once

#include <time.h>

#include "base/text.h"
#include "policy/policy.h"

#define LINE_LENGTH_MAX 512 /* PIPE_BUF of POSIX: what a pipe takes whole */

struct line {
    struct text text;
    char data[LINE_LENGTH_MAX + 1];
};

/* Begins with the two clocks' times, CLOCK_REALTIME in UTC and CLOCK_MONOTONIC. */
void line_begin(struct line *line, const struct timespec *wall, const struct timespec *steady);

/* Ends it with the newline; returns its length. */
size_t line_end(struct line *line);

/* " key=value" for a value that is a plain word. */
void line_word(struct line *line, const char *key, const char *value);
void line_number(struct line *line, const char *key, uint64_t number);
void line_endpoint(struct line *line, const char *key, struct policy_ip ip, uint16_t port);

/*
 * Any value: quoted if it has blanks, quotes or bytes that are not printable ASCII, with \" \\ and
 * \xHH. A value that does not fit in the line is cut and ends with "...".
 */
void line_value(struct line *line, const char *key, const char *value);
