#include "compose/words.h"

#include <stdarg.h>

bool words_add(struct json_object *list, ...) {
  va_list ap;
  bool ok = list != NULL;

  va_start(ap, list);
  for (const char *text; ok && (text = va_arg(ap, const char *));) {
    struct json_object *v = json_object_new_string(text);
    ok = v && json_object_array_add(list, v) == 0;
  }
  va_end(ap);
  return ok;
}
