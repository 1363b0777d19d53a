/* Adapters: what the PEFT library trains beside a model and saves with an adapter_config.json. */
#include "model/internal.h"

#include "base/buf.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_CONFIG ((size_t)1 << 20)

/* target_modules is a list of names, or a pattern as one text. */
static void read_targets(struct json_object *targets, struct model_adapter *a) {
  _cleanup_buf_ struct buf names = BUF_INIT;

  if (json_is(targets, json_type_string))
    buf_adds(&names, json_object_get_string(targets));
  for (size_t i = 0; i < json_len(targets); i++) {
    struct json_object *name = json_index(targets, i);
    if (json_is(name, json_type_string))
      buf_addf(&names, "%s%s", names.len ? "," : "", json_object_get_string(name));
  }
  (void)snprintf(a->targets, sizeof(a->targets), "%s", buf_str(&names));
}

static uint64_t positive(struct json_object *o, const char *key) {
  int64_t n = json_i64(o, key, 0);

  return n > 0 && n < (int64_t)1 << 32 ? (uint64_t)n : 0;
}

int32_t adapter_read(const struct model_source *src, const char *path, struct model_facts *f, struct ome_err *err) {
  _cleanup_json_ struct json_object *config = NULL;
  int32_t rc = source_json(src, path, MAX_CONFIG, &config, err);

  if (rc != OME_OK)
    return rc;
  if (!json_is(config, json_type_object))
    return fail(err, OME_E_CORRUPT, "model: %s: is no JSON object", path);
  struct model_adapter *a = &f->adapter;
  (void)snprintf(a->type, sizeof(a->type), "%.31s", json_str(config, "peft_type", ""));
  (void)snprintf(a->base, sizeof(a->base), "%.255s", json_str(config, "base_model_name_or_path", ""));
  a->rank = positive(config, "r");
  a->alpha = positive(config, "lora_alpha");
  read_targets(json_get(config, "target_modules"), a);
  for (size_t i = 0; a->type[i]; i++)
    f->type[i] = (char)tolower((unsigned char)a->type[i]);
  (void)snprintf(f->framework, sizeof(f->framework), "peft");
  (void)snprintf(f->framework_version, sizeof(f->framework_version), "%.31s", json_str(config, "peft_version", ""));
  f->embedding = streq(json_str(config, "task_type", ""), "FEATURE_EXTRACTION");
  if (a->base[0] == '\0')
    facts_warn(f, "%s does not name the model that the adapter is for", path);
  return OME_OK;
}
