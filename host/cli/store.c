/* ome store: what is in the model store, whether it is sound, and what of it can go. */
#include "base/str.h"
#include "cli/backends.h"
#include "cli/cli.h"
#include "cli/depot.h"
#include "cli/serve.h"

#include <stdio.h>
#include <string.h>

struct store_options {
  const char *store, *plugins, *output;
  uint64_t connections;
};

static bool stopped(UNUSED void *arg) {
  return cli_stopping();
}

static int32_t open_store(const struct store_options *o, struct model_store **out, struct ome_err *err) {
  bool given = false;
  _cleanup_free_ char *root = depot_shared(o->store, &given);

  return root ? model_store_open(root, out, err)
              : fail(err, OME_E_INVALID, "store: no store is named and there is no home folder; use --store");
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void print_list(struct json_object *all) {
  printf("%-10s %-10s %-6s %-21s %-40s %s\n", "SIZE", "OWN", "FILES", "USED", "URI", "FOLDER");
  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *o = json_index(all, i);
    char size[32];
    char own[32];
    format_bytes((uint64_t)json_i64(o, "bytes", 0), size);
    format_bytes((uint64_t)json_i64(o, "uniqueBytes", 0), own);
    printf("%-10s %-10s %-6lld %-21s %-40s %s\n", json_flag(o, "complete", false) ? size : "incomplete", own,
           (long long)json_i64(o, "files", 0), json_str(o, "usedAt", ""), json_str(o, "uri", ""),
           json_str(o, "path", ""));
  }
}

static int list(const struct store_options *o, struct model_store *s) {
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *all = model_store_list(s, &err);

  return all ? cli_print(all, o->output, print_list) : cli_fail(&err);
}

/* ---- gc ---------------------------------------------------------------------------------------------------------- */

static void print_freed(struct json_object *o) {
  char bytes[32];

  format_bytes((uint64_t)json_i64(o, "bytes", 0), bytes);
  printf("%s freed: %lld blobs, %lld interrupted transfers, %lld references to folders that are gone\n", bytes,
         (long long)json_i64(o, "blobs", 0), (long long)json_i64(o, "stagings", 0),
         (long long)json_i64(o, "references", 0));
}

static int gc(const struct store_options *o, struct model_store *s) {
  struct store_gc_result r;
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *out = json_object_new_object();

  if (model_store_gc(s, &r, &err) != OME_OK)
    return cli_fail(&err);
  (void)json_set_i64(out, "bytes", (int64_t)r.bytes);
  (void)json_set_i64(out, "blobs", r.blobs);
  (void)json_set_i64(out, "stagings", r.stagings);
  (void)json_set_i64(out, "references", r.references);
  return cli_print(out, o->output, print_freed);
}

/* ---- scrub ------------------------------------------------------------------------------------------------------- */

static void on_damage(void *arg, const struct store_damage *d) {
  struct json_object *o = json_add_object(arg);

  (void)json_set_str(o, "sha256", d->sha256);
  (void)json_set_str(o, "name", d->name ? d->name : "");
  (void)json_set_str(o, "path", d->path ? d->path : "");
  (void)json_set_i64(o, "size", (int64_t)d->size);
  (void)json_set_i64(o, "damagedBytes", (int64_t)d->damaged);
}

/* Lists what REFERENCE is of, at its revision, and brings those of its files again that it has. */
static int32_t repair(const struct store_options *o, struct model_store *s, struct plugins *plugins, const char *name,
                      struct ome_err *err) {
  _cleanup_manifest_ struct manifest had = {0};
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_json_ struct json_object *r = model_store_reference(s, name, &had);
  const struct ome_model_ref ref = {
      .struct_size = sizeof(ref), .uri = json_str(r, "uri", ""), .revision = json_str(r, "revision", NULL)};
  const struct plugin_call call = {.timeout_ms = 300000, .cancelled = stopped};
  struct plugin_instance *storage = NULL;

  if (!r)
    return OME_OK; /* removed in the meantime */
  int32_t rc = plugins_storage_for(plugins, ref.uri, &storage, err);
  if (rc == OME_OK)
    rc = manifest_list(storage, &call, &ref, &m, err);
  for (size_t i = m.files.len; rc == OME_OK && i-- > 0;)
    if (!manifest_find(&had, m.files.items[i].path))
      manifest_remove(&m, i);
  const struct store_job job = {.name = name,
                                .uri = ref.uri,
                                .path = json_str(r, "path", ""),
                                .owned = json_flag(r, "owned", false),
                                .partial = true,
                                .manifest = &m,
                                .plugin = storage,
                                .ref = &ref,
                                .connections = (uint32_t)o->connections,
                                .cancelled = stopped};
  return rc == OME_OK ? model_store_bring(s, &job, err) : rc;
}

