/* SPDX-License-Identifier: MIT */
/* The log where it is a file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Opens the file of that name, whose %p is `pid`, and makes it if it does not exist. Returns NULL,
 * or why the file cannot be a log: "is a directory, so nothing is written there".
 */
const char *logfile_open(const char *name, uint64_t pid);

/* Can another user replace the open file? */
bool logfile_is_exposed(void);

enum logfile_status {
    LOGFILE_WRITTEN,
    LOGFILE_LOST,   /* this line: the disk is full, a FIFO has no reader */
    LOGFILE_CLOSED, /* the file is out of reach */
};

/* Writes a line of that process. */
enum logfile_status logfile_write(uint64_t pid, const char *line, size_t length);
