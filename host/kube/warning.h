/* Warnings of an API server, in headers of answers that succeed: Warning: 299 - "text" (RFC 7234, section 5.5;
 * Kubernetes sends one header a warning). */
#ifndef HOST_KUBE_WARNING_H
#define HOST_KUBE_WARNING_H

#include <stdbool.h>

#define WARNING_TEXT 512

/* The text of the next warning in *HEADERS, "name: value\n" lines, which moves on behind it; false: there is none.
 * What does not fit is cut off, and control characters are blanks: it is for terminals. */
bool warning_next(const char **headers, char out[WARNING_TEXT]);

#endif
