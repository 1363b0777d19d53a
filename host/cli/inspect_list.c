#include "cli/inspect_list.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "model/facts.h"
#include "model/families.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

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
