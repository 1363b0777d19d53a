/* Vectors of strings and environments. */
#include "local/podspec.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

bool strv_add(struct strv *v, char *s) {
  char **grown = s ? reallocarray(v->items, v->len + 2, sizeof(char *)) : NULL;

  if (!grown) {
    free(s);
    return false;
  }
  v->items = grown;
  v->items[v->len++] = s;
  v->items[v->len] = NULL;
  return true;
}

void strv_fini(struct strv *v) {
  for (size_t i = 0; i < v->len; i++)
    free(v->items[i]);
  free(v->items);
  *v = (struct strv){0};
}

/* Index of NAME in V; V->len: absent. */
static size_t find(const struct strv *v, const char *name) {
  size_t i = 0, n = strlen(name);

  while (i < v->len && (strncmp(v->items[i], name, n) != 0 || v->items[i][n] != '='))
    i++;
  return i;
}

bool strv_setenv(struct strv *v, const char *name, const char *value) {
  size_t i = find(v, name);
  char *entry = str_printf("%s=%s", name, value);

  if (i == v->len || !entry)
    return strv_add(v, entry);
  free(v->items[i]);
  v->items[i] = entry;
  return true;
}

const char *strv_getenv(const struct strv *v, const char *name) {
  size_t i = find(v, name);

  return i < v->len ? v->items[i] + strlen(name) + 1 : NULL;
}
