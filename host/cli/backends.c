#include "cli/backends.h"

int32_t backends_open(struct backends *b, const char *conf, struct ome_err *err) {
  int32_t rc = http_service_new(&b->http, err);

  if (rc != OME_OK)
    return rc;
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(b->http)}};
  return plugins_load(conf, services, ARRAY_LEN(services), &b->plugins, err);
}

void backends_close(struct backends *b) {
  plugins_freep(&b->plugins);
  http_service_freep(&b->http);
}
