#include "cli/table.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 32

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

static void print_rows(const struct table *t) {
  size_t widths[COLUMNS_MAX] = {0};

  for (size_t r = 0; r < t->rows.len; r++)
    for (size_t c = 0; c < COLUMNS_MAX && t->rows.items[r][c]; c++)
      if (strlen(t->rows.items[r][c]) > widths[c])
        widths[c] = strlen(t->rows.items[r][c]);
  for (size_t r = 0; r < t->rows.len; r++) {
    const char *const *row = t->rows.items[r];
    for (size_t c = 0; c < COLUMNS_MAX && row[c]; c++) {
      bool last = c + 1 == COLUMNS_MAX || !row[c + 1];
      printf("%-*s%s", last ? 0 : (int)widths[c] + 3, row[c], last ? "\n" : "");
    }
  }
}

void table_print(struct table *t) {
  print_rows(t);
  for (size_t i = 0; i < t->rows.len; i++)
    free((void *)(uintptr_t)t->rows.items[i]);
  for (size_t i = 0; i < t->texts.len; i++)
    free(t->texts.items[i]);
  VEC_FREE(&t->rows);
  VEC_FREE(&t->texts);
}
