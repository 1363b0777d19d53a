/* What the two halves of the library share, and how both are walked. */
#ifndef HOST_CEL_LIBRARY_H
#define HOST_CEL_LIBRARY_H

#include "cel/internal.h"

/* A copy of TEXT that lives as long as the evaluation. */
struct cel_value library_text(struct eval *e, enum cel_kind kind, const char *text, size_t len);
struct cel_value library_concatenate(struct eval *e, const struct cel_value *args);

const struct function *library_functions(size_t *n);
const struct function *library_text_functions(size_t *n);

#endif
