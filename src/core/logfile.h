/* The log where it is a file. */
#ifndef LINGER_LOGFILE_H
#define LINGER_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Opens the file of that name, in which %p is `pid`, and makes it if it is not there. Returns NULL,
 * or what the file is that cannot be one: "is a directory".
 */
const char *logfile_open(const char *name, uint64_t pid);

enum logfile_status {
    LOGFILE_WRITTEN,
    LOGFILE_LOST,   /* this line: the disk is full, a FIFO has no reader */
    LOGFILE_CLOSED, /* the file cannot be reached any more */
};

/* A line of that process. */
enum logfile_status logfile_write(uint64_t pid, const char *line, size_t length);

#endif
