/* How checks of this room say no. */
#ifndef HOST_SELECT_REFUSE_H
#define HOST_SELECT_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* Formats WHY, of CAP bytes, cut where it does not fit; false, for the check to return. */
bool select_refuse(char *why, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
