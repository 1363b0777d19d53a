/* Warnings in the headers of an answer: those found end, fit and hold nothing that moves a terminal. */
#include "kube/warning.h"

#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[WARNING_TEXT];
  _cleanup_free_ char *copy = strndup((const char *)data, size);
  const char *headers = copy;

  while (copy && warning_next(&headers, text))
    for (const char *p = text; *p; p++)
      if (iscntrl((unsigned char)*p))
        abort();
  return 0;
}
