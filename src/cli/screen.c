/* SPDX-License-Identifier: MIT */
/* Must never write so much that the terminal scrolls: then the top, what matters most, is lost. */
#include "cli/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct winsize terminal_size(void)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20 || size.ws_row < 2)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    return size;
}

unsigned screen_columns(void)
{
    return terminal_size().ws_col - 1u; /* beside the last character stands the cursor */
}

/* The bytes of a word in UTF-8, or of as much of it as has that width. */
static size_t take_word(const char *at, unsigned most, unsigned *width)
{
    size_t length = 0;

    for (*width = 0; !strchr(" \n", at[length]); length++) {
        bool is_first = (at[length] & 0xc0) != 0x80;
        if (is_first && *width == most)
            break;
        *width += is_first;
    }
    return length;
}

/* Breaks lines between words; what follows begins a little to the right. */
static void wrap(const char *text, FILE *out)
{
    unsigned most = screen_columns();
    unsigned column = 0;
    unsigned margin = 0;
    unsigned width;

    while (*text) {
        size_t blanks = strspn(text, " ");
        if (column == 0)
            margin = (blanks < most / 2 ? (unsigned)blanks : 0) + 2;
        size_t word = take_word(text + blanks, most - margin, &width);
        if (column > 0 && width > 0 && column + blanks + width > most) {
            fprintf(out, "\n%*s", (int)margin, "");
            text += blanks;
            blanks = 0;
            column = margin;
        }
        fwrite(text, 1, blanks + word, out);
        text += blanks + word;
        column += (unsigned)blanks + width;
        if (*text == '\n') {
            fputc(*text++, out);
            column = 0;
        }
    }
}

static void draw(char *text)
{
    unsigned rows = terminal_size().ws_row - 1u; /* below them stands the cursor */

    fputs("\033[H", stdout);
    for (char *line; rows > 0 && (line = strsep(&text, "\n")) && text; rows--)
        printf("%s\033[K\n", rows == 1 && *text ? "..." : line);
    fputs("\033[J", stdout);
}

bool screen_begin(struct screen *s, bool is_redrawn)
{
    *s = (struct screen){.out = stdout};
    if (is_redrawn)
        s->out = open_memstream(&s->text, &s->size);
    return s->out != NULL;
}

void screen_end(struct screen *s)
{
    struct screen wrapped;

    if (s->out == stdout)
        return;
    if (fclose(s->out) == 0 && screen_begin(&wrapped, true)) {
        wrap(s->text, wrapped.out);
        if (fclose(wrapped.out) == 0)
            draw(wrapped.text);
        free(wrapped.text);
    }
    free(s->text);
}
