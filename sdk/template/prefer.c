/* scorer-prefer - at this site, runtimes of one engine are worth more.
 *
 * A scorer is asked about every runtime that could serve a model and answers with points and a reason, with a rejection
 * and a reason, or with nothing.  The host adds what all scorers say. */
#include <ome-sdk/sdk.h>
#include <ome/scorer.h>

struct prefer {
  char *prefix;
  int64_t points;
};

static void destroy(void *self) {
  struct prefer *p = self;

  if (p)
    free(p->prefix);
  free(p);
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct prefer *p = calloc(1, sizeof(*p));

  (void)host;
  if (p)
    p->prefix = strdup(ome_kv_get(cfg, ncfg, "prefix", ""));
  if (!p || !p->prefix) {
    destroy(p);
    return ome_fail(err, OME_E_NO_MEMORY, "out of memory");
  }
  p->points = ome_kv_int(cfg, ncfg, "points", 0);
  *out_self = p;
  return OME_OK;
}

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct prefer *p = self;

  (void)call, (void)err;
  if (strncmp(req->runtime->name, p->prefix, strlen(p->prefix)) != 0)
    return OME_OK;
  return out->points(out, p->points, "the site prefers this engine");
}

/* ---- what the host sees ----------------------------------------------------------------------------------------- */

/* Of a runtime, score() looks at the name: the host need not ask for each format that it supports. */
static const struct ome_scorer_ops ops = {.struct_size = sizeof(ops), .caps = OME_SCORER_BY_RUNTIME, .score = score};

static const struct ome_key prefix = {
    .struct_size = sizeof(prefix),
    .type = OME_KEY_STRING,
    .flags = OME_KEY_REQUIRED,
    .name = "prefix",
    .doc = "How names of preferred runtimes begin.",
};
static const struct ome_key points = {
    .struct_size = sizeof(points),
    .type = OME_KEY_INT,
    .name = "points",
    .dflt = "1000",
    .doc = "What they are worth.",
};
static const struct ome_key *const keys[] = {&prefix, &points, NULL};

static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL, /* self is never written after create() */
    .kind = OME_KIND_SCORER,
    .name = "prefer",
    .keys = keys,
    .ops = &ops,
    .create = create,
    .destroy = destroy,
};
static const struct ome_factory *const factories[] = {&factory, NULL};

const struct ome_plugin *ome_plugin_v1(void) {
  static const struct ome_plugin plugin = {
      .struct_size = sizeof(plugin),
      .abi_epoch = OME_ABI_EPOCH,
      .abi_minor = OME_ABI_MINOR,
      .name = "scorer-prefer",
      .version = PLUGIN_VERSION,
      .license = "Apache-2.0",
      .summary = "Prefers the runtimes of one engine.",
      .factories = factories,
  };

  return &plugin;
}
