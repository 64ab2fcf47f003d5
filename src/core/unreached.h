/* Rules that can never decide, because the rules before them decide for all that they match. */
#ifndef LINGER_UNREACHED_H
#define LINGER_UNREACHED_H

#include "policy.h"

/* Is the rule of that index such a one? Says no where only several addresses or shares together do
 * it. */
bool unreached_is(const struct policy *policy, unsigned index);

#endif
