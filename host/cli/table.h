/* A table for people, of left-aligned columns, filled row by row. */
#ifndef HOST_CLI_TABLE_H
#define HOST_CLI_TABLE_H

#include "base/vec.h"

/* {0} is an empty one. */
struct table {
  VEC(const char *const *) rows;
  VEC(char *) texts; /* cells that are the table's own */
};

/* A row of N cells, 32 at the most, none of them NULL, which outlive the table or are table_own()'s.  The first is the
 * header.  What memory does not suffice for is left out. */
void table_add(struct table *t, const char *const *cells, size_t n);
/* TEXT (malloc) as a cell, freed with the table; NULL, as memory ran out: "". */
const char *table_own(struct table *t, char *text);
/* TEXT as a cell; "-" where it is NULL or empty. */
const char *table_dash(const char *text);
/* Prints the table and empties it. */
void table_print(struct table *t);

#endif
