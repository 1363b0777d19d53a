/* What the tests of deployment plugins share: the plugin that is compiled in, asked to render and to observe. */
#ifndef TESTS_UNIT_PLUGINS_DEPLOYMENT_H
#define TESTS_UNIT_PLUGINS_DEPLOYMENT_H

#include <ome/render.h>

struct run {
  struct ome_status status;
  struct ome_err err;
};

static struct ome_bytes bytes(const char *s) {
  return (struct ome_bytes){s, strlen(s)};
}

static const struct ome_render_ops *ops(void) {
  return ome_plugin_v1()->factories[0]->ops;
}

/* The service is DEPLOYMENT_SERVICE where the test defines it. */
#ifndef DEPLOYMENT_SERVICE
#define DEPLOYMENT_SERVICE "{}"
#endif

static struct ome_render_req request(const char *component) {
  return (struct ome_render_req){
      .struct_size = sizeof(struct ome_render_req),
      .service = bytes(DEPLOYMENT_SERVICE),
      .component = bytes(component),
      .cluster = bytes("{\"domain\":\"cluster.local\"}"),
  };
}

static struct run observe(const char *component, const char *observed) {
  struct run r = {.status = {.struct_size = sizeof(struct ome_status)}};
  struct ome_render_req req = request(component);

  assert_int_equal(ops()->observe(NULL, NULL, &req, bytes(observed), &r.status, &r.err), OME_OK);
  return r;
}

/* The first 32 KiB of all objects, one after another. */
struct text {
  char s[32768];
  size_t len;
  int32_t rc;
  struct ome_err err;
};

static int32_t add_text(struct ome_object_sink *s, struct ome_bytes json) {
  struct text *t = s->ctx;

  assert_true(t->len + json.len < sizeof(t->s));
  memcpy(t->s + t->len, json.ptr, json.len);
  t->len += json.len;
  t->s[t->len] = '\0';
  return OME_OK;
}

static struct text render(const char *component) {
  struct text t = {.rc = 0};
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .ctx = &t, .object = add_text};
  struct ome_render_req req = request(component);

  t.rc = ops()->render(NULL, NULL, &req, &sink, &t.err);
  return t;
}

#endif
