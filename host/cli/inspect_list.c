#include "cli/inspect_list.h"

#include "cli/cli.h"
#include "model/facts.h"
#include "model/families.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 6

/* Rows of texts that are the table's own or borrowed from a document, as cli_table() takes them. */
struct rows {
  VEC(const char *const *) list;
  VEC(char *) texts;
};

static const char *own(struct rows *r, char *text) {
  if (text && VEC_PUSH(&r->texts, text))
    return text;
  free(text);
  return "";
}

static void add_row(struct rows *r, const char *const cells[COLUMNS]) {
  const char **row = calloc(COLUMNS + 1, sizeof(*row));

  for (size_t i = 0; row && i < COLUMNS; i++)
    row[i] = cells[i];
  if (row && !VEC_PUSH(&r->list, row))
    free(row);
}

static void print_rows(struct rows *r) {
  cli_table(r->list.items, r->list.len);
  for (size_t i = 0; i < r->list.len; i++) {
    union {
      const char *const *in;
      void *out;
    } row = {r->list.items[i]};
    free(row.out);
  }
  for (size_t i = 0; i < r->texts.len; i++)
    free(r->texts.items[i]);
  VEC_FREE(&r->list);
  VEC_FREE(&r->texts);
}

static const char *or_dash(const char *text) {
  return *text ? text : "-";
}

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

int32_t inspect_each(const char *path, struct json_object **out, struct ome_err *err) {
  _cleanup_model_folders_ struct model_folders folders = {0};
  int32_t rc = model_folders_find(path, &folders, err);

  if (rc != OME_OK)
    return rc;
  *out = json_object_new_array();
  for (size_t i = 0; i < folders.list.len && !cli_stopping(); i++)
    (void)json_object_array_add(*out, describe(folders.list.items[i]));
  return OME_OK;
}

void inspect_each_print(struct json_object *list) {
  static const char *const header[COLUMNS] = {"PATH", "TYPE", "SIZE", "CONTEXT", "QUANTIZATION", "CAPABILITIES"};
  struct rows rows = {0};

  add_row(&rows, header);
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *o = json_index(list, i), *can = json_get(o, "modelCapabilities");
    const char *wrong = json_str(o, "error", "");
    const char *const row[COLUMNS] = {json_str(o, "path", ""),
                                      *wrong ? wrong : or_dash(json_str(o, "modelType", "")),
                                      or_dash(json_str(o, "modelParameterSize", "")),
                                      own(&rows, str_printf("%lld", (long long)json_i64(o, "contextLength", 0))),
                                      or_dash(json_str(o, "quantization", "")),
                                      json_len(can) ? json_object_get_string(json_index(can, 0)) : "-"};
    add_row(&rows, row);
  }
  print_rows(&rows);
}

/* ---- the families ------------------------------------------------------------------------------------------------ */

struct json_object *inspect_families(void) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < nfamilies; i++) {
    struct json_object *o = json_object_new_object(), *types = json_object_new_array();
    for (const char *at = families[i].types; *at;) {
      size_t n = strcspn(at, "|");
      (void)json_object_array_add(types, json_object_new_string_len(at, (int)n));
      at += n + (at[n] == '|');
    }
    (void)json_set_str(o, "family", families[i].name);
    (void)json_set(o, "modelTypes", types);
    (void)json_set_str(o, "modelArchitecture", families[i].architecture);
    (void)json_set_str(o, "count", families[i].traits & ESTIMATE ? "estimate" : "exact");
    (void)json_set_str(o, "notes", families[i].notes);
    (void)json_object_array_add(list, o);
  }
  return list;
}

void inspect_families_print(struct json_object *list) {
  static const char *const header[COLUMNS] = {"FAMILY", "MODEL TYPES", "ARCHITECTURE", "COUNT", "NOTES"};
  struct rows rows = {0};

  add_row(&rows, header);
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *o = json_index(list, i), *types = json_get(o, "modelTypes");
    _cleanup_buf_ struct buf names = BUF_INIT;
    for (size_t k = 0; k < json_len(types); k++)
      buf_addf(&names, "%s%s", k ? "," : "", json_object_get_string(json_index(types, k)));
    const char *const row[COLUMNS] = {json_str(o, "family", ""), own(&rows, strdup(buf_str(&names))),
                                      json_str(o, "modelArchitecture", ""), json_str(o, "count", ""),
                                      json_str(o, "notes", "")};
    add_row(&rows, row);
  }
  print_rows(&rows);
}
