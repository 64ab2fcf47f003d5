/* SPDX-License-Identifier: MIT */
/* Names alone. */
#include "report/event.h"

const char *const event_names[] = {
    "load", "arm", "override", "interrupt", "reset", "close", "bind", "connect", "fail",
};
