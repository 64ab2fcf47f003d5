/* SPDX-License-Identifier: MIT */
/* Must not print: only the command knows whether it is an error at all. */
#include "cli/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/errno.h"

int error_set(struct error *error, const char *format, ...)
{
    va_list arguments;
    KEEP_ERRNO;

    error->cause = 0;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return -1;
}
