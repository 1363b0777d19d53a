/* Kubernetes resource quantities ("500m", "16Gi", "1e3"; apimachinery resource.Quantity). */
#ifndef HOST_BASE_QUANTITY_H
#define HOST_BASE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* In thousandths, rounded up; false when TEXT is no quantity or too large for int64_t. */
bool quantity_milli(const char *text, int64_t *out);
/* In whole units, rounded up. */
bool quantity_value(const char *text, int64_t *out);

enum { QUANTITY_TEXT = 64 };
/* The one form the API server stores: no fraction, the largest suffix that keeps the value whole, in the notation
 * (powers of 2, of 10, or an exponent) that TEXT has.  Finer than a billionth is rounded up; what is too large for 128
 * bits stays as it is.  False when TEXT is no quantity; OUT is then undefined. */
bool quantity_canonical(const char *text, char out[QUANTITY_TEXT]);

#endif
