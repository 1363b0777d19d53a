#include "cli/inspect_list.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "model/facts.h"
#include "model/families.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/serve.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORKERS 16u

/* ---- many models ------------------------------------------------------------------------------------------------- */

static struct json_object *describe(const char *path) {
  _cleanup_model_facts_ struct model_facts facts = {0};
  struct ome_err err = ERR_INIT;
  int32_t rc = model_facts_of_path(path, &facts, &err);
  struct json_object *o = rc == OME_OK ? model_facts_json(&facts) : json_object_new_object();

  (void)json_set_str(o, "path", path);
  if (rc != OME_OK)
    (void)json_set_str(o, "error", err.msg);
  return o;
}

/* Each worker takes the folder that is next; what is said of it keeps its place. */
struct each {
  const struct model_folders *folders;
  struct json_object **said; /* one a folder */
  atomic_size_t next;
};

static void *describe_some(void *arg) {
  struct each *e = arg;
  size_t i = 0;

  while (!cli_stopping() && (i = atomic_fetch_add(&e->next, 1)) < e->folders->list.len)
    e->said[i] = describe(e->folders->list.items[i]);
  return NULL;
}

/* On every processor, this thread among the workers. */
static void describe_all(struct each *e) {
  pthread_t threads[MAX_WORKERS - 1];
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  size_t n = 0;

  while (n < ARRAY_LEN(threads) && (long)n + 1 < processors && n + 1 < e->folders->list.len &&
         pthread_create(&threads[n], NULL, describe_some, e) == 0)
    n++;
  (void)describe_some(e);
  for (size_t i = 0; i < n; i++)
    (void)pthread_join(threads[i], NULL);
}

int32_t inspect_each(const char *path, struct json_object **out, struct ome_err *err) {
  _cleanup_model_folders_ struct model_folders folders = {0};
  struct each e = {.folders = &folders};
  int32_t rc = model_folders_find(path, &folders, err);

  if (rc != OME_OK)
    return rc;
  e.said = calloc(folders.list.len, sizeof(struct json_object *));
  if (!e.said)
    return fail_memory(err);
  describe_all(&e);
  *out = json_object_new_array();
  for (size_t i = 0; i < folders.list.len; i++)
    if (e.said[i])
      (void)json_add(*out, e.said[i]);
  free(e.said);
  return OME_OK;
}

void inspect_each_print(struct json_object *list) {
  static const char *const header[] = {"PATH", "TYPE", "SIZE", "CONTEXT", "QUANTIZATION", "CAPABILITIES"};
  struct table t = {0};

  table_add(&t, header, ARRAY_LEN(header));
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *o = json_index(list, i), *can = json_get(o, "modelCapabilities");
    const char *wrong = json_str(o, "error", "");
    const char *const row[] = {json_str(o, "path", ""),
                               *wrong ? wrong : table_dash(json_str(o, "modelType", "")),
                               table_dash(json_str(o, "modelParameterSize", "")),
                               table_own(&t, str_printf("%lld", (long long)json_i64(o, "contextLength", 0))),
                               table_dash(json_str(o, "quantization", "")),
                               json_len(can) ? json_object_get_string(json_index(can, 0)) : "-"};
    table_add(&t, row, ARRAY_LEN(row));
  }
  table_print(&t);
}

/* ---- the families ------------------------------------------------------------------------------------------------ */

struct json_object *inspect_families(void) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < nfamilies; i++) {
    struct json_object *o = json_add_object(list);
    _cleanup_free_ char **types = str_split(families[i].types, '|');
    (void)json_set_str(o, "family", families[i].name);
    (void)json_set(o, "modelTypes", types ? json_strings((const char *const *)types) : NULL);
    (void)json_set_str(o, "modelArchitecture", families[i].architecture);
    (void)json_set_str(o, "count", families[i].traits & ESTIMATE ? "estimate" : "exact");
    (void)json_set_str(o, "notes", families[i].notes);
  }
  return list;
}

void inspect_families_print(struct json_object *list) {
  static const char *const header[] = {"FAMILY", "MODEL TYPES", "ARCHITECTURE", "COUNT", "NOTES"};
  struct table t = {0};

  table_add(&t, header, ARRAY_LEN(header));
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *o = json_index(list, i), *types = json_get(o, "modelTypes");
    _cleanup_buf_ struct buf names = BUF_INIT;
    for (size_t k = 0; k < json_len(types); k++)
      buf_addf(&names, "%s%s", k ? "," : "", json_object_get_string(json_index(types, k)));
    const char *const row[] = {json_str(o, "family", ""), table_own(&t, strdup(buf_str(&names))),
                               json_str(o, "modelArchitecture", ""), json_str(o, "count", ""),
                               json_str(o, "notes", "")};
    table_add(&t, row, ARRAY_LEN(row));
  }
  table_print(&t);
}
