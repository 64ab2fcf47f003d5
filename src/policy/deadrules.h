/* SPDX-License-Identifier: MIT */
/* Rules that can never decide, because the rules before them decide for all that they match. */
#pragma once

#include "policy/policy.h"

/*
 * Can the rule of that index never decide? No, if several addresses or shares only together cover
 * it.
 */
bool deadrules_has(const struct policy *policy, unsigned index);
