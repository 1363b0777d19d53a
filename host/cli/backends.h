/* What commands that move files need of plugins: the storage backends, with the HTTP that they list with. */
#ifndef HOST_CLI_BACKENDS_H
#define HOST_CLI_BACKENDS_H

#include "plugin/plugin.h"
#include "transfer/http_service.h"

struct backends {
  struct http_service *http;
  struct plugins *plugins;
};

/* CONF as plugins_load() takes it. */
int32_t backends_open(struct backends *b, const char *conf, struct ome_err *err);
void backends_close(struct backends *b);
#define _cleanup_backends_ _cleanup_(backends_close)

#endif
