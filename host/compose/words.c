#include "compose/words.h"

#include <stdarg.h>

bool words_add(struct json_object *list, ...) {
  va_list ap;
  bool ok = list != NULL;

  va_start(ap, list);
  for (const char *text; ok && (text = va_arg(ap, const char *));)
    ok = json_add_str(list, text);
  va_end(ap);
  return ok;
}
