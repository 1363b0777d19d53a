/* Descriptors that break one rule each; -DFORGE_<NAME> chooses.  Without one, a good scorer.  Built against the frozen
 * headers of 1.0. */
#include <ome/scorer.h>

#ifdef FORGE_MISSING_IMPORT
extern int nobody_has_this(void);
#endif

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  (void)self, (void)call, (void)req, (void)err;
#ifdef FORGE_MISSING_IMPORT
  return nobody_has_this();
#endif
#ifdef FORGE_CARELESS /* reads behind the member that a 1.0 host has last */
  return out->points(out, ((const int64_t *)(const void *)(call + 1))[0] & 1, "careless");
#else
  return out->points(out, 7, "frozen");
#endif
}

#ifdef FORGE_LONGER /* built from a later header: more members than this host knows */
struct later_ops {
  struct ome_scorer_ops base;
  void (*later)(void);
};
static void later(void) {
}
static const struct later_ops ops = {{.struct_size = sizeof(ops), .score = score}, later};
#else
static const struct ome_scorer_ops ops = {
#ifdef FORGE_SMALL_OPS
    .struct_size = 8,
#else
    .struct_size = sizeof(ops),
#endif
    .score = score,
};
#endif

#ifdef FORGE_BAD_KEY
static const struct ome_key key = {.struct_size = sizeof(key), .type = 99, .name = "x", .doc = "X."};
#else
static const struct ome_key key = {
    .struct_size = sizeof(key), .type = OME_KEY_SIZE, .name = "size", .dflt = "1Ki", .doc = "X."};
#endif
static const struct ome_key *const keys[] = {&key, NULL};

static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
#ifdef FORGE_THREADS
    .threads = 9,
#else
    .threads = OME_THREADS_PARALLEL,
#endif
    .kind = OME_KIND_SCORER,
#ifdef FORGE_BAD_NAME
    .name = "../evil",
#else
    .name = "frozen",
#endif
    .keys = keys,
#ifndef FORGE_NO_OPS
    .ops = &ops,
#endif
};
#ifdef FORGE_NO_FACTORIES
#elif defined(FORGE_TWICE)
static const struct ome_factory *const factories[] = {&factory, &factory, NULL};
#else
static const struct ome_factory *const factories[] = {&factory, NULL};
#endif

#ifdef FORGE_LONGER
static const struct later_plugin {
  struct ome_plugin base;
  const char *later;
} plugin = {{
#else
static const struct ome_plugin plugin = {
#endif
#ifdef FORGE_SMALL
                .struct_size = 12,
#else
    .struct_size = sizeof(plugin),
#endif
#ifdef FORGE_EPOCH
                .abi_epoch = 2,
#else
    .abi_epoch = OME_ABI_EPOCH,
#endif
#ifdef FORGE_LONGER
                .abi_minor = 7,
#else
    .abi_minor = OME_ABI_MINOR,
#endif
#ifdef FORGE_HOST_MINOR
                .min_host_minor = 4000,
#endif
#ifndef FORGE_NO_PLUGIN_NAME
                .name = "scorer-frozen",
#endif
                .version = "1.0",
                .license = "Apache-2.0",
                .summary = "A plugin of the first release.",
#ifndef FORGE_NO_FACTORIES
                .factories = factories,
#endif
#ifdef FORGE_LONGER
            },
            "later"};
#else
};
#endif

#ifdef FORGE_NO_SYMBOL
OME_EXPORT const struct ome_plugin *another_symbol(void);
const struct ome_plugin *another_symbol(void) {
#else
const struct ome_plugin *ome_plugin_v1(void) {
#endif
#ifdef FORGE_NULL
  return (const void *)0;
#elif defined(FORGE_LONGER)
  return &plugin.base;
#else
    return &plugin;
#endif
}