/* Each reference once; "repaired" is set in its damages, "error" where that failed. */
static bool repair_all(const struct store_options *o, struct model_store *s, struct json_object *damages,
                       struct ome_err *err) {
  _cleanup_backends_ struct backends backends = {0};
  bool all = true;

  if (backends_open(&backends, o->plugins, err) != OME_OK)
    return false;
  for (size_t i = 0; i < json_len(damages); i++) {
    struct json_object *d = json_index(damages, i);
    struct json_object *first = json_find(damages, "name", json_str(d, "name", ""));
    struct ome_err why = ERR_INIT;
    int32_t rc = OME_OK;
    if (*json_str(d, "name", "") && first == d)
      rc = repair(o, s, backends.plugins, json_str(d, "name", ""), &why);
    if (rc != OME_OK)
      (void)json_set_str(d, "error", why.msg);
    (void)json_set_bool(d, "repaired", first == d ? rc == OME_OK : json_flag(first, "repaired", false));
    all = all && json_flag(d, "repaired", false);
  }
  return all ? true : (fail(err, OME_E_CORRUPT, "store: not everything could be repaired; the list says why"), false);
}

static void print_scrubbed(struct json_object *o) {
  struct json_object *damages = json_at(o, "damaged");
  char bytes[32];

  format_bytes((uint64_t)json_i64(o, "bytes", 0), bytes);
  printf("%lld blobs of %s read, %zu damaged\n", (long long)json_i64(o, "blobs", 0), bytes, json_len(damages));
  for (size_t i = 0; i < json_len(damages); i++) {
    struct json_object *d = json_index(damages, i);
    format_bytes((uint64_t)json_i64(d, "damagedBytes", 0), bytes);
    printf("  %s (%.12s) of %s: %s damaged: %s\n", json_str(d, "path", "?"), json_str(d, "sha256", ""),
           json_str(d, "name", ""), bytes,
           json_flag(d, "repaired", false) ? "fetched again" : json_str(d, "error", "removed"));
  }
}

static int scrub(const struct store_options *o, struct model_store *s) {
  _cleanup_json_ struct json_object *out = json_object_new_object();
  struct json_object *damages = json_object_new_array();
  const struct store_scrub job = {.damage = on_damage, .cancelled = stopped, .arg = damages};
  struct store_scrub_result r;
  struct ome_err err = ERR_INIT;

  (void)json_set(out, "damaged", damages);
  if (model_store_scrub(s, &job, &r, &err) != OME_OK)
    return cli_fail(&err);
  (void)json_set_i64(out, "blobs", r.blobs);
  (void)json_set_i64(out, "bytes", (int64_t)r.bytes);
  bool repaired = json_len(damages) == 0 || repair_all(o, s, damages, &err);
  int code = cli_print(out, o->output, print_scrubbed);
  return repaired ? code : cli_fail(&err);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int run(const struct cli_command *self, int argc, char **argv) {
  static const struct {
    const char *name;
    int (*run)(const struct store_options *o, struct model_store *s);
  } verbs[] = {{"list", list}, {"scrub", scrub}, {"gc", gc}};
  _cleanup_(model_store_closep) struct model_store *s = NULL;
  struct store_options o = {.output = "table", .connections = 16};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {0, "store", "DIR", "the store (default: $OME_STORE, then ~/.cache/ome)", CLI_STRING, &o.store},
      OPTION_OUTPUT(&o.output),
      {0, "connections", "N", "scrub: requests at a time at most (default: 16)", CLI_UINT, &o.connections},
      {0, "plugins", "FILE", "scrub: plugins.conf to load", CLI_STRING, &o.plugins},
      {0},
  };

  if (cli_parse(self, options, argc, argv) != 1)
    return cli_usage(self, "give one of list, scrub, gc");
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    if (streq(argv[1], verbs[i].name)) {
      cli_signals_block();
      return open_store(&o, &s, &err) == OME_OK ? verbs[i].run(&o, s) : cli_fail(&err);
    }
  return cli_usage(self, "\"%s\" is none of list, scrub, gc", argv[1]);
}

const struct cli_command cli_store = {
    .name = "store",
    .args = "list | scrub | gc",
    .summary = "look after the model store: what is in it, is it sound, what can go",
    .help = "list    the models, least recently used first; OWN is what the removal of one would free\n"
            "scrub   reads every byte; what is damaged is fetched again, no more than the damaged ranges\n"
            "gc      removes what no model refers to: remove a model's folder, and this frees its space\n\n"
            "  ome store list\n"
            "  ome store scrub --store /var/lib/ome/store",
    .run = run,
};
