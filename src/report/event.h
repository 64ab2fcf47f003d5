/* SPDX-License-Identifier: MIT */
/* The events of the log, by the names that its lines and LINGER_LOG have for them. */
#ifndef LINGER_REPORT_EVENT_H
#define LINGER_REPORT_EVENT_H

enum event {
    EVENT_LOAD,
    EVENT_ARM,
    EVENT_OVERRIDE,
    EVENT_INTERRUPT,
    EVENT_RESET,
    EVENT_CLOSE,
    EVENT_BIND,
    EVENT_CONNECT,
    EVENT_FAIL,
    EVENT_COUNT
};

#define EVENT_ALL ((1u << EVENT_COUNT) - 1)

extern const char *const event_names[EVENT_COUNT];

#endif
