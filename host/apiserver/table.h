/* Columns of the built-in kinds in Tables, by the files that know how to fill them. */
#ifndef HOST_APISERVER_TABLE_H
#define HOST_APISERVER_TABLE_H

#include "base/json.h"

typedef struct json_object *cell_fn(struct json_object *o); /* new; NULL: null */

struct builtin_column {
  const char *name, *type, *format;
  int64_t priority; /* above 0: kubectl get -o wide */
  cell_fn *cell;
};

struct kind_columns {
  const char *group, *kind;
  const struct builtin_column *columns;
  size_t n;
};

/* Each ends with an entry without a kind. */
extern const struct kind_columns workload_tables[]; /* table_workloads.c */
extern const struct kind_columns network_tables[];  /* table_network.c */
extern const struct kind_columns other_tables[];    /* table_others.c */

/* ---- cells that many kinds have (table.c) ----------------------------------------------------------------------- */

struct json_object *text(const char *s); /* NULL: "" */
struct json_object *text_or(const char *s, const char *dflt);
struct json_object *number(int64_t n);
struct json_object *age_since(const char *stamp); /* "5m" since an RFC 3339 time */
/* "a=b,c=d", "<none>" */
struct json_object *labels_text(struct json_object *labels);
/* KEY of each item of LIST, comma-separated */
struct json_object *joined(struct json_object *list, const char *key);
cell_fn cell_name, cell_age, cell_created_at;

#define COLUMN_NAME                                                                                                    \
  { "Name", "string", "name", 0, cell_name }
#define COLUMN_AGE                                                                                                     \
  { "Age", "string", "", 0, cell_age }

#endif
