/* A vendor's scorer: at this site, runtimes of one engine are worth more.  Built outside of the tree by the scenario,
 * as sdk/template is: it includes the public header and nothing else of ome. */
#include <ome/scorer.h>

#include <stdlib.h>
#include <string.h>

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  char *prefix = calloc(1, 64);

  (void)host;
  if (!prefix) {
    err->code = OME_E_NO_MEMORY;
    return OME_E_NO_MEMORY;
  }
  for (uint32_t i = 0; i < ncfg; i++)
    if (strcmp(cfg[i].key, "prefix") == 0)
      strncpy(prefix, cfg[i].value, 63);
  *out_self = prefix;
  return OME_OK;
}

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const char *prefix = self;

  (void)call, (void)err;
  if (strncmp(req->runtime->name, prefix, strlen(prefix)) != 0)
    return OME_OK;
  return out->points(out, 1000, "the site prefers this engine");
}

static const struct ome_scorer_ops ops = {.struct_size = sizeof(ops), .score = score};

static const struct ome_key prefix = {
    .struct_size = sizeof(prefix),
    .type = OME_KEY_STRING,
    .flags = OME_KEY_REQUIRED,
    .name = "prefix",
    .doc = "How names of preferred runtimes begin.",
};
static const struct ome_key *const keys[] = {&prefix, NULL};

static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL,
    .kind = OME_KIND_SCORER,
    .name = "vendor",
    .keys = keys,
    .ops = &ops,
    .create = create,
    .destroy = free,
};
static const struct ome_factory *const factories[] = {&factory, NULL};

const struct ome_plugin *ome_plugin_v1(void) {
  static const struct ome_plugin plugin = {
      .struct_size = sizeof(plugin),
      .abi_epoch = OME_ABI_EPOCH,
      .abi_minor = OME_ABI_MINOR,
      .name = "scorer-vendor",
      .version = "1.0",
      .license = "Apache-2.0",
      .summary = "Prefers the runtimes of one engine.",
      .factories = factories,
  };

  return &plugin;
}
