/* SPDX-License-Identifier: MIT */
/*
 * The variables: their names, what each value parses to, and the complaint about a value that does
 * not. Reads @FILE. The library takes them from the environment, `linger` from its options; both
 * report a mistake in the same words.
 */
#pragma once

#include "policy/policy.h"
#include "report/log.h"

enum setting {
    SETTING_MODE,         /* LINGER_MODE */
    SETTING_REUSEADDR,    /* LINGER_REUSEADDR */
    SETTING_REUSEPORT,    /* LINGER_REUSEPORT */
    SETTING_BIND_NO_PORT, /* LINGER_BIND_NO_PORT */
    SETTING_LOG,          /* LINGER_LOG */
    SETTING_STATS,        /* LINGER_STATS */
    SETTING_COUNT
};

/* Who sees the program's calls. */
enum backend {
    BACKEND_PRELOAD,   /* the library's hooks, inside the program */
    BACKEND_SUPERVISE, /* linger, from outside, before each call: seccomp user notification */
};

/*
 * A setting that was not given is a policy without rules, or an empty name. `given` says so without
 * touching them: each page touched is one more that every process has to itself.
 */
struct settings {
    const char *who;      /* who complains: "liblinger", "linger run"; the caller sets it */
    enum backend backend; /* the caller sets it */
    bool makes_accept;    /* BACKEND_SUPERVISE makes accept() itself. The caller sets it */
    unsigned given;       /* 1 << enum setting, or-ed */
    struct policy mode;
    struct policy reuseaddr;
    struct policy reuseport;
    struct policy bind_no_port;
    unsigned log_events;         /* 1 << enum event, or-ed, where there is a log */
    char log_path[LOG_PATH_MAX]; /* LOG_TO_STDERR, or a file, in which %p is the pid */
    char stats_path[LOG_PATH_MAX];
};

/*
 * By this `linger check --pid` finds the settings in the memory of a running program: those of a
 * library of its own version and size.
 */
#define SETTINGS_MARK "liblinger " LINGER_VERSION " settings"
struct settings_mark {
    char text[sizeof(SETTINGS_MARK)];
    size_t size;
    const struct settings *at;
};

/* A complaint of five lines fits. */
#define SETTINGS_COMPLAINT_MAX 1024

/* "LINGER_MODE" */
const char *settings_name(enum setting setting);

/* Was there a value, even an empty one? */
bool settings_is_given(const struct settings *s, enum setting setting);

/* The path of the log or of the counters; NULL if there is none. */
const char *settings_path(const struct settings *s, enum setting setting);

/* The file in a value of LINGER_LOG: what follows the events and their colon. */
const char *settings_log_file(const char *value);

/* Is there something to do before bind()? */
bool settings_has_switch(const struct settings *s);

/* The policy of a setting that is a policy, else NULL. */
const struct policy *settings_policy(const struct settings *s, enum setting setting);

/*
 * Takes the value of one setting, which the user knows as `shown_as` ("LINGER_MODE", "-m").
 * Returns 0, or -1 and appends to `complaint` the name, the mistake, a caret and what is accepted.
 */
int settings_take(struct settings *s, enum setting setting, const char *shown_as, const char *value,
                  struct text *complaint);

/* Appends a line to `complaint` if the value that was taken has a rule that can never decide. */
void settings_warn(const struct settings *s, enum setting setting, const char *shown_as,
                   struct text *complaint);

/*
 * Takes every LINGER_ variable of `environment`. Returns 0, with a line in `complaint` for each
 * policy that has a dead rule and each LINGER_ name that does not exist, or -1 with the complaint
 * about the value that does not parse.
 */
int settings_take_environment(struct settings *s, char *const *environment, struct text *complaint);

/* Decides prog= for the program of that file name. */
void settings_keep_program(struct settings *s, const char *program);
