/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: a check that ends the run, and a policy printed whole. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must not vanish with NDEBUG. */
static inline void fuzz_check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz: does not hold: %s\n", what);
    abort();
}

/* Twice the text that is accepted: what is printed can be longer than what it came from. */
#define FUZZ_PRINT_MAX (2 * POLICY_TEXT_MAX)

/* Every rule, joined by ';'. */
static inline void fuzz_print(const struct policy *policy, struct text *out)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        text_put(out, i > 0 ? ";" : "");
        policy_print_rule(policy, &policy->rules[i], out);
    }
    fuzz_check(out->length < out->size - 1, "a printed policy is not much longer than its text");
}
