/* Kubernetes resource quantities ("500m", "16Gi", "1e3"; apimachinery resource.Quantity). */
#ifndef HOST_BASE_QUANTITY_H
#define HOST_BASE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* In thousandths, rounded up; false when TEXT is no quantity or too large for int64_t. */
bool quantity_milli(const char *text, int64_t *out);
/* In whole units, rounded up. */
bool quantity_value(const char *text, int64_t *out);

#endif
