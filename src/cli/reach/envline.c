/* SPDX-License-Identifier: MIT */
/*
 * The kernel passes all that follows the interpreter in a #! line to it as one argument
 * (fs/binfmt_script.c). env has -S to split that; without it the argument is one option, or the
 * program. Options are read as env reads them, by getopt_long(3).
 */
#include "cli/reach/envline.h"

#include <getopt.h>
#include <string.h>

#include "base/text.h"

#define WORDS_MAX 256 /* more than a #! line has bytes */

static const struct option options[] = {
    {"ignore-environment", no_argument, NULL, 'i'},
    {"null", no_argument, NULL, '0'},
    {"unset", required_argument, NULL, 'u'},
    {"chdir", required_argument, NULL, 'C'},
    {"argv0", required_argument, NULL, 'a'},
    {"split-string", required_argument, NULL, 'S'},
    {"block-signal", optional_argument, NULL, 'b'},
    {"default-signal", optional_argument, NULL, 'b'},
    {"ignore-signal", optional_argument, NULL, 'b'},
    {"list-signal-handling", no_argument, NULL, 'v'},
    {"debug", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

struct words {
    char *word[2 * WORDS_MAX];
    int count;
};

static void add_word(struct words *words, char *word)
{
    if (words->count < 2 * WORDS_MAX - 1)
        words->word[words->count++] = word;
    words->word[words->count] = NULL;
}

/* Splits like -S: at blanks, up to a comment, without quotes and backslashes. */
static void split(char *text, struct words *words)
{
    bool in_word = false;
    char *out = text;
    char quote = '\0';

    for (const char *c = text; *c; c++) {
        if (!quote && (*c == ' ' || *c == '\t')) {
            if (in_word)
                *out++ = '\0';
            in_word = false;
            continue;
        }
        if (!in_word && *c == '#')
            break;
        if (!in_word)
            add_word(words, out);
        in_word = true;
        if (*c == quote) {
            quote = '\0';
        } else if (!quote && (*c == '\'' || *c == '"')) {
            quote = *c;
        } else {
            c += *c == '\\' && quote != '\'' && c[1];
            *out++ = *c;
        }
    }
    *out = '\0';
}

/* NAME or NAME=VALUE: would the program lose the policy by it? */
static bool is_ours(const char *name)
{
    size_t length = strcspn(name, "=");

    return strncmp(name, "LINGER_", strlen("LINGER_")) == 0 ||
           (length == strlen("LD_PRELOAD") && memcmp(name, "LD_PRELOAD", length) == 0);
}

/* Puts the words of the -S text before the words that follow. */
static void insert(struct words *words, char *text, int next)
{
    struct words whole = {.count = 0};

    add_word(&whole, words->word[0]);
    split(text, &whole);
    for (int i = next; i < words->count; i++)
        add_word(&whole, words->word[i]);
    *words = whole;
}

/* The program after the options and the assignments; it is NULL if there is none. */
static char **find_program(struct words *words, struct envline *line)
{
    char **word = &words->word[optind];

    if (*word && strcmp(*word, "-") == 0) { /* an old way to write -i */
        line->drops = true;
        word++;
    }
    for (; *word && strchr(*word, '='); word++)
        line->drops = line->drops || is_ours(*word);
    return word;
}

bool envline_read(char *argument, struct envline *line)
{
    static char name[] = "env";
    struct words words = {.count = 0};

    *line = (struct envline){NULL, false};
    add_word(&words, name);
    if (argument)
        add_word(&words, argument);
    opterr = 0;
    optind = 0; /* from the beginning: main's options were others */
    for (;;) {
        int option = getopt_long(words.count, words.word, "+iu:0vS:C:a:", options, NULL);
        if (option == '?')
            return false;
        line->drops = line->drops || option == 'i' || (option == 'u' && is_ours(optarg));
        if (option == 'S') {
            insert(&words, optarg, optind);
            optind = 0;
        }
        if (option != -1)
            continue;
        char **program = find_program(&words, line);
        line->program = *program;
        if (!*program || strcmp(text_file_name(*program), "env") != 0)
            return true;
        words.count -= (int)(program - words.word);
        memmove(words.word, program, (size_t)(words.count + 1) * sizeof(*program));
        optind = 0;
    }
}
