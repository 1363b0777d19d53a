/* Parameter counts as people write them: "70B", "7.11B", "500M", "1.5T". */
#ifndef HOST_SELECT_SIZE_H
#define HOST_SELECT_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Exact decimal arithmetic, no rounding: "7.11B" is 7110000000.  Suffixes are K, M, B and T, upper case; none is plain
 * parameters.  (OME reads no K, though its agent, like ours, writes it for small models.)  False (OUT untouched) for
 * anything else, for 0 and for what does not fit. */
bool size_parse(const char *text, uint64_t *out);

#endif
