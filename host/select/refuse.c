#include "select/refuse.h"

#include <stdarg.h>
#include <stdio.h>

bool select_refuse(char *why, size_t cap, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(why, cap, fmt, ap);
  va_end(ap);
  return false;
}
