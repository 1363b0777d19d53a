#include "cli/table.h"

#include "cli/cli.h"

#include <stdint.h>

void table_add(struct table *t, const char *const *cells, size_t n) {
  const char **row = calloc(n + 1, sizeof(*row));

  for (size_t i = 0; row && i < n; i++)
    row[i] = cells[i];
  if (row && !VEC_PUSH(&t->rows, row))
    free(row);
}

const char *table_own(struct table *t, char *text) {
  if (text && VEC_PUSH(&t->texts, text))
    return text;
  free(text);
  return "";
}

const char *table_dash(const char *text) {
  return text && *text ? text : "-";
}

void table_print(struct table *t) {
  cli_table(t->rows.items, t->rows.len);
  for (size_t i = 0; i < t->rows.len; i++)
    free((void *)(uintptr_t)t->rows.items[i]);
  for (size_t i = 0; i < t->texts.len; i++)
    free(t->texts.items[i]);
  VEC_FREE(&t->rows);
  VEC_FREE(&t->texts);
}
