/* Rules that can never decide, because the rules before them decide for all that they match. */
#ifndef LINGER_UNREACHED_H
#define LINGER_UNREACHED_H

#include "policy.h"

/* Can the rule of that index never decide? Says no if only several addresses or shares together
 * cover it. */
bool unreached_is(const struct policy *policy, unsigned index);

#endif
