/* Plugins that break one promise each, for the kit to find; -DBAD_<NAME> chooses. */
#include <ome/render.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  (void)host, (void)cfg, (void)ncfg, (void)err;
#ifdef BAD_PRINT
  printf("hello\n");
#endif
#ifdef BAD_FILES
  if (dup(2) < 0)
    return OME_E_INTERNAL;
#endif
  *out_self = malloc(64);
  return OME_OK;
}

static void destroy(void *self) {
#ifndef BAD_LEAK
  free(self);
#else
  (void)self;
#endif
}

#ifdef BAD_RACE
static long g_shared; /* a file-scope variable under a claim of PARALLEL */
#endif

static int32_t render(void *self, const struct ome_call *call, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  char text[64] = "{\"kind\":\"Service\"}";

  (void)self, (void)call, (void)req, (void)err;
#ifdef BAD_CRASH
  *(volatile int *)0 = 1;
#endif
#ifdef BAD_EXIT
  exit(0);
#endif
#ifdef BAD_SLOW
  (void)usleep(150000);
#endif
#ifdef BAD_STRING /* takes bytes for a string */
  if (strlen(req->component.ptr) > 1u << 20)
    return OME_E_INVALID;
#endif
#ifdef BAD_CLOCK
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  (void)snprintf(text, sizeof(text), "{\"at\":%ld}", now.tv_nsec);
#endif
#ifdef BAD_RACE
  long mine = ++g_shared;
  (void)usleep(100);
  (void)snprintf(text, sizeof(text), "{\"alone\":%d}", mine == g_shared);
#endif
#ifdef BAD_SILENT
  return OME_E_INVALID;
#endif
#ifdef BAD_SINK
  (void)out->object(out, (struct ome_bytes){text, strlen(text)});
  return OME_OK;
#else
  return out->object(out, (struct ome_bytes){text, strlen(text)});
#endif
}

static int32_t observe(void *self, const struct ome_call *call, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  (void)self, (void)call, (void)req, (void)observed, (void)err;
  out->phase = OME_PHASE_READY;
#ifdef BAD_STATUS
  out->phase = 77;
#endif
  return OME_OK;
}

#ifdef BAD_KEY
static const struct ome_key key = {.struct_size = sizeof(key), .name = "Colour", .doc = "Which."};
#else
static const struct ome_key key = {.struct_size = sizeof(key), .name = "colour", .doc = "Which."};
#endif
static const struct ome_key *const keys[] = {&key, NULL};
static const struct ome_render_ops ops = {.struct_size = sizeof(ops), .render = render, .observe = observe};
static const struct ome_factory factory = {
    .struct_size = sizeof(factory),
    .threads = OME_THREADS_PARALLEL,
    .kind = OME_KIND_INGRESS,
    .name = "bad",
    .keys = keys,
    .ops = &ops,
    .create = create,
    .destroy = destroy,
};
static const struct ome_factory *const factories[] = {&factory, NULL};
static const struct ome_plugin plugin = {
    .struct_size = sizeof(plugin),
    .abi_epoch = OME_ABI_EPOCH,
    .abi_minor = OME_ABI_MINOR,
    .name = "ingress-bad",
    .version = "1",
#ifndef BAD_DESCRIPTOR
    .license = "Apache-2.0",
#endif
    .summary = "A plugin with a fault.",
    .factories = factories,
};

#ifdef BAD_THREAD
static void *wait_forever(void *arg) {
  (void)pause();
  return arg;
}
#endif

__attribute__((constructor)) static void loaded(void) {
#ifdef BAD_THREAD
  pthread_t thread;
  (void)pthread_create(&thread, NULL, wait_forever, NULL);
#endif
#ifdef BAD_ENVIRONMENT
  (void)setenv("LANG", "tlh", 1);
#endif
}

#ifdef BAD_EXPORT
OME_EXPORT int another_symbol;
int another_symbol = 1;
#endif

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
