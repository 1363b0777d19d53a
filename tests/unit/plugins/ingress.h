/* What the tests of ingress plugins share: the last object that the plugin, which is compiled in, rendered. */
#ifndef TESTS_UNIT_PLUGINS_INGRESS_H
#define TESTS_UNIT_PLUGINS_INGRESS_H

#include <ome/render.h>

static char last[4096];

static int32_t keep(struct ome_object_sink *s, struct ome_bytes json) {
  (void)s;
  assert_true(json.len < sizeof(last));
  memcpy(last, json.ptr, json.len);
  last[json.len] = '\0';
  return OME_OK;
}

static struct ome_bytes bytes(const char *s) {
  return (struct ome_bytes){s, strlen(s)};
}

#endif
